//! Advice: what happened, why, and what to do, for each error that a call can end in.

mod facts;
mod rows;

use std::error::Error as _;
use std::fmt;

use tonic::{Code, Status};

use super::Details;
use crate::error::Error;
use facts::{Facts, clean};
use rows::{Row, STREAM_UNDER, reason_of, row_of};

/// Who said that a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Speaker {
    /// The service itself.
    Service,
    /// Something between here and the service, or nobody at all.
    Network,
    /// This process: the bridge, or the generated client above it.
    Client,
}

/// An error in plain words. Its `Display` has a line for each part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    speaker: Speaker,
    happened: String,
    facts: Vec<String>,
    cause: Option<&'static str>,
    remedies: Vec<String>,
}

impl Advice {
    /// Who said that the call failed.
    pub fn speaker(&self) -> Speaker {
        self.speaker
    }

    /// What happened: code and message, or the symptom with its hop.
    pub fn happened(&self) -> &str {
        &self.happened
    }

    /// What the details of the status name: reason, quota, field, resource. Never what the
    /// service's developers wrote for each other (`DebugInfo`).
    pub fn facts(&self) -> &[String] {
        &self.facts
    }

    /// Why it usually happens; `None` where what happened says so itself.
    pub fn cause(&self) -> Option<&str> {
        self.cause
    }

    /// What a person can do, the best remedy first.
    pub fn remedies(&self) -> &[String] {
        &self.remedies
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.happened)?;
        for fact in &self.facts {
            write!(f, "\n  it names: {fact}")?;
        }
        if let Some(cause) = self.cause {
            write!(f, "\n  why: {cause}")?;
        }
        for remedy in &self.remedies {
            write!(f, "\n  to do: {remedy}")?;
        }
        Ok(())
    }
}

/// Explains a status, whoever made it; `None` if it is no error.
///
/// Goes by the code and the `google.rpc` details, so that both transports give the same advice; the
/// words of the service are repeated, not interpreted. [`advice_for`] knows the version of the API
/// as well.
///
/// ```
/// let status = tonic::Status::not_found("models/gemini-0 is not found for API version v1beta");
/// let advice = genai_bridge::gemini::advice(&status).expect("an error");
/// assert!(advice.to_string().contains("ListModels"));
/// ```
pub fn advice(status: &Status) -> Option<Advice> {
    if status.code() == Code::Ok {
        return None;
    }
    let details = Facts::of(&Details::of(status));
    let mut advice = match Error::of(status) {
        Some(error) => of_error(error),
        None => of_status(status, details.reason.as_deref()),
    };
    advice.facts = details.named;
    advice.remedies.splice(0..0, details.wait);
    advice.remedies.extend(details.links);
    Some(advice)
}

/// The same for a status that ended a call of `method` (`/package.Service/Method`).
///
/// A request that v1 finds malformed may use what only v1beta has; the advice then names the
/// version. A unary `GenerateContent` that the service did not finish in time may be a stream.
pub fn advice_for(status: &Status, method: &str) -> Option<Advice> {
    let mut advice = advice(status)?;
    let is_refused = status.code() == Code::InvalidArgument || status.code() == Code::NotFound;
    if advice.speaker == Speaker::Service && is_refused && method.starts_with(V1) {
        advice.remedies.insert(
            0,
            "this call went to version v1, which has fewer fields and models than v1beta: if what is named exists in v1beta, use the client in genai_bridge::v1beta".to_owned(),
        );
    }
    if advice.speaker == Speaker::Service
        && status.code() == Code::DeadlineExceeded
        && method.ends_with(GENERATE)
    {
        advice.remedies.push(STREAM_UNDER.to_owned());
    }
    Some(advice)
}

fn of_error(error: &Error) -> Advice {
    let speaker = if error.symptom().is_some() { Speaker::Network } else { Speaker::Client };
    let remedies = [error.advice(), error.advises_streaming().then_some(STREAM_UNDER)];
    Advice {
        speaker,
        happened: clean(&with_causes(error)),
        facts: Vec::new(),
        cause: None,
        // Of two transports that failed, the second one's: the first one's may be to take the
        // second.
        remedies: remedies.into_iter().flatten().map(str::to_owned).collect(),
    }
}

/// Where the network broke the call, the symptom says it all.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source().filter(|_| error.symptom().is_none());
    while let Some(found) = cause {
        let told = found.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = found.source();
    }
    text
}

fn of_status(status: &Status, reason: Option<&str>) -> Advice {
    let Row { http, name, mut cause, mut remedies, .. } = *row_of(status.code());
    if let Some(known) = reason.and_then(reason_of) {
        (cause, remedies) = (known.cause, known.remedies);
    }
    // tonic's own statuses have a source: what a server sent has none.
    let (speaker, who) = if status.source().is_some() {
        (Speaker::Client, "the call ended here with")
    } else {
        (Speaker::Service, "the service answered")
    };
    let happened = format!("{who} {http} {name}: {}", clean(status.message()));
    let remedies = remedies.iter().map(|remedy| (*remedy).to_owned()).collect();
    Advice { speaker, happened, facts: Vec::new(), cause: Some(cause), remedies }
}

const GENERATE: &str = "/GenerateContent";
const V1: &str = "/google.ai.generativelanguage.v1.";

#[cfg(test)]
mod tests;
