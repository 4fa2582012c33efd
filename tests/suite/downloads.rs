//! Downloads that break: the rest is requested, and no file is put together from two.

use std::sync::{Arc, Mutex};

use genai_bridge::{Bridge, Error, ErrorKind, Proxy, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tonic::Status;

/// Answers each connection's one request by the next of these texts, and closes it.
async fn server(answers: Vec<String>) -> (Bridge, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&requests);
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a head"));
            }
            told.lock().expect("heads").push(String::from_utf8(head).expect("text"));
            stream.write_all(answer.as_bytes()).await.expect("a reader");
        }
    });
    let bridge = Bridge::builder().endpoint(format!("http://{address}")).allow_plaintext();
    let bridge = bridge.api_key("key").proxy(Proxy::none()).transport(Transport::Rest);
    (bridge.build().expect("a bridge"), requests)
}

/// Status and headers in one line, parted by `|`; and the body.
fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {}\r\n\r\n{body}", head.replace('|', "\r\n"))
}

/// What a download brings, and the second request.
async fn download(first: String, second: String) -> (Result<String, Status>, String) {
    let (bridge, requests) = server(vec![first, second]).await;
    let mut written = Vec::new();
    let ended = bridge.files().download("files/a").write_to(&mut written).await;
    let text = String::from_utf8(written).expect("text");
    let requests = requests.lock().expect("heads");
    assert_eq!(requests.len(), 2, "{ended:?}");
    (ended.map(|_| text), requests[1].clone())
}

const WHOLE: &str = "0123456789";

#[tokio::test]
async fn after_a_break_the_rest_is_that_of_the_same_file_or_none() {
    let cases: [(&str, &str, &str, bool); 14] = [
        // The tag of the first answer, the second one's head and body, and whether it is the file.
        (
            "\"a\"",
            "206 Partial|Content-Length: 5|Content-Range: bytes 5-9/10|ETag: \"a\"",
            "56789",
            true,
        ),
        ("\"a\"", "206 Partial|Content-Length: 5|Content-Range: bytes 5-9/*", "56789", true),
        (
            "\"a\"",
            "206 Partial|Content-Length: 5|Content-Range: bytes 5-9/10|ETag: \"b\"",
            "xxxxx",
            false,
        ),
        ("\"a\"", "206 Partial|Content-Length: 6|Content-Range: bytes 5-10/11", "xxxxxx", false),
        ("\"a\"", "206 Partial|Content-Length: 6|Content-Range: bytes 4-9/10", "xxxxxx", false),
        ("\"a\"", "206 Partial|Content-Length: 5", "xxxxx", false),
        ("\"a\"", "200 OK|Content-Length: 10|ETag: \"a\"", WHOLE, true),
        ("\"a\"", "200 OK|Content-Length: 10|ETag: \"b\"", "xxxxxxxxxx", false),
        ("\"a\"", "200 OK|Content-Length: 10", WHOLE, true),
        ("\"a\"", "200 OK|Content-Length: 11", "xxxxxxxxxxx", false),
        (
            "W/\"a\"",
            "206 Partial|Content-Length: 5|Content-Range: bytes 5-9/10|ETag: W/\"b\"",
            "xxxxx",
            false,
        ),
        ("W/\"a\"", "200 OK|Content-Length: 10|ETag: W/\"a\"", WHOLE, true),
        ("W/\"a\"", "200 OK|Content-Length: 10|ETag: W/\"b\"", "xxxxxxxxxx", false),
        ("W/\"a\"", "200 OK|Content-Length: 11|ETag: W/\"a\"", "xxxxxxxxxxx", false),
    ];
    for (tag, head, body, is_whole) in cases {
        let first = answer(&format!("200 OK|Content-Length: 10|ETag: {tag}"), "01234");
        let (ended, request) = download(first, answer(head, body)).await;
        let request = request.to_ascii_lowercase();
        assert!(request.contains("range: bytes=5-\r\n"), "{request}");
        let asks_for_the_same = request.contains("if-range: \"a\"");
        assert_eq!(asks_for_the_same, !tag.starts_with('W'), "{request}");
        match ended {
            Ok(text) => assert!(is_whole && text == WHOLE, "{tag} {head}: {text}"),
            Err(status) => {
                assert!(!is_whole, "{tag} {head}: {status}");
                let kind = Error::of(&status).map(Error::kind);
                let is_named = kind == Some(ErrorKind::Truncated)
                    && status.message().contains("changed while it was downloaded");
                assert!(is_named || !head.contains("Range") && head.starts_with("206"), "{status}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_changes_before_its_first_byte_is_the_new_one() {
    let first = answer("200 OK|Content-Length: 10|ETag: \"a\"", "");
    let second = answer("200 OK|Content-Length: 4|ETag: \"b\"", "abcd");
    let (ended, request) = download(first, second).await;
    assert_eq!(ended.expect("a file"), "abcd");
    assert!(!request.to_ascii_lowercase().contains("range:"), "{request}");
}
