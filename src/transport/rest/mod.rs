//! REST, transport two: a call is transcoded by its HTTP rule, sent by our client or the program's
//! carrier, and its answer transcoded back.

mod answer;
mod carrier;
mod exchange;
#[cfg(feature = "cli")]
mod forward;
mod hop;
mod request;
mod split;

#[cfg(any(test, fuzzing))]
pub(crate) use split::{piece::Piece, sse::EventStream, values::ValueStream};

use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::call::compression::plain_message;
use crate::call::{Answer, Call, Judged, Message, copy_with_room};
use crate::credentials::hide_secrets;
use crate::dialect::{Dialect, name_rest};
use crate::error::{Error, ErrorKind};
use crate::json::LenienceCounts;
use crate::network::{HopName, Network, Origin};
use crate::schema::{Method, Schema, Special};
use crate::transport::carrier::foreign::Carrier;
use crate::transport::carrier::http1::client::HttpAnswer;
use crate::transport::carrier::http1::{HttpVersions, default_connections};
#[cfg(feature = "cli")]
pub(crate) use answer::status::{http_of_code, name_of_code};

pub(crate) use answer::end::EndFields;
pub(crate) use answer::exchange::{AnswerBytes, Exchanged, Expected, lone_error};
pub(crate) use answer::status::read_status;
pub(crate) use request::target::Target;
pub(crate) use request::{RequestBody, RestRequest};
pub(crate) use split::named::{NamedPiece, NamedSplitter};
pub(crate) use split::piece::SplitFault;

use answer::read_http_answer;
use answer::reading::Reading;
use carrier::RestCarrier;
use request::http::write_http;
use request::write_request;

/// Sends calls to one origin as JSON over HTTP.
pub(crate) struct RestTransport {
    schema: Schema,
    origin: Uri,
    carrier: RestCarrier,
    hop: HopName,
    settings: RestSettings,
    leniences: Arc<LenienceCounts>,
}

/// The choices of the transport.
#[derive(Debug, Clone)]
pub(crate) struct RestSettings {
    /// Largest message, sent or received, in bytes.
    pub(crate) max_message_size: usize,
    /// Largest error, in bytes of its text.
    pub(crate) max_metadata_size: usize,
    /// Most HTTP/1.1 connections.
    pub(crate) connections: usize,
    pub(crate) dialect: Dialect,
    /// By a method's path: the fields of a streamed answer of which one says that it is whole.
    pub(crate) end_fields: fn(&str) -> EndFields,
}

impl Default for RestSettings {
    fn default() -> Self {
        Self {
            max_message_size: 64 * 1024 * 1024,
            max_metadata_size: 4 * 1024 * 1024,
            connections: default_connections(),
            dialect: Dialect::Plain,
            end_fields: |_| &[],
        }
    }
}

impl RestTransport {
    pub(crate) fn new(
        schema: Schema,
        carrier: Option<Carrier>,
        network: &Network,
        origin: &Origin,
        settings: RestSettings,
    ) -> Result<Self, Error> {
        let carrier = RestCarrier::new(carrier, network, origin, settings.connections)?;
        let (origin, hop) = (origin.uri().clone(), HopName::new(carrier.hop()));
        Ok(Self { schema, origin, carrier, hop, settings, leniences: Arc::default() })
    }

    /// Whether the program brought the carrier.
    pub(crate) fn has_foreign_carrier(&self) -> bool {
        matches!(self.carrier, RestCarrier::Foreign(..))
    }

    /// How failures name the service.
    pub(crate) fn hop(&self) -> &HopName {
        &self.hop
    }

    /// Leaves the open connections to the calls that are on them, once the network was renewed.
    pub(crate) fn renew(&self) {
        self.hop.set(self.carrier.hop());
        self.carrier.forget();
    }

    /// Leaves the open connections to the calls that are on them.
    pub(crate) fn forget_connections(&self) {
        self.carrier.forget();
    }

    /// Lets go of the connections, or of the program's own carrier, for good.
    pub(crate) fn close(&self) {
        self.carrier.close();
    }

    /// Opens a connection and closes it, or asks the program's own carrier for room.
    ///
    /// # Errors
    /// The service cannot be reached.
    pub(crate) async fn connect(&self) -> Result<(), Error> {
        self.carrier.connect().await
    }

