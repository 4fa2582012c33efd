//! Files and interactions: what Google's clients do beyond calls stays with the sidecar.

use genai_bridge::emulator::{Emulator, Page, Received};
use http::Method;
use serde_json::json;

use super::{Setting, VERSIONS};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs squid-openssl and the clients"]
async fn files_and_interactions_go_through_the_sidecar_and_nowhere_else() {
    let setting = Setting::start().await;
    for program in [setting.python("files.py"), Setting::node("files.mjs")] {
        let direct = setting.talk(setting.directly(&program));
        let through = setting.talk(setting.through_sidecar(&program));
        for line in &through {
            println!("{line}");
        }
        assert!(direct.len() >= 5, "{direct:?}");
        assert_eq!(direct, through);
        // squid says that it was there; what went past the sidecar went past squid as well.
        let received = setting.bed.origin.received();
        let past = received.iter().filter(|request| !request.headers().contains_key("via"));
        let past: Vec<_> = past.map(|request| request.target().to_owned()).collect();
        assert!(!received.is_empty() && past.is_empty(), "past the sidecar: {past:?}");
        println!(
            "{} requests reached the service through squid, {} past it",
            received.len(),
            past.len()
        );
    }
}

/// The bridge moves a file by the requests of Google's client, but for what identifies who sends
/// them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the clients"]
async fn the_bridges_requests_for_files_are_those_of_googles_client() {
    let setting = Setting::start().await;
    let emulator = &setting.bed.origin;
    setting.talk(setting.directly(&setting.python("files.py")));
    let theirs = transfers(emulator);
    emulator.clear();
    let content: Vec<u8> = (0_u64..(20 << 20) / 8).flat_map(u64::to_be_bytes).collect();
    let path = setting.file("film.mp4");
    std::fs::write(&path, &content).expect("a file");
    let bridge = genai_bridge::Bridge::builder()
        .endpoint(emulator.endpoint())
        .add_root_certificates(emulator.root_certificate())
        .api_key("a-key")
        .proxy(genai_bridge::Proxy::none())
        .build()
        .expect("a bridge");
    let files = bridge.files().v1();
    let upload = files.upload(&path).mime_type("video/mp4").display_name("a film");
    let file = upload.send().await.expect("an upload");
    let mut back = Vec::new();
    files.download(&file.name).write_to(&mut back).await.expect("a download");
    assert!(back == content);
    let ours = transfers(emulator);
    for (theirs, ours) in theirs.iter().zip(&ours) {
        let mark = if theirs == ours { "same" } else { "DIFFERENT" };
        println!("{mark}: {theirs}\n      {ours}");
    }
    assert_eq!(theirs.get(..ours.len()).expect("as many"), ours);
}

/// Verb, path and what `X-Goog-Upload-*` says of each request. Left out: ids, the name of a
/// temporary file, and how long the JSON of a start is, which each client spells in its own way.
fn transfers(emulator: &Emulator) -> Vec<String> {
    let told = |request: &Received| {
        let headers = request.headers();
        let is_start = headers.get("x-goog-upload-command").is_some_and(|said| said == "start");
        let is_told = |name: &str| match name {
            "x-goog-upload-file-name" => false,
            "content-length" => !is_start,
            // Python's client repeats the headers of the start with each piece.
            "x-goog-upload-command" | "x-goog-upload-offset" => true,
            name => is_start && name.starts_with("x-goog-upload"),
        };
        let headers = headers.iter().filter(|(name, _)| is_told(name.as_str()));
        let mut headers: Vec<String> = headers
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap_or_default()))
            .collect();
        headers.sort();
        let target = request.target().split("upload_id=").next().unwrap_or_default();
        let target = target.replace(&emulator.endpoint(), "");
        let target: String = target.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        format!("{} {target} {}", request.verb(), headers.join(" "))
    };
    emulator.received().iter().map(told).collect()
}

/// Puts the service into a state for what has no proto.
pub(super) fn set(emulator: &Emulator, stage: &str) {
    let whole = json!({"id": "i-1", "object": "interaction", "model": "gemini-2.5-flash", "status": "completed",
        "created": "2026-11-01T00:00:00Z", "updated": "2026-11-01T00:00:00Z", "role": "model",
        "outputs": [{"type": "text", "text": "blue"}]});
    let page = if stage == "interaction" {
        Page::json(whole.to_string())
    } else {
        let events = ["interaction.created", "interaction.status_update", "interaction.completed"];
        let events = events.map(|name| {
            let data = json!({"event_type": name, "interaction": whole, "interaction_id": "i-1", "status": "completed"});
            format!("event: {name}\ndata: {data}\n\n")
        });
        Page::events(events).piece("event: done\ndata: [DONE]\n\n")
    };
    for version in VERSIONS {
        emulator.on_path(&Method::POST, &format!("/{version}/interactions"), page.clone());
    }
}
