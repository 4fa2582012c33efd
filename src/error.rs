//! Error, `ErrorKind`; the only place where ours becomes a `tonic::Status`.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tonic::{Code, Status};

use crate::symptom::{Delivery, Station, Symptom, SymptomKind};

/// Any cause that can stand behind an [`Error`].
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// What went wrong before the service: in the configuration, in the caller's request, or on the
/// network.
///
/// An error of the service itself is never wrapped in this type: it reaches the caller as the plain
/// [`Status`] that the service sent. A `Status` that the bridge made carries its `Error` as source,
/// and [`Error::of`] finds it. A `Status` without one comes from the service, from tonic's decoder,
/// or from a layer above the bridge.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: Cow<'static, str>,
    symptom: Option<Symptom>,
    source: Option<BoxError>,
    /// What to do, where kind and symptom do not say it.
    remedy: Option<&'static str>,
    /// What the first transport met.
    first: Option<Error>,
    /// A packed `google.rpc.Status`, for the `Status` that this becomes.
    details: Bytes,
    /// A stream would have brought something in the time for which the call was silent.
    advises_streaming: bool,
}

/// The class of an [`Error`], and with it the [`Code`] of the `Status` it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting of the builder is wrong. `build()` finds it, before any call.
    Configuration,
    /// A descriptor set or a service configuration cannot be read.
    Schema,
    /// The caller's message or metadata cannot be sent as it is: `INVALID_ARGUMENT`.
    InvalidRequest,
    /// The chosen transport has no form for this method: `UNIMPLEMENTED`.
    Unsupported,
    /// A message is larger than the bridge's own limit: `OUT_OF_RANGE`, as in tonic.
    MessageTooLarge,
    /// The head or the trailers of an answer, or an error's text over REST, are larger than the
    /// bridge's own limit, so the status is incomplete: `OUT_OF_RANGE`.
    MetadataTooLarge,
    /// The credentials could not be obtained: `UNAUTHENTICATED`.
    Credentials,
    /// The call's deadline passed: `DEADLINE_EXCEEDED`.
    DeadlineExceeded,
    /// No usable connection could be opened, so nothing was sent: `UNAVAILABLE`.
    Connect,
    /// The connection broke, or fell silent, during the call: `UNAVAILABLE`.
    Interrupted,
    /// Something between the bridge and the service answered in the service's place. The code is
    /// the one that the HTTP status maps to, or `UNAVAILABLE` if the HTTP status is no error.
    ForeignAnswer,
    /// The answer ended before it was complete: `DATA_LOSS`.
    Truncated,
    /// The answer does not follow the protocol that it claims to use: `INTERNAL`.
    MalformedAnswer,
    /// The bridge was closed before the call began, so nothing was sent: `CANCELLED`.
    Closed,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, context: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            context: context.into(),
            symptom: None,
            source: None,
            remedy: None,
            first: None,
            details: Bytes::new(),
            advises_streaming: false,
        }))
    }

    pub(crate) fn invalid_request(context: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidRequest, context)
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_remedy(mut self, remedy: &'static str) -> Self {
        self.0.remedy = Some(remedy);
        self
    }

    pub(crate) fn with_details(mut self, details: Bytes) -> Self {
        self.0.details = details;
        self
    }

    /// The same failure, met after the `first` transport had failed.
    pub(crate) fn after(mut self, first: Self) -> Self {
        self.0.first = Some(first);
        self
    }

    /// The same failure once more, for each call that waited for what failed.
    pub(crate) fn repeat(self: &Arc<Self>) -> Self {
        let mut repeated = match self.symptom() {
            Some(symptom) => Self::from(symptom.clone()),
            None => Self::new(self.kind(), self.to_string()),
        };
        repeated.0.remedy = self.0.remedy;
        match self.source() {
            Some(_) => repeated.with_source(SharedCause(Arc::clone(self))),
            None => repeated,
        }
    }

    /// Whether a cause is of this type.
    pub(crate) fn has_cause<T: StdError + 'static>(&self) -> bool {
        let mut cause = self.source();
        while let Some(error) = cause {
            if error.is::<T>() {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Blanks a secret out wherever a peer repeated it.
    pub(crate) fn hide(&mut self, secret: &[u8]) {
        if let Some(symptom) = &mut self.0.symptom {
            symptom.hide(secret);
        }
    }

    /// REST could carry the call, which its caller gave to gRPC alone.
    pub(crate) fn open_rest(&mut self) {
        if let Some(symptom) = &mut self.0.symptom {
            symptom.open_rest();
        }
    }

    pub(crate) fn advise_streaming(&mut self) {
        self.0.advises_streaming = true;
    }

    pub(crate) fn advises_streaming(&self) -> bool {
        self.0.advises_streaming
    }

    /// The error that a `Status` made by the bridge carries. `None` if something else made the
    /// `Status`: the service, tonic's decoder, or a layer above the bridge.
    pub fn of(status: &Status) -> Option<&Self> {
        let mut cause = status.source();
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }

    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// How the network broke the call. `None` if it did not.
    pub fn symptom(&self) -> Option<&Symptom> {
        self.0.symptom.as_ref()
    }

    /// The error on the first transport, if the call failed on both. This error is then the one on
    /// the second transport.
    ///
    /// The second transport's error comes first, because it had the call last: what its failure
    /// proves about the request holds.
    pub fn first(&self) -> Option<&Self> {
        self.0.first.as_ref()
    }

    /// What a person can do about it, in plain words. `None` if the text of the error says
    /// everything.
    pub fn advice(&self) -> Option<&'static str> {
        self.0.remedy.or_else(|| self.symptom().map(Symptom::advice)).or(match self.0.kind {
            ErrorKind::Credentials => Some(
                "set GEMINI_API_KEY or GOOGLE_API_KEY, or give other credentials (`BridgeBuilder::credentials`)",
            ),
            ErrorKind::DeadlineExceeded => Some(
                "raise the call's timeout (`BridgeBuilder::default_deadline`, if the call sets none), shorten the prompt, or choose a faster model; if no call ends in time, look at the network with `genai-bridge doctor`",
            ),
            ErrorKind::Truncated => Some(
                "the text may be cut: send the prompt again if paying twice is acceptable",
            ),
            ErrorKind::MessageTooLarge => Some(
                "the limit is the bridge's own: raise it with `BridgeBuilder::max_message_size`; a client generated by tonic has a limit too (`max_decoding_message_size`)",
            ),
            ErrorKind::MetadataTooLarge => Some(
                "the limit is the bridge's own: raise it with `BridgeBuilder::max_metadata_size`; the service has answered this call: if you send it again, you pay again",
            ),
            _ => None,
        })
    }

    /// Without what the first transport met.
    fn own_text(&self) -> Cow<'_, str> {
        let text: Cow<'_, str> = match (&self.0.symptom, self.0.context.as_ref()) {
            (Some(symptom), "") => symptom.to_string().into(),
            (Some(symptom), context) => format!("{context}: {symptom}").into(),
            (None, context) => context.into(),
        };
        // Here alone: what a stranger said stands in no log of the bridge's own.
        match self.0.symptom.as_ref().and_then(|symptom| symptom.evidence().words()) {
            Some(words) => format!("{text}: {words:?}").into(),
            None => text,
        }
    }

    fn code(&self) -> Code {
        match self.0.kind {
            ErrorKind::Configuration => Code::FailedPrecondition,
            ErrorKind::Schema | ErrorKind::MalformedAnswer => Code::Internal,
            ErrorKind::InvalidRequest => Code::InvalidArgument,
            ErrorKind::Unsupported => Code::Unimplemented,
            ErrorKind::MessageTooLarge | ErrorKind::MetadataTooLarge => Code::OutOfRange,
            ErrorKind::Credentials => Code::Unauthenticated,
            ErrorKind::DeadlineExceeded => Code::DeadlineExceeded,
            ErrorKind::Connect | ErrorKind::Interrupted => Code::Unavailable,
            ErrorKind::ForeignAnswer => self
                .symptom()
                .and_then(|symptom| symptom.evidence().status())
                .map_or(Code::Unavailable, code_of_foreign_answer),
            ErrorKind::Truncated => Code::DataLoss,
            ErrorKind::Closed => Code::Cancelled,
        }
    }
}

