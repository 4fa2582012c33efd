//! Seat: one call's place on a carrier: on a connection of ours, or on the program's own carrier.

use http::{Request, Response};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;

use super::source::Source;
use crate::call::Message;
use crate::error::Error;
use crate::network::{Network, Origin};
use crate::transport::carrier::foreign::{Carrier, ForeignCarrier, Reserved};
use crate::transport::carrier::http2::Http2Settings;
use crate::transport::carrier::http2::connection::{self, Line};
use crate::transport::carrier::http2::connections::Connections;
use crate::transport::carrier::http2::exchange::exchange;

/// Who moves the exchanges of gRPC.
#[expect(clippy::large_enum_variant, reason = "a bridge has one")]
pub(crate) enum GrpcCarrier {
    Own(Connections),
    Foreign(ForeignCarrier),
}

impl GrpcCarrier {
    /// Our own connections, unless the program brings a carrier.
    ///
    /// # Errors
    /// The program's carrier could not be made.
    pub(crate) fn new(
        carrier: Option<Carrier>,
        network: &Network,
        origin: &Origin,
    ) -> Result<Self, Error> {
        Ok(match carrier {
            Some(carrier) => Self::Foreign(ForeignCarrier::new(carrier, origin)?),
            None => Self::Own(Connections::new(
                network.clone(),
                origin.clone(),
                Http2Settings::default(),
            )),
        })
    }
}

/// A place for one call. Nothing was sent yet.
pub(crate) enum Seat {
    Own(connection::Seat),
    Foreign(Reserved),
}

impl From<connection::Seat> for Seat {
    fn from(seat: connection::Seat) -> Self {
        Self::Own(seat)
    }
}

impl Seat {
    /// The connection, where its silence can be seen.
    pub(crate) fn line(&self) -> Option<Line> {
        match self {
            Self::Own(seat) => Some(seat.line()),
            Self::Foreign(_) => None,
        }
    }

    /// Sends a request with its message, or begins to send its stream of messages, and waits for
    /// the head of the answer. Dropping the future cancels the call.
    ///
    /// # Errors
    /// The network broke the call, or the carrier failed.
    pub(super) async fn send(
        self,
        request: Request<()>,
        message: &mut Message,
    ) -> Result<Response<Source>, Error> {
        match self {
            Self::Own(seat) => {
                // A statement of its own, or what `?` looks at would take its room once more.
                let exchanging = exchange(request, message, &seat)?;
                let (response, upload) = exchanging.await?;
                Ok(response.map(|stream| Source::own(stream, upload, seat)))
            }
            // Boxed, or each call on a connection of ours would carry its room.
            Self::Foreign(reserved) => Box::pin(send_foreign(reserved, request, message)).await,
        }
    }
}

async fn send_foreign(
    reserved: Reserved,
    request: Request<()>,
    message: &mut Message,
) -> Result<Response<Source>, Error> {
    let (body, is_stream) = match message {
        Message::One(frame) => (Body::new(Full::new(frame.clone().into_bytes())), false),
        Message::Stream(body) => (body.take().unwrap_or_default(), true),
    };
    match reserved.send(request.map(|()| body)).await {
        Ok((response, peer)) => Ok(response.map(|body| Source::foreign(body, peer))),
        // The caller's own stream of messages ended the call.
        Err(error) if is_stream && error.has_cause::<Status>() => {
            Err(Error::invalid_request("the request's stream of messages failed")
                .with_source(error))
        }
        Err(error) => Err(error),
    }
}
