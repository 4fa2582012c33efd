//! Stages: what the proxy does at each station of a connection: CONNECT, TLS, HTTP.

use h2::Reason;

use super::ending::Ending;

/// A fault in full: most stations behave, one does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stages {
    pub(super) connect: Connect,
    pub(super) tls: Tls,
    /// Only where TLS is inspected, or the client speaks plain HTTP in the tunnel.
    pub(super) http: Http,
}

impl Stages {
    pub(super) const fn connect(connect: Connect) -> Self {
        Self { connect, tls: Tls::Tunnel, http: Http::Pass }
    }

    pub(super) const fn refuse(ending: Ending) -> Self {
        Self::connect(Connect::Refuse(ending))
    }

    pub(super) const fn tls(tls: Tls) -> Self {
        Self { connect: Connect::Grant(&[GRANTED]), tls, http: Http::Pass }
    }

    pub(super) const fn inspect(certificate: Certificate, alpn: Alpn, http: Http) -> Self {
        Self { http, ..Self::tls(Tls::Inspect(certificate, alpn)) }
    }

    pub(super) const fn http(http: Http) -> Self {
        Self::inspect(Certificate::Good, HTTP_2_AND_1, http)
    }

    pub(super) const fn preface(ending: Ending) -> Self {
        Self::http(Http::Preface(ending))
    }

    /// Whether the connection behaves, and single requests do not.
    pub(super) const fn hits_requests(self) -> bool {
        matches!(
            self,
            Self {
                connect: Connect::Grant(_),
                tls: Tls::Inspect(Certificate::Good, [_, _, ..]),
                http: Http::Requests(..) | Http::Pass,
            }
        )
    }

    /// Whether the proxy ends TLS, and can meddle with a connection that is open.
    pub(super) const fn reads_along(self) -> bool {
        matches!(self.tls, Tls::Inspect(..))
    }

    pub(super) const fn grpc(treatment: Treatment) -> Self {
        Self::http(Http::Requests(Aim::Grpc, treatment))
    }
}

/// The answer to CONNECT.
#[derive(Debug, Clone, Copy)]
pub(super) enum Connect {
    /// Granted with this head, each part in a TCP segment of its own.
    Grant(&'static [&'static [u8]]),
    Refuse(Ending),
}

/// What becomes of the bytes in the tunnel.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tls {
    /// They pass unread.
    Tunnel,
    /// They pass unread until none has come for a while.
    Idle(Ending),
    /// A `ClientHello` ends the connection; all else passes unread.
    Break(Hello, Ending),
    /// The proxy ends TLS itself and reads along.
    Inspect(Certificate, Alpn),
}

/// The `ClientHello` that a fault waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hello {
    Any,
    OffersHttp2,
}

/// What the inspecting proxy shows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Certificate {
    Good,
    UnknownIssuer,
    Expired,
    WrongName,
}

/// The protocols that the inspecting proxy offers.
pub(super) type Alpn = &'static [&'static [u8]];

/// What becomes of HTTP on an inspected connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Http {
    Pass,
    /// The client's HTTP/2 preface ends the connection; HTTP/1.1 passes.
    Preface(Ending),
    /// HTTP/2 passes until GOAWAY; HTTP/1.1 passes.
    GoAway(GoAway),
    Requests(Aim, Treatment),
}

/// GOAWAY in place of passing a request on.
#[derive(Debug, Clone, Copy)]
pub(super) struct GoAway {
    /// Requests that pass before.
    pub(super) after: usize,
    /// Whether it leaves open if the request was processed, and closes the connection.
    pub(super) covers_request: bool,
    pub(super) reason: Reason,
    pub(super) text: &'static [u8],
}

/// The requests that a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    Grpc,
    /// One gRPC call in so many.
    EachGrpc(usize),
    /// gRPC calls of services whose name does not end so.
    GrpcOutside(&'static str),
    Everything,
}

impl Aim {
    /// `grpc_call` numbers a gRPC call from one.
    pub(super) fn hits(self, grpc_call: Option<usize>, path: &str) -> bool {
        match self {
            Self::Grpc => grpc_call.is_some(),
            Self::EachGrpc(nth) => grpc_call.is_some_and(|call| call.is_multiple_of(nth)),
            Self::GrpcOutside(service) => {
                let of = path.rsplit_once('/').map_or("", |(of, _)| of);
                grpc_call.is_some() && !of.ends_with(service)
            }
            Self::Everything => true,
        }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Treatment {
    /// The proxy answers by itself.
    Answer(&'static Answer),
    /// The target does the work, and the proxy answers by itself.
    ReplaceAnswer(&'static Answer),
    /// It goes nowhere, and nothing comes back.
    Swallow,
    /// It goes nowhere, and its stream is reset.
    Reset(Reason),
    /// It goes to the target once it has come whole.
    BufferRequest,
    /// It goes to the target once it has come whole, unless it has more bytes than this.
    LimitRequest(usize),
    /// The proxy answers by itself where the target has not begun to within the proxy's limit.
    LimitWait(&'static Answer),
    /// The answer goes to the client once it has come whole.
    BufferAnswer,
    StripTrailers,
    /// The target does the work, and its answer breaks.
    Break(At, How),
}

/// How much of the answer passes before it breaks.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Start,
    Head,
    /// In the middle of the first message.
    HalfMessage,
    Message,
    /// The first message; an answer that has no other passes whole.
    SecondMessage,
    /// So many bytes; an answer that has no more passes whole.
    Bytes(usize),
}

/// How an answer breaks.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// The answer ends as if it were complete.
    End,
    /// The answer stops; the connection lives.
    Stall,
    /// The stream is reset; the connection lives.
    Reset(Reason),
    /// The connection ends with all that is on it.
    Cut(Ending),
}

/// An answer of the proxy's own.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) body: &'static str,
}

impl Answer {
    pub(super) const fn page(status: u16) -> Self {
        Self { status, headers: &[HTML, SQUID], body: PAGE }
    }
}

pub(super) const GRANTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

pub(super) const HTTP_2_AND_1: Alpn = &[b"h2", b"http/1.1"];

pub(super) const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
pub(super) const SQUID: (&str, &str) = ("server", "squid/5.7");
pub(super) const PAGE: &str =
    "<html><head><title>Blocked</title></head><body>Ask the network team.</body></html>\n";
