//! Carrier: who moves the exchanges of REST: our own client, or what the program brought.

use http::header;
use http_body::Body as _;
use tokio_util::either::Either;
use tonic::body::Body;

use crate::error::Error;
use crate::network::{Network, Origin};
use crate::transport::carrier::foreign::{Carrier, ForeignCarrier};
use crate::transport::carrier::http1::client::{Client, HttpAnswer, HttpBody, take_target};
use crate::transport::carrier::http1::{HttpVersions, SentBody};

pub(super) enum RestCarrier {
    Own(Box<Client>),
    Foreign(ForeignCarrier, Box<Origin>),
}

impl RestCarrier {
    /// Our own client with at most so many connections, unless the program brings a carrier.
    ///
    /// # Errors
    /// The program's carrier could not be made.
    pub(super) fn new(
        carrier: Option<Carrier>,
        network: &Network,
        origin: &Origin,
        connections: usize,
    ) -> Result<Self, Error> {
        Ok(match carrier {
            Some(carrier) => {
                Self::Foreign(ForeignCarrier::new(carrier, origin)?, Box::new(origin.clone()))
            }
            None => Self::Own(Box::new(Client::new(network.clone(), origin.clone(), connections))),
        })
    }

    /// Shows whether the service can be reached; of the program's own carrier, whether it takes a
    /// call.
    pub(super) async fn connect(&self) -> Result<(), Error> {
        match self {
            Self::Own(client) => client.connect().await,
            Self::Foreign(foreign, _) => foreign.reserve().await.map(drop),
        }
    }

    /// How many connections of ours are open.
    pub(super) fn connections(&self) -> usize {
        match self {
            Self::Own(client) => client.connections(),
            Self::Foreign(..) => 0,
        }
    }

    /// How many requests waited because all connections of ours were in use.
    pub(super) fn queued(&self) -> u64 {
        match self {
            Self::Own(client) => client.queued(),
            Self::Foreign(..) => 0,
        }
    }

    /// How failures name the service, as the network is now.
    pub(super) fn hop(&self) -> String {
        match self {
            Self::Own(client) => client.hop(),
            Self::Foreign(foreign, _) => foreign.hop().to_owned(),
        }
    }

    /// Leaves our connections to the calls that are on them.
    pub(super) fn forget(&self) {
        match self {
            Self::Own(client) => client.forget(),
            Self::Foreign(..) => {}
        }
    }

    /// Lets go of our connections, or of the program's own carrier, for good.
    pub(super) fn close(&self) {
        match self {
            Self::Own(client) => client.forget(),
            Self::Foreign(foreign, _) => foreign.close(),
        }
    }

    /// Sends a request of path and query. The program's own carrier chooses the version of HTTP by
    /// itself.
    pub(super) fn send(
        &self,
        request: http::Request<SentBody>,
        versions: HttpVersions,
    ) -> impl Future<Output = Result<HttpAnswer, Error>> {
        match self {
            Self::Own(client) => Either::Left(client.send(request, versions)),
            Self::Foreign(foreign, origin) => {
                // Boxed, or each request of our own client would carry its room.
                Either::Right(Box::pin(send_foreign(foreign, origin, request)))
            }
        }
    }
}

async fn send_foreign(
    foreign: &ForeignCarrier,
    origin: &Origin,
    mut request: http::Request<SentBody>,
) -> Result<HttpAnswer, Error> {
    *request.uri_mut() = origin.address_of(take_target(&mut request));
    // hyper writes it by itself; who knows of the program's carrier?
    if let Some(length) = request.body().size_hint().exact().filter(|it| *it > 0) {
        request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    let reserved = foreign.reserve().await?;
    let (answer, peer) = reserved.send(request.map(Body::new)).await?;
    let (head, body) = answer.into_parts();
    let body = HttpBody::new(body, peer.hop().into());
    Ok(HttpAnswer { status: head.status, headers: head.headers, body })
}
