//! Details: the `google.rpc` messages that explain a status, each by its type; unknown ones are
//! kept.

use prost::Message;
use prost_types::Any;
use tonic::Status;

use crate::proto::google::rpc;

/// What a status carries beside its code and message, the same over gRPC and over REST.
///
/// ```
/// use genai_bridge::gemini::Details;
///
/// # fn explain(status: &tonic::Status) {
/// let details = Details::of(status);
/// if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
///     println!("try again in {} s", delay.seconds);
/// }
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Details {
    error_info: Option<rpc::ErrorInfo>,
    retry_info: Option<rpc::RetryInfo>,
    debug_info: Option<rpc::DebugInfo>,
    quota_failure: Option<rpc::QuotaFailure>,
    precondition_failure: Option<rpc::PreconditionFailure>,
    bad_request: Option<rpc::BadRequest>,
    request_info: Option<rpc::RequestInfo>,
    resource_info: Option<rpc::ResourceInfo>,
    help: Option<rpc::Help>,
    localized_message: Option<rpc::LocalizedMessage>,
    others: Vec<Any>,
}

impl Details {
    /// The details of a status; empty where it has none, or none that can be read.
    pub fn of(status: &Status) -> Self {
        let packed = rpc::Status::decode(status.details()).unwrap_or_default();
        let mut details = Self::default();
        for detail in packed.details {
            if !details.take(&detail) {
                details.others.push(detail);
            }
        }
        details
    }

    /// The first of each type counts; one that cannot be read, or comes twice, is not taken.
    fn take(&mut self, detail: &Any) -> bool {
        let Some((_, name)) = detail.type_url.rsplit_once("/google.rpc.") else { return false };
        let wire = &detail.value;
        match name {
            "ErrorInfo" => take(&mut self.error_info, wire),
            "RetryInfo" => take(&mut self.retry_info, wire),
            "DebugInfo" => take(&mut self.debug_info, wire),
            "QuotaFailure" => take(&mut self.quota_failure, wire),
            "PreconditionFailure" => take(&mut self.precondition_failure, wire),
            "BadRequest" => take(&mut self.bad_request, wire),
            "RequestInfo" => take(&mut self.request_info, wire),
            "ResourceInfo" => take(&mut self.resource_info, wire),
            "Help" => take(&mut self.help, wire),
            "LocalizedMessage" => take(&mut self.localized_message, wire),
            _ => false,
        }
    }

    /// The cause as a constant, such as `API_KEY_INVALID`, with its domain and what it is about.
    pub fn error_info(&self) -> Option<&rpc::ErrorInfo> {
        self.error_info.as_ref()
    }

    /// How long to wait before the next attempt. The bridge's own retries obey it.
    pub fn retry_info(&self) -> Option<&rpc::RetryInfo> {
        self.retry_info.as_ref()
    }

    /// What the service's developers see. It may repeat a key: do not log it.
    pub fn debug_info(&self) -> Option<&rpc::DebugInfo> {
        self.debug_info.as_ref()
    }

    /// Which quota is used up.
    pub fn quota_failure(&self) -> Option<&rpc::QuotaFailure> {
        self.quota_failure.as_ref()
    }

    /// What must hold before the call can succeed.
    pub fn precondition_failure(&self) -> Option<&rpc::PreconditionFailure> {
        self.precondition_failure.as_ref()
    }

    /// Which fields of the request are wrong.
    pub fn bad_request(&self) -> Option<&rpc::BadRequest> {
        self.bad_request.as_ref()
    }

    /// The number of the request, to quote in a report.
    pub fn request_info(&self) -> Option<&rpc::RequestInfo> {
        self.request_info.as_ref()
    }

    /// Which resource the call failed at.
    pub fn resource_info(&self) -> Option<&rpc::ResourceInfo> {
        self.resource_info.as_ref()
    }

    /// Where to read on.
    pub fn help(&self) -> Option<&rpc::Help> {
        self.help.as_ref()
    }

    /// The message in another language.
    pub fn localized_message(&self) -> Option<&rpc::LocalizedMessage> {
        self.localized_message.as_ref()
    }

    /// All others as they came: unknown types, a second one of a type, one that cannot be read.
    pub fn others(&self) -> &[Any] {
        &self.others
    }
}

fn take<M: Message + Default>(place: &mut Option<M>, wire: &[u8]) -> bool {
    let is_first = place.is_none();
    if is_first {
        *place = M::decode(wire).ok();
    }
    is_first && place.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tonic::Code;

    fn status(details: Vec<Any>) -> Status {
        let packed = rpc::Status { details, ..Default::default() }.encode_to_vec();
        Status::with_details(Code::Internal, "m", packed.into())
    }

    fn any(name: &str, message: &impl Message) -> Any {
        let type_url = format!("type.googleapis.com/google.rpc.{name}");
        Any { type_url, value: message.encode_to_vec() }
    }

    #[test]
    fn each_type_is_found_and_the_rest_is_kept() {
        let retry =
            rpc::RetryInfo { retry_delay: Some(prost_types::Duration { seconds: 3, nanos: 0 }) };
        let second = rpc::RetryInfo::default();
        let unknown =
            Any { type_url: "type.googleapis.com/nobody.knows.This".into(), value: vec![8, 1] };
        let broken = Any { value: vec![255], ..any("Help", &()) };
        let details = Details::of(&status(vec![
            unknown.clone(),
            any("RetryInfo", &retry),
            any("RetryInfo", &second),
            any("ErrorInfo", &rpc::ErrorInfo { reason: "r".into(), ..Default::default() }),
            any("DebugInfo", &rpc::DebugInfo::default()),
            any("QuotaFailure", &rpc::QuotaFailure::default()),
            any("PreconditionFailure", &rpc::PreconditionFailure::default()),
            any("BadRequest", &rpc::BadRequest::default()),
            any("RequestInfo", &rpc::RequestInfo::default()),
            any("ResourceInfo", &rpc::ResourceInfo::default()),
            any("LocalizedMessage", &rpc::LocalizedMessage::default()),
            broken.clone(),
        ]));
        assert_eq!(details.retry_info(), Some(&retry));
        assert_eq!(details.error_info().expect("one").reason, "r");
        assert!(details.debug_info().is_some() && details.quota_failure().is_some());
        assert!(details.precondition_failure().is_some() && details.bad_request().is_some());
        assert!(details.request_info().is_some() && details.resource_info().is_some());
        assert!(details.localized_message().is_some() && details.help().is_none());
        assert_eq!(details.others(), [unknown, any("RetryInfo", &second), broken]);
    }

    #[test]
    fn what_is_no_status_has_no_details() {
        let status = Status::with_details(Code::Internal, "m", Bytes::from_static(b"\xff\xff"));
        assert_eq!(Details::of(&status), Details::default());
    }
}
