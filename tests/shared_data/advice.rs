//! Each recorded error body, through the REST transport: the advice names what the body names.

use std::collections::BTreeSet;
use std::sync::Arc;

use genai_bridge::gemini::advice;
use serde_json::Value;

use crate::recorded::{Recording, bridge_to, call, load_of, serve};

#[tokio::test]
#[ignore = "needs the shared test data"]
async fn the_advice_names_what_a_recorded_error_names() {
    let recordings: Vec<Recording> = load_of(|_| true)
        .into_iter()
        .filter(|recording| !errors_of(&recording.body).is_empty())
        .collect();
    let recordings = Arc::new(recordings);
    let bridge = bridge_to(serve(Arc::clone(&recordings)).await);
    let mut failures = 0;
    for (number, recording) in recordings.iter().enumerate() {
        // The body alone matters here, so any method will do.
        let method = recording.method.unwrap_or("GenerativeService/GenerateContent");
        let status = call(bridge.clone(), method, number).await.status;
        let advice = advice(&status).expect("an error");
        let text = advice.to_string();
        let names: BTreeSet<String> =
            errors_of(&recording.body).iter().flat_map(names_of).collect();
        let missing: Vec<&String> = names.iter().filter(|name| !text.contains(*name)).collect();
        println!("{}: {:?}\n  names {names:?}\n  {text}", recording.file, status.code());
        if !missing.is_empty() {
            failures += 1;
            println!("  MISSING {missing:?}");
        }
    }
    println!("{} error bodies, {failures} with something left out", recordings.len());
    assert_eq!(failures, 0);
    assert!(recordings.len() >= 40, "the recordings are not whole");
}

/// The error objects of a body, wherever in it they stand.
fn errors_of(body: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(body);
    let whole: Option<Value> = serde_json::from_slice(body).ok();
    let parts = text.lines().filter_map(|line| {
        let line = line.strip_prefix("data:").unwrap_or(line);
        serde_json::from_str(line).ok()
    });
    let values = whole.map_or_else(|| parts.collect(), |value| vec![value]);
    let elements = values.into_iter().flat_map(|value| match value {
        Value::Array(elements) => elements,
        other => vec![other],
    });
    let errors = elements.filter_map(|element| element.get("error").cloned());
    errors.filter(|error| error.get("code").is_some_and(Value::is_number)).collect()
}

/// Reason, quota, field, model, delay and link, by a plain walk of the JSON.
fn names_of(error: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let message = error["message"].as_str().unwrap_or_default();
    let words = message.split([' ', ',', '\n', '\'', '"']);
    names.extend(words.filter(|word| word.starts_with("models/")).map(str::to_owned));
    names.extend(error["details"].as_array().into_iter().flatten().flat_map(names_of_detail));
    names
}

fn names_of_detail(detail: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>();
    let each = |field: &str, keys: &[&str]| -> Vec<String> {
        let items = detail[field].as_array().into_iter().flatten();
        items.flat_map(|item| keys.iter().flat_map(|key| text(&item[*key]))).collect()
    };
    let kind =
        detail["@type"].as_str().and_then(|kind| kind.rsplit('.').next()).unwrap_or_default();
    match kind {
        "ErrorInfo" => {
            let metadata = detail["metadata"].as_object().into_iter().flatten();
            text(&detail["reason"])
                .into_iter()
                .chain(metadata.flat_map(|(_, value)| text(value)))
                .collect()
        }
        "QuotaFailure" => {
            let violations = detail["violations"].as_array().into_iter().flatten();
            let models =
                violations.flat_map(|violation| text(&violation["quotaDimensions"]["model"]));
            each("violations", &["quotaMetric", "quotaId", "quotaValue"])
                .into_iter()
                .chain(models)
                .collect()
        }
        "BadRequest" => each("fieldViolations", &["field", "description"]),
        "Help" => each("links", &["url"]),
        "RetryInfo" => {
            text(&detail["retryDelay"]).iter().map(|delay| delay.replace('s', " s")).collect()
        }
        _ => Vec::new(),
    }
}