/// `what` says what is too large, and how large it is.
pub(crate) fn metadata_too_large(what: &str, limit: usize) -> Error {
    let text = format!("{what}, over the bridge's limit of {limit} for a status and its metadata");
    Error::new(ErrorKind::MetadataTooLarge, text)
}

/// The code for an HTTP answer that did not come from the service.
///
/// Google's own HTTP table (`google/rpc/code.proto`), but for what an intermediary says of the way
/// to the service: 408, 502 and 504 are `UNAVAILABLE`, and so is a success or a redirect.
fn code_of_foreign_answer(status: http::StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::Aborted,
        413 | 416 => Code::OutOfRange,
        429 => Code::ResourceExhausted,
        499 => Code::Cancelled,
        501 => Code::Unimplemented,
        408 | 502..=504 => Code::Unavailable,
        405..=498 => Code::FailedPrecondition,
        500..=599 => Code::Internal,
        _ => Code::Unavailable,
    }
}

impl From<Symptom> for Error {
    fn from(symptom: Symptom) -> Self {
        let kind = match (symptom.kind(), symptom.station()) {
            (SymptomKind::BodyTruncated | SymptomKind::TrailersMissing, _) => ErrorKind::Truncated,
            (SymptomKind::BodyMalformed, _) => ErrorKind::MalformedAnswer,
            _ if symptom.delivery() == Delivery::Answered => ErrorKind::ForeignAnswer,
            (_, station) if station < Station::Request => ErrorKind::Connect,
            _ => ErrorKind::Interrupted,
        };
        let mut error = Self::new(kind, "");
        error.0.symptom = Some(symptom);
        error
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let details = error.0.details.clone();
        let mut status = Self::with_details(error.code(), error.to_string(), details);
        status.set_source(Arc::new(error));
        status
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.own_text();
        match self.0.first.as_ref().map(Self::to_string) {
            Some(first) if first == last => write!(f, "{last}; over both transports"),
            Some(first) => write!(f, "{first}; then over the other transport: {last}"),
            None => f.write_str(&last),
        }
    }
}

