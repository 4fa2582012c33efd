//! Paths: any path of the REST API through a real proxy: a value, events, and bytes.

use genai_bridge::emulator::Page;
use genai_bridge::{ActiveTransport, Bridge, BridgeBuilder, Transport};
use http::Method;
use http_body_util::BodyExt as _;
use tokio::time::{Duration, Instant};
use tonic::Status;

use crate::bed::Bed;
use crate::row::{KEY, PROMPT, faults_of_error};

/// What the service says at each path.
pub(crate) fn script(bed: &Bed) {
    bed.serve(&Method::POST, VALUE, &Page::json(r#"{"id":"i-1"}"#));
    let events = ["event: start\nid: 1\ndata: 1\n\n", "data: 2\n\n", "data: [DONE]\n\n"];
    bed.serve(&Method::POST, EVENTS, &Page::events(events));
    let bytes = Page::new(200).header("content-type", "application/octet-stream");
    bed.serve(&Method::GET, BYTES, &bytes.piece(vec![7; PIECE]).rounds(PIECES));
}

/// Asks over each transport; prints, and gives what is not as it should be. All go over REST.
pub(crate) async fn ask_paths(
    row: &str,
    builders: impl IntoIterator<Item = (Transport, BridgeBuilder)>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (transport, builder) in builders {
        let began = Instant::now();
        let bridge = builder.transport(transport).build().expect("a bridge");
        let ask = async || {
            let mut shown = value(&bridge).await?;
            shown += &events(&bridge).await?;
            // The carrier is the same for each transport.
            if transport == Transport::Auto {
                bytes(&bridge).await?;
            }
            Ok::<String, String>(shown)
        };
        match ask().await {
            Ok(shown) if shown.contains(KEY) || shown.contains(PROMPT) => {
                faults.push(format!("{row}, {transport:?}: shows a secret: {shown}"));
            }
            Ok(_) => {}
            Err(fault) => faults.push(format!("{row}, {transport:?}: {fault}")),
        }
        let requests = bridge.stats().attempts(ActiveTransport::Rest);
        let took = began.elapsed().as_millis();
        println!("| {row} | paths, {transport:?} | {requests} requests | {took} ms |");
    }
    faults
}

/// Where calls over REST break: what breaks here, breaks without a secret.
pub(crate) async fn ask_in_vain(row: &str, builder: BridgeBuilder) -> Vec<String> {
    let bridge = builder.build().expect("a bridge");
    let request = bridge.json(Method::POST, VALUE).body(PROMPT.repeat(100)).timeout(LIMIT);
    match request.send().await {
        Ok(_) => vec![format!("{row}, paths: an answer")],
        Err(status) => {
            println!("| {row} | paths | {} |", status.message());
            let faults = faults_of_error(&status).into_iter();
            faults.map(|fault| format!("{row}, paths: {fault}")).collect()
        }
    }
}

async fn value(bridge: &Bridge) -> Result<String, String> {
    let request = bridge.json(Method::POST, VALUE).body(PROMPT).timeout(LIMIT);
    let request_shown = format!("{request:?}");
    let answer = request.send().await.map_err(told)?;
    match answer.bytes().as_ref() {
        br#"{"id":"i-1"}"# => Ok(format!("{request_shown} {answer:?}")),
        other => Err(format!("a value of {} bytes", other.len())),
    }
}

async fn events(bridge: &Bridge) -> Result<String, String> {
    let request = bridge.json(Method::POST, EVENTS).body(PROMPT).timeout(LIMIT);
    let mut events = request.stream().await.map_err(told)?;
    let (mut shown, mut found) = (vec![format!("{events:?}")], Vec::new());
    while let Some(event) = events.next().await {
        let event = event.map_err(told)?;
        shown.push(format!("{event:?}"));
        found.push((event.event().map(str::to_owned), event.data().to_vec()));
    }
    let shown = shown.concat();
    let expected = [(Some("start".to_owned()), b"1".to_vec()), (None, b"2".to_vec())];
    if events.is_done() && found == expected { Ok(shown) } else { Err(shown) }
}

async fn bytes(bridge: &Bridge) -> Result<(), String> {
    let answer = bridge.json(Method::GET, BYTES).timeout(LIMIT).bytes().await.map_err(told)?;
    let mut body = answer.into_body();
    let (mut length, mut largest) = (0, 0);
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(told)?.into_data().map_err(|_| "trailers")?;
        length += data.len();
        largest = largest.max(data.len());
    }
    let is_as_sent = length == PIECE * PIECES && largest <= 1 << 20;
    is_as_sent.then_some(()).ok_or_else(|| format!("{length} bytes, at most {largest} at once"))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn told(status: Status) -> String {
    format!("{status:?} {:?}", faults_of_error(&status))
}

const VALUE: &str = "/v1beta/interactions";
const EVENTS: &str = "/v1beta/interactions/i-1:watch";
const BYTES: &str = "/v1beta/files/large:download";
const PIECE: usize = 64 << 10;
/// 64 MiB.
const PIECES: usize = 1024;
const LIMIT: Duration = Duration::from_secs(60);
