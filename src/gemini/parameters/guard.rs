//! Guard: the check that the bridge itself makes of each call.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use prost::Message as _;
use prost_types::Any;
use tonic::Code;
use tracing::warn;

use super::check::{Violation, check_parameters, model_fault};
use super::limits::Limits;
use crate::bridge::options::ParameterCheck;
use crate::call::{Call, Message};
use crate::error::Error;
use crate::json::{MAX_DEPTH, Wire};
use crate::proto::google::ai::generativelanguage::v1beta::GenerationConfig;
use crate::proto::google::rpc;

/// Looks at the parameters of calls that ask a model to write, by the builder's choice.
#[derive(Debug)]
pub(crate) struct Guard {
    mode: ParameterCheck,
    limits: HashMap<String, Limits>,
    /// Model and field of what was logged.
    warned: Mutex<HashSet<(String, &'static str)>>,
}

/// The two fields of a `GenerateContentRequest` that are checked: the prompt is passed over unread.
#[derive(Clone, PartialEq, prost::Message)]
struct Asked {
    #[prost(string, tag = "1")]
    model: String,
    #[prost(message, optional, tag = "4")]
    generation_config: Option<GenerationConfig>,
}

impl Guard {
    /// Each of the `limits` that is of one model holds for calls to that model.
    pub(crate) fn new(mode: ParameterCheck, limits: Vec<Limits>) -> Self {
        let limits =
            limits.into_iter().filter_map(|limits| Some((limits.model()?.to_owned(), limits)));
        Self { mode, limits: limits.collect(), warned: Mutex::default() }
    }

    /// Lets a call pass, or refuses it before anything is sent.
    ///
    /// # Errors
    /// [`ParameterCheck::Reject`], and a parameter is out of its range.
    pub(crate) fn admit(&self, call: &Call) -> Result<(), Error> {
        let Some(message) = self.message_of(call) else { return Ok(()) };
        if self.limits.is_empty() && is_plain(&message) {
            return Ok(());
        }
        // A message that cannot be read is the service's to refuse.
        let Ok(asked) = Asked::decode(message) else { return Ok(()) };
        let documented = Limits::documented();
        let limits = self.limits.get(&asked.model).unwrap_or(&documented);
        let violations = check_parameters(&asked.model, asked.generation_config.as_ref(), limits);
        if violations.is_empty() {
            return Ok(());
        }
        if self.mode == ParameterCheck::Reject {
            return Err(refusal(violations));
        }
        for violation in violations {
            self.warn_once(&asked.model, &violation);
        }
        Ok(())
    }

    /// `None`: not to be checked.
    fn message_of(&self, call: &Call) -> Option<Bytes> {
        let path = &call.method.as_ref()?.path;
        let (Message::One(frame), true) = (&call.message, METHODS.contains(&&**path)) else {
            return None;
        };
        if self.mode == ParameterCheck::Off || frame.is_compressed() {
            return None;
        }
        Some(frame.message())
    }

    fn warn_once(&self, model: &str, violation: &Violation) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < MOST_WARNINGS && warned.insert((model.to_owned(), violation.field())) {
            warn!(%violation, "the service may refuse this parameter");
        }
    }
}

/// Whether a request sets no parameter and has a good name of a model, as most: it is not decoded.
fn is_plain(message: &[u8]) -> bool {
    let (mut wire, mut model) = (Wire::new(message), None);
    while !wire.is_empty() {
        let Ok(field) = wire.next_field(MAX_DEPTH) else { return false };
        match field.number {
            1 => model = Wire::new(field.value).delimited().ok(),
            4 => return false,
            _ => {}
        }
    }
    let model = model.and_then(|model| std::str::from_utf8(model).ok());
    model.is_some_and(|model| model_fault(model).is_none())
}

fn refusal(violations: Vec<Violation>) -> Error {
    let texts: Vec<String> = violations.iter().map(ToString::to_string).collect();
    let field_violations = violations.into_iter().map(Into::into).collect();
    let message = texts.join("; ");
    let detail = Any {
        type_url: "type.googleapis.com/google.rpc.BadRequest".to_owned(),
        value: rpc::BadRequest { field_violations }.encode_to_vec(),
    };
    let packed = rpc::Status { code: Code::InvalidArgument.into(), message, details: vec![detail] };
    Error::invalid_request(packed.message.clone()).with_details(Bytes::from(packed.encode_to_vec()))
}

/// The methods whose requests are checked.
const METHODS: [&str; 4] = [
    "/google.ai.generativelanguage.v1.GenerativeService/GenerateContent",
    "/google.ai.generativelanguage.v1.GenerativeService/StreamGenerateContent",
    "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent",
    "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent",
];
/// A program that makes up a name for each call must not fill the memory.
const MOST_WARNINGS: usize = 1000;