/// With the remedy: of a program whose `main` returns an error, a person sees this alone.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.0.kind).field("text", &self.to_string());
        if let Some(symptom) = &self.0.symptom {
            debug.field("symptom", symptom);
        }
        if let Some(advice) = self.advice() {
            debug.field("advice", &advice);
        }
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

/// What caused an error that several calls are told.
#[derive(Debug)]
struct SharedCause(Arc<Error>);

impl fmt::Display for SharedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().map_or(Ok(()), |cause| write!(f, "{cause}"))
    }
}

impl StdError for SharedCause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source().and_then(StdError::source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_we_made_carries_its_error() {
        let status = Status::from(Error::invalid_request("field `model` is empty"));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "field `model` is empty");
        let error = Error::of(&status).expect("ours");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(Error::of(&Status::not_found("from the service")).is_none());
    }

    #[test]
    fn what_a_main_shows_has_the_remedy_and_nothing_that_is_not_there() {
        let text = format!("{:?}", Error::from(Symptom::new(SymptomKind::TlsReset, "host a:1")));
        assert!(text.contains("network team") && !text.contains("None"), "{text}");
    }

    #[test]
    fn both_causes_are_told_the_first_one_first() {
        let error = Error::from(Symptom::new(SymptomKind::ConnectionLost, "host b:2"))
            .after(Symptom::new(SymptomKind::Http2NotOffered, "proxy a:1").into());
        let text = error.to_string();
        assert!(text.find("proxy a:1") < text.find("host b:2"), "{text}");
    }

    #[test]
    fn what_both_transports_met_is_told_once() {
        let met = || Error::from(Symptom::new(SymptomKind::ConnectionRefused, "host a:1"));
        let text = met().after(met()).to_string();
        assert_eq!(text, "host a:1 refused the connection; over both transports");
    }

    #[test]
    fn of_two_causes_the_one_that_had_the_call_last_says_what_is_proven() {
        let error = Error::from(Symptom::new(SymptomKind::ConnectionLost, "host b:2"))
            .after(Symptom::new(SymptomKind::Http2NotOffered, "proxy a:1").into());
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        assert_eq!(error.symptom().map(Symptom::delivery), Some(Delivery::Unknown));
    }
}
