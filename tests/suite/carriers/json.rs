//! `Bridge::json` over what the program brought.

use bytes::Bytes;
use genai_bridge::emulator::{Emulator, Page};
use genai_bridge::{Bridge, Carrier, Error};
use http::Method;
use http_body_util::BodyExt as _;

use super::{channel, cut_off, reqwest_for};
use crate::setting::KEY;

const PATH: &str = "/v1beta/interactions";

/// A client of reqwest, the same behind a plain tower service, and a channel over HTTP/2.
fn bridges(emulator: &Emulator) -> [(&'static str, Bridge); 3] {
    let reqwest = reqwest_for(emulator).redirect(reqwest::redirect::Policy::none());
    let reqwest = Carrier::trusted_reqwest(reqwest.build().expect("a client"));
    let as_it_is = |request: http::Request<tonic::body::Body>| request;
    let service = tower::ServiceBuilder::new().map_request(as_it_is).service(channel(emulator));
    let with =
        |carrier: Carrier| cut_off(emulator).rest_carrier(carrier).build().expect("a bridge");
    [
        ("reqwest by its builder", with(reqwest_for(emulator).into())),
        ("reqwest, finished", with(reqwest)),
        ("a plain service", with(Carrier::service(service))),
    ]
}

#[tokio::test]
async fn requests_and_streams_go_over_each_carrier() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on_path(&Method::GET, PATH, Page::json(r#"{"id":"one"}"#));
    let events = ["event: start\ndata: {\"id\":1}\n\n", "data: {\"id\":2}\n\n", "data: [DONE]\n\n"];
    emulator.on_path(&Method::POST, PATH, Page::events(events));
    for (name, bridge) in bridges(&emulator) {
        let answer = bridge.json(Method::GET, PATH).send().await.expect(name);
        assert_eq!(answer.bytes().as_ref(), br#"{"id":"one"}"#, "{name}");
        let mut events = bridge.json(Method::POST, PATH).body("{}").stream().await.expect(name);
        let (mut names, mut count) = (Vec::new(), 0);
        while let Some(event) = events.next().await {
            let event = event.expect(name);
            names.extend(event.event().map(str::to_owned));
            count += 1;
        }
        assert_eq!((names, count), (vec!["start".to_owned()], 2), "{name}");
        let sent = emulator.received().pop().expect("a request");
        assert_eq!(sent.headers()["x-goog-api-key"], KEY, "{name}");
    }
}

#[tokio::test]
async fn sixty_four_megabytes_pass_in_pieces() {
    let emulator = Emulator::start().await.expect("an emulator");
    let page = Page::new(200).header("content-type", "application/octet-stream");
    let piece = Bytes::from(vec![7_u8; 64 << 10]);
    emulator.on_path(&Method::GET, "/v1beta/large", page.piece(piece).rounds(1024));
    for (name, bridge) in bridges(&emulator) {
        let answer = bridge.json(Method::GET, "/v1beta/large").bytes().await.expect(name);
        let (mut body, mut length, mut largest) = (answer.into_body(), 0, 0);
        while let Some(frame) = body.frame().await {
            let data = frame.expect(name).into_data().expect("data");
            length += data.len();
            largest = largest.max(data.len());
        }
        assert_eq!(length, 64 << 20, "{name}");
        assert!(largest <= 1 << 20, "{name}: {largest}");
    }
}

#[tokio::test]
async fn no_key_is_in_an_error_over_any_carrier() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.on_path(&Method::POST, PATH, Page::new(500).piece(format!("you sent {KEY}")));
    for (name, bridge) in bridges(&emulator) {
        let status = bridge.json(Method::POST, PATH).body("{}").send().await.expect_err(name);
        assert!(
            !format!("{status:?} {:?}", Error::of(&status)).contains(KEY),
            "{name}: {status:?}"
        );
    }
}
