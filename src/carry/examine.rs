//! Examine: single steps of the way, each alone, for the doctor.

use http::HeaderMap;
use http::uri::PathAndQuery;

use super::core::Core;
use crate::bridge::options::ActiveTransport;
use crate::call::frame::Frame;
use crate::call::{Answer, Call};
use crate::error::Error;
use crate::symptom::SymptomKind;
use crate::transport::carrier::http1::HttpVersions;

/// The transports whose carriers the program brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForeignCarriers {
    pub(crate) grpc: bool,
    pub(crate) rest: bool,
}

impl ForeignCarriers {
    pub(crate) const BOTH: Self = Self { grpc: true, rest: true };
}

impl Core {
    pub(crate) fn foreign_carriers(&self) -> ForeignCarriers {
        let grpc = self.grpc.has_foreign_carrier();
        ForeignCarriers { grpc, rest: self.rest.has_foreign_carrier() }
    }

    /// Waits until a gRPC connection stands.
    ///
    /// # Errors
    /// No connection came about.
    pub(crate) async fn connect_grpc(&self) -> Result<(), Error> {
        self.grpc.connect().await
    }

    /// Sends a call once over this transport; the fallback is not asked, and told nothing. REST
    /// speaks HTTP/1.1, as after a fallback.
    ///
    /// # Errors
    /// The network broke the call, or its status was made up on the way.
    pub(crate) async fn send_once(
        &self,
        transport: ActiveTransport,
        path: &str,
        message: &[u8],
    ) -> Result<Answer, Error> {
        let mut metadata = HeaderMap::new();
        self.credentials.authorise(&mut metadata).await?;
        let method = self.schema.find_method(path).cloned();
        let path = PathAndQuery::try_from(path)
            .map_err(|_| Error::invalid_request("invalid method path"))?;
        let message = Frame::wrap(message)
            .ok_or_else(|| Error::invalid_request("the request is too large"))?;
        let mut call = Call::of_message(path, method, metadata, message);
        self.settings.dialect.add_headers(&self.schema, &mut call);
        match transport {
            ActiveTransport::Grpc => {
                let judged = self.grpc.send(&mut call, self.grpc.take_seat().await?).await?;
                if judged.author.is_forged() {
                    return Err(self.grpc.symptom(SymptomKind::ForgedStatus).into());
                }
                Ok(judged.answer)
            }
            ActiveTransport::Rest => {
                let judged = self.rest.send(&mut call, HttpVersions::One).await?;
                Ok(judged.answer)
            }
        }
    }
}
