//! Guard: the check that the bridge itself makes of each call.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use prost::Message as _;
use prost_types::Any;
use tonic::Code;
use tracing::warn;

use super::check::{Violation, check_parameters};
use super::limits::Limits;
use crate::bridge::options::ParameterCheck;
use crate::call::{Call, Message};
use crate::error::Error;
use crate::json::{MAX_DEPTH, Wire};
use crate::proto::google::ai::generativelanguage::v1beta::GenerationConfig;
use crate::proto::google::rpc;
use crate::schema::WireType;

/// Looks at the parameters of calls that ask a model to write, by the builder's choice.
#[derive(Debug)]
pub(crate) struct Guard {
    mode: ParameterCheck,
    limits: HashMap<String, Limits>,
    /// Model and field of what was logged.
    warned: Mutex<HashSet<(String, &'static str)>>,
}

/// The fields of a `GenerateContentRequest` that are checked: the prompt is passed over unread.
struct Asked<'a> {
    model: &'a str,
    /// Boxed, as many calls have none.
    generation_config: Option<Box<GenerationConfig>>,
    service_tier: i32,
}

impl<'a> Asked<'a> {
    /// `None`: the message cannot be read.
    fn read(message: &'a [u8]) -> Option<Self> {
        let mut asked = Self { model: "", generation_config: None, service_tier: 0 };
        let mut wire = Wire::new(message);
        while !wire.is_empty() {
            let field = wire.next_field(MAX_DEPTH).ok()?;
            let mut value = Wire::new(field.value);
            match (field.number, field.wire_type) {
                (1, WireType::Delimited) => {
                    asked.model = std::str::from_utf8(value.delimited().ok()?).ok()?;
                }
                (4, WireType::Delimited) => {
                    let config = asked.generation_config.get_or_insert_default();
                    config.merge(value.delimited().ok()?).ok()?;
                }
                #[expect(clippy::cast_possible_truncation, reason = "enums keep the low 32 bits")]
                (SERVICE_TIER, WireType::Varint) => {
                    asked.service_tier = value.varint().ok()? as i32;
                }
                (1 | 4 | SERVICE_TIER, _) => return None,
                _ => {}
            }
        }
        Some(asked)
    }
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
        // A message that cannot be read is the service's to refuse.
        let Some(asked) = Asked::read(&message) else { return Ok(()) };
        let documented = Limits::documented();
        let limits = self.limits.get(asked.model).unwrap_or(&documented);
        let config = asked.generation_config.as_deref();
        let violations = check_parameters(asked.model, config, asked.service_tier, limits);
        if violations.is_empty() {
            return Ok(());
        }
        if self.mode == ParameterCheck::Reject {
            return Err(refusal(violations));
        }
        for violation in violations {
            self.warn_once(asked.model, &violation);
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
/// The number of `service_tier`, in `proto/overlay`.
const SERVICE_TIER: u32 = 266_000_001;
/// A program that makes up a name for each call must not fill the memory.
const MOST_WARNINGS: usize = 1000;
