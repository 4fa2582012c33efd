//! gRPC, transport one: calls as HTTP/2 streams on our own connections or on the program's carrier,
//! each failure named.

mod answer;
mod body;
mod metadata;
mod seat;
mod source;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Uri, Version};
use tokio::time::Instant;

use crate::call::{
    Call, GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_TIMEOUT, Judged, copy_with_room, format_timeout,
};
use crate::credentials::hide_secrets;
use crate::error::Error;
use crate::network::{HopName, Network, Origin};
use crate::symptom::{Symptom, SymptomKind};
use crate::transport::carrier::foreign::Carrier;
use answer::Wanted;
#[cfg(feature = "cli")]
pub(crate) use answer::is_grpc_content_type;
pub(crate) use metadata::AnswerLimits;
use seat::GrpcCarrier;
pub(crate) use seat::Seat;

/// Sends calls to one origin over HTTP/2. A call's failure says how the network broke it.
pub(crate) struct GrpcTransport {
    carrier: GrpcCarrier,
    origin: Uri,
    limits: AnswerLimits,
    hop: HopName,
}

impl GrpcTransport {
    pub(crate) fn new(
        carrier: Option<Carrier>,
        network: &Network,
        origin: &Origin,
        limits: AnswerLimits,
    ) -> Result<Self, Error> {
        let carrier = GrpcCarrier::new(carrier, network, origin)?;
        let hop = match &carrier {
            GrpcCarrier::Own(connections) => HopName::new(connections.hop()),
            GrpcCarrier::Foreign(foreign) => HopName::new(foreign.hop()),
        };
        Ok(Self { carrier, origin: origin.uri().clone(), limits, hop })
    }

    /// Whether the program brought the carrier.
    pub(crate) fn has_foreign_carrier(&self) -> bool {
        matches!(self.carrier, GrpcCarrier::Foreign(_))
    }

    /// Waits until a connection stands whose peer speaks HTTP/2; of the program's own carrier,
    /// until it takes a call.
    ///
    /// # Errors
    /// No connection came about.
    pub(crate) async fn connect(&self) -> Result<(), Error> {
        match &self.carrier {
            GrpcCarrier::Own(connections) => connections.connect().await,
            GrpcCarrier::Foreign(foreign) => foreign.reserve().await.map(drop),
        }
    }

    /// A place for one call on a connection, which is opened first if need be.
    ///
    /// # Errors
    /// No connection came about; nothing was sent.
    pub(crate) async fn take_seat(&self) -> Result<Seat, Error> {
        self.take_younger_seat(None).await
    }

    /// The same on a connection that opened after `than`: what an older one did to a call may be
    /// its own fault.
    ///
    /// # Errors
    /// No connection came about; nothing was sent.
    pub(crate) async fn take_younger_seat(&self, than: Option<Instant>) -> Result<Seat, Error> {
        match &self.carrier {
            GrpcCarrier::Own(connections) => connections.take_seat(than).await.map(Seat::Own),
            GrpcCarrier::Foreign(foreign) => foreign.reserve().await.map(Seat::Foreign),
        }
    }

    /// How many connections of ours take calls.
    pub(crate) fn connections(&self) -> usize {
        match &self.carrier {
            GrpcCarrier::Own(connections) => connections.count(),
            GrpcCarrier::Foreign(_) => 0,
        }
    }

    /// Leaves the open connections to the calls that are on them.
    pub(crate) fn forget_connections(&self) {
        match &self.carrier {
            GrpcCarrier::Own(connections) => connections.forget(),
            GrpcCarrier::Foreign(_) => {}
        }
    }

    /// The same once the network was renewed.
    pub(crate) fn renew(&self) {
        match &self.carrier {
            GrpcCarrier::Own(connections) => {
                self.hop.set(connections.hop());
                connections.forget();
            }
            GrpcCarrier::Foreign(_) => {}
        }
    }

    /// Lets go of the connections, or of the program's own carrier, for good.
    pub(crate) fn close(&self) {
        match &self.carrier {
            GrpcCarrier::Own(connections) => connections.forget(),
            GrpcCarrier::Foreign(foreign) => foreign.close(),
        }
    }

    /// Sends a call and returns the answer of the service, or of whoever else speaks gRPC.
    ///
    /// A unary answer is complete; a stream's body fails with a `Status` that carries our `Error`
    /// where the network breaks it. There is no time limit inside; dropping the future, or the
    /// body, resets the stream.
    ///
    /// # Errors
    /// The network broke the call.
    pub(crate) async fn send(&self, call: &mut Call, seat: Seat) -> Result<Judged, Error> {
        // A method of no known service may stream.
        let is_unary = call.method.as_ref().is_some_and(|method| !method.server_streaming);
        self.send_wanting(call, seat, if is_unary { Wanted::Whole } else { Wanted::Head }).await
    }

    /// The same for a call that is known to be unary, also where its method is not.
    ///
    /// # Errors
    /// The network broke the call.
    pub(crate) async fn send_unary(&self, call: &mut Call, seat: Seat) -> Result<Judged, Error> {
        self.send_wanting(call, seat, Wanted::Whole).await
    }

    async fn send_wanting(
        &self,
        call: &mut Call,
        seat: Seat,
        wanted: Wanted,
    ) -> Result<Judged, Error> {
        let answered = async {
            let request = self.write_request(call);
            let response = seat.send(request, call.message_over_grpc()).await?;
            answer::read_answer(response, wanted, self.limits).await
        };
        answered.await.map(Judged::of).map_err(|error| hide_secrets(error, &call.metadata))
    }

    fn write_request(&self, call: &Call) -> Request<()> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = self.origin.scheme().cloned();
        parts.authority = self.origin.authority().cloned();
        parts.path_and_query = Some(call.path.clone());
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from_parts(parts).expect("an origin has a scheme and a host");
        *request.headers_mut() = write_headers(call);
        request
    }

    /// How failures name the service.
    pub(crate) fn hop(&self) -> &HopName {
        &self.hop
    }

    /// A failure that only the whole shows: the connection stood, and no answer came in time.
    pub(crate) fn unanswered(&self) -> Symptom {
        self.symptom(SymptomKind::Unanswered)
    }

    /// A failure that was seen in an answer, after it had passed.
    pub(crate) fn symptom(&self, kind: SymptomKind) -> Symptom {
        Symptom::new(kind, &*self.hop.get())
    }
}

fn write_headers(call: &Call) -> HeaderMap {
    let mut headers = copy_with_room(&call.metadata, OWN_HEADERS);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let agent = match headers.get(header::USER_AGENT) {
        Some(caller) => join_agents(caller),
        None => HeaderValue::from_static(USER_AGENT),
    };
    headers.insert(header::USER_AGENT, agent);
    let timeout = call.time_left().map(format_timeout);
    let optional = [
        (GRPC_ENCODING, call.encoding.clone()),
        (GRPC_ACCEPT_ENCODING, call.accept_encoding.clone()),
        (GRPC_TIMEOUT, timeout),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    headers
}

/// The caller's name first, as tonic's own channel has it.
fn join_agents(caller: &HeaderValue) -> HeaderValue {
    let joined = [caller.as_bytes(), b" ", USER_AGENT.as_bytes()].concat();
    HeaderValue::from_bytes(&joined).unwrap_or_else(|_| caller.clone())
}

const USER_AGENT: &str = concat!("genai-bridge/", env!("CARGO_PKG_VERSION"));
/// As many headers as are added to a call's metadata.
const OWN_HEADERS: usize = 6;
