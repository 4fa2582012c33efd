//! Own origin: where the client reaches the sidecar, put in place of the service's where an answer
//! leads on.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Request, Uri};

use crate::carry::Core;

/// `http://localhost:50051`, as the client wrote it; an extension of its request.
#[derive(Debug, Clone)]
pub(super) struct OwnOrigin(String);

impl OwnOrigin {
    /// Of a request on a connection with TLS, or without; `None` if it names no host.
    pub(super) fn of<B>(request: &Request<B>, scheme: &Scheme) -> Option<Self> {
        let host = request.uri().authority().map(Authority::as_str);
        let host = host.or_else(|| request.headers().get(header::HOST)?.to_str().ok())?;
        Some(Self(format!("{scheme}://{host}")))
    }

    /// Upload and redirect go on through the sidecar: a client that followed them to the service
    /// would go past it, and past its proxy.
    pub(super) fn keep(&self, answer: &mut HeaderMap, core: &Core) {
        for name in &LEADING_ON {
            if let Some(value) = answer.get(name).and_then(|value| self.instead_of(value, core)) {
                answer.insert(name.clone(), value);
            }
        }
    }

    /// The same place here; `None` where it is not the service's, or has no host.
    fn instead_of(&self, value: &HeaderValue, core: &Core) -> Option<HeaderValue> {
        let url = value.to_str().ok()?;
        Uri::try_from(url).ok()?.authority()?;
        let target = core.target_of(url).ok()?;
        let query = if target.query.is_empty() { "" } else { "?" };
        HeaderValue::try_from([&*self.0, &target.path, query, &target.query].concat()).ok()
    }
}

static LEADING_ON: [HeaderName; 3] = [
    HeaderName::from_static("x-goog-upload-url"),
    HeaderName::from_static("x-goog-upload-control-url"),
    header::LOCATION,
];