    /// Scheme, host and port of the service.
    pub(crate) fn origin(&self) -> &Uri {
        &self.origin
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.carrier.connections()
    }

    /// How many requests waited for a connection.
    pub(crate) fn queued(&self) -> u64 {
        self.carrier.queued()
    }

    /// How often each lenience was needed.
    pub(crate) fn leniences(&self) -> &LenienceCounts {
        &self.leniences
    }

    /// Sends a call and returns the service's answer, in the shape of a gRPC one.
    ///
    /// There is no time limit inside; dropping the future, or the body, cancels the request.
    ///
    /// # Errors
    /// The call has no REST form, or the network broke it.
    pub(crate) async fn send(
        &self,
        call: &mut Call,
        versions: HttpVersions,
    ) -> Result<Judged, Error> {
        let sent = self.send_call(call, versions).await;
        sent.map(Judged::of).map_err(|error| hide_secrets(error, &call.metadata))
    }

    async fn send_call(&self, call: &mut Call, versions: HttpVersions) -> Result<Answer, Error> {
        let method = method_of(call)?;
        let message = message_of(call, self.settings.max_message_size)?;
        let mut request = write_request(&self.schema, &method, &message)?;
        drop(message);
        if let Some(prefix) = call.name().strip_suffix(&*method.path) {
            request.path.insert_str(0, prefix);
        }
        // A stream of bytes of any type has no events.
        let is_raw = self.schema.message(method.output).special == Special::HttpBody;
        if let Some(parameter) = self.settings.dialect.query_parameter(&method).filter(|_| !is_raw)
        {
            request.add_parameter(parameter);
        }
        let headers = headers_of(call, &method);
        let sending = self.send_http(request, headers, versions)?;
        let answer = sending.await?;
        let reading = Reading {
            schema: self.schema.clone(),
            end_fields: if method.server_streaming {
                (self.settings.end_fields)(&method.path)
            } else {
                &[]
            },
            method,
            max_message_size: self.settings.max_message_size,
            leniences: Arc::clone(&self.leniences),
            max_metadata_size: self.settings.max_metadata_size,
        };
        read_http_answer(answer, reading).await
    }

    /// Sends one request: the way of all that goes over REST.
    ///
    /// Await it in a statement of its own: within `send_http(..)?.await` what `?` looks at stays
    /// beside it, and takes its room once more.
    fn send_http(
        &self,
        request: RestRequest,
        headers: HeaderMap,
        versions: HttpVersions,
    ) -> Result<impl Future<Output = Result<HttpAnswer, Error>>, Error> {
        Ok(self.carrier.send(write_http(request, headers)?, versions))
    }
}

/// The method of a call that has a REST form.
fn method_of(call: &Call) -> Result<Arc<Method>, Error> {
    let method = call.method.as_ref().ok_or_else(|| {
        let why = "is not in the schema, so REST cannot carry it";
        Error::new(ErrorKind::Unsupported, format!("method `{}` {why}", call.name()))
    })?;
    method.rest_form()?;
    Ok(Arc::clone(method))
}

/// The one message of the call, decompressed.
fn message_of(call: &Call, limit: usize) -> Result<Bytes, Error> {
    let Message::One(frame) = &call.message else {
        return Err(Error::new(ErrorKind::Unsupported, "REST cannot carry a stream of messages"));
    };
    plain_message(frame, call.encoding.as_ref(), limit)
}

/// The caller's metadata as HTTP headers.
fn headers_of(call: &Call, method: &Method) -> HeaderMap {
    let mut headers = copy_with_room(&call.metadata, OWN_HEADERS);
    name_rest(&mut headers);
    if let Some(deadline) = call.deadline {
        headers.insert(SERVER_TIMEOUT, deadline.whole_seconds_left().into());
    }
    let coding = if method.server_streaming { "identity" } else { "gzip" };
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
    headers
}

/// Headers that REST adds to the metadata of a call: the user agent, the server's time, the body's
/// type and, where it is none, its length, the host and the encodings.
const OWN_HEADERS: usize = 6;
pub(crate) const SERVER_TIMEOUT: HeaderName = HeaderName::from_static("x-server-timeout");
