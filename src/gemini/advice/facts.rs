//! Facts: what the details of a status name, each in one line, without keys.

use std::collections::HashMap;
use std::time::Duration;

use crate::gemini::Details;
use crate::proto::google::rpc;

/// The details of a status, as lines.
#[derive(Default)]
pub(super) struct Facts {
    /// The reason of `ErrorInfo`, as it came.
    pub(super) reason: Option<String>,
    pub(super) named: Vec<String>,
    /// How long to wait.
    pub(super) wait: Option<String>,
    /// Where to read on.
    pub(super) links: Vec<String>,
}

impl Facts {
    pub(super) fn of(details: &Details) -> Self {
        let mut named: Vec<String> = Vec::new();
        named.extend(details.error_info().map(reason_line));
        named.extend(
            details.quota_failure().iter().flat_map(|quota| &quota.violations).map(quota_line),
        );
        let fields = details.bad_request().into_iter().flat_map(|bad| &bad.field_violations);
        named.extend(fields.map(field_line));
        let states =
            details.precondition_failure().into_iter().flat_map(|failure| &failure.violations);
        named
            .extend(states.map(|state| join(&[&state.r#type, &state.subject, &state.description])));
        named.extend(details.resource_info().map(|resource| {
            join(&[&resource.resource_type, &resource.resource_name, &resource.description])
        }));
        named.extend(details.localized_message().map(|message| message.message.clone()));
        named.extend(details.request_info().map(|info| format!("request {}", info.request_id)));
        let others = details
            .others()
            .iter()
            .map(|detail| format!("a detail of type {}, see `Details::others`", detail.type_url));
        named.extend(others);
        let links = details.help().into_iter().flat_map(|help| &help.links);
        Self {
            reason: details.error_info().map(|info| info.reason.clone()),
            named: named.iter().map(|line| clean(line)).collect(),
            wait: details.retry_info().and_then(wait_line),
            links: links
                .map(|link| clean(&format!("see {} ({})", link.url, link.description)))
                .collect(),
        }
    }
}

fn reason_line(info: &rpc::ErrorInfo) -> String {
    format!("reason {} of {}{}", info.reason, info.domain, pairs(&info.metadata))
}

fn quota_line(violation: &rpc::quota_failure::Violation) -> String {
    let name = join(&[&violation.quota_id, &violation.quota_metric, &violation.subject]);
    let limit = match violation.quota_value {
        0 => String::new(),
        value => format!(", limit {value}"),
    };
    let rest = join(&[&violation.api_service, &violation.description]);
    let rest = if rest.is_empty() { rest } else { format!(": {rest}") };
    format!("quota {name}{limit}{}{rest}", pairs(&violation.quota_dimensions))
}

fn field_line(violation: &rpc::bad_request::FieldViolation) -> String {
    match violation.field.as_str() {
        "" => violation.description.clone(),
        field => format!("field `{field}`: {}", violation.description),
    }
}

fn wait_line(retry: &rpc::RetryInfo) -> Option<String> {
    let delay = Duration::try_from(retry.retry_delay?).ok()?;
    Some(format!("wait {} s before the next attempt, as the service asks", delay.as_secs_f64()))
}

/// What is not empty, with commas.
fn join(texts: &[&str]) -> String {
    let texts: Vec<&str> = texts.iter().copied().filter(|text| !text.is_empty()).collect();
    texts.join(", ")
}

/// ` (a: b, c: d)`, in the order of the names.
fn pairs(map: &HashMap<String, String>) -> String {
    let mut pairs: Vec<String> =
        map.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    pairs.sort();
    if pairs.is_empty() { String::new() } else { format!(" ({})", pairs.join(", ")) }
}

/// The service's words for one line: cut to a bearable length, control characters and API keys
/// taken out.
///
/// Google repeats keys in some refusals (`Consumer 'api_key:AIza...' has been suspended`).
pub(super) fn clean(text: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let mut cleaned = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_of_word) {
        let (between, word_on) = rest.split_at(start);
        let end = word_on.find(|c| !is_of_word(c)).unwrap_or(word_on.len());
        let (word, after) = word_on.split_at(end);
        cleaned.push_str(between);
        cleaned.push_str(if is_key(word) { "(key hidden)" } else { word });
        rest = after;
    }
    cleaned.push_str(rest);
    let line = cleaned.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = line.take(MAX_LINE + 1).collect();
    if let Some((cut, _)) = line.char_indices().nth(MAX_LINE) {
        line.truncate(cut);
        line.push_str("...");
    }
    line
}

/// Keys of Google's APIs begin so.
fn is_key(word: &str) -> bool {
    (word.starts_with("AIza") || word.starts_with("AQ.")) && word.len() >= 20
}

/// The longest messages of the service, those on quotas, have about 700 characters.
const MAX_LINE: usize = 1000;
