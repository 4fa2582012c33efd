//! A file reaches the service once and whole, and comes back so, whatever the network breaks.

use std::time::Duration;

use bytes::Bytes;
use genai_bridge::emulator::{Emulator, Page};
use genai_bridge::v1beta::file::State;
use genai_bridge::{Bridge, Error, ErrorKind};
use http::Method;
use tokio::io::AsyncWriteExt;
use tonic::Code;

use crate::cutter::{Cutter, Way};
use crate::setting::direct;

const UNIT: usize = 64 << 10;

async fn setting() -> (Emulator, Bridge) {
    let emulator = Emulator::builder().upload_granularity(UNIT).start().await.expect("an emulator");
    let bridge = direct(&emulator).build().expect("a bridge");
    (emulator, bridge)
}

/// Bytes that repeat nowhere near.
fn content(length: usize) -> Bytes {
    let numbers = (0_u64..).flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
    numbers.take(length).collect::<Vec<u8>>().into()
}

fn kind_of(status: &tonic::Status) -> ErrorKind {
    Error::of(status).unwrap_or_else(|| panic!("ours: {status}")).kind()
}

#[tokio::test]
async fn any_source_of_any_length_arrives_as_it_is() {
    let (emulator, bridge) = setting().await;
    let files = bridge.files();
    let folder = tempfile::tempdir().expect("a folder");
    for length in [0, 1, UNIT - 1, UNIT, UNIT + 1, 3 * UNIT, 3 * UNIT + 7] {
        let data = content(length);
        let path = folder.path().join("a.bin");
        std::fs::write(&path, &data).expect("a file");
        let reader = || std::io::Cursor::new(data.clone());
        for upload in [
            files.upload(&path),
            files.upload_bytes(data.clone()),
            files.upload_from(reader(), Some(length as u64)),
            files.upload_from(reader(), None),
        ] {
            let upload = upload.mime_type("video/mp4").display_name("A talk").piece_size(UNIT);
            let mut progress = upload.progress();
            let file = upload.send().await.expect("an upload");
            assert_eq!(emulator.file(&file.name), Some(data.clone()), "{length}");
            assert_eq!(
                (file.mime_type.as_str(), file.display_name.as_str()),
                ("video/mp4", "A talk")
            );
            assert_eq!(file.size_bytes, i64::try_from(length).unwrap());
            let mut last = None;
            while let Some(news) = progress.next().await {
                last = Some(news);
            }
            assert_eq!(last.expect("news").bytes(), length as u64);
        }
    }
    assert_eq!(emulator.open_uploads(), 0);
}

#[tokio::test]
async fn the_requests_are_those_of_googles_clients() {
    let (emulator, bridge) = setting().await;
    let data = content(2 * UNIT + 5);
    let upload = bridge.files().v1().upload_bytes(data).mime_type("text/plain").name("files/mine");
    upload.piece_size(UNIT + 9).send().await.expect("an upload");
    let told: Vec<_> = emulator
        .received()
        .iter()
        .map(|request| {
            let header = |name: &str| {
                let value = request.headers().get(name).map(|value| value.to_str().unwrap());
                value.unwrap_or("-").to_owned()
            };
            let names = ["command", "offset", "header-content-length", "header-content-type"];
            let names = names.map(|name| header(&format!("x-goog-upload-{name}")));
            format!(
                "{} {} {}",
                request.target().split('=').next().unwrap(),
                names.join(" "),
                header("content-length")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "/upload/v1/files start - 131077 text/plain 73".to_owned(),
            format!("/upload/v1/files?upload_id upload 0 - - {UNIT}"),
            format!("/upload/v1/files?upload_id upload {UNIT} - - {UNIT}"),
            format!("/upload/v1/files?upload_id upload, finalize {} - - 5", 2 * UNIT),
        ]
    );
}

#[tokio::test]
async fn a_file_is_waited_for_until_it_is_active() {
    let (emulator, bridge) = setting().await;
    let files = bridge.files();
    let file = files.upload_bytes("text").send().await.expect("an upload");
    assert_eq!(file.state, State::Processing as i32);
    let file = files.wait_until_active(&file.name, Duration::from_secs(20)).await.expect("active");
    assert_eq!(file.state, State::Active as i32);
    files.delete(&file.name).await.expect("gone");
    assert_eq!(emulator.file(&file.name), None);
    let failed = r#"{"name":"files/x","state":"FAILED","error":{"code":3,"message":"no video"}}"#;
    emulator.on_path(&Method::GET, "/v1beta/files/x", Page::json(failed));
    let status =
        files.wait_until_active("files/x", Duration::from_secs(1)).await.expect_err("failed");
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "no video"));
    let working = r#"{"name":"files/x","state":"PROCESSING"}"#;
    emulator.on_path(&Method::GET, "/v1beta/files/x", Page::json(working));
    let limit = Duration::from_millis(300);
    let status = files.wait_until_active("files/x", limit).await.expect_err("never");
    assert_eq!(kind_of(&status), ErrorKind::DeadlineExceeded);
}

#[tokio::test]
async fn a_document_goes_to_a_store() {
    let (_emulator, bridge) = setting().await;
    let upload = bridge.files().upload_bytes("text").mime_type("text/plain");
    let operation = upload.send_to_store("fileSearchStores/mine").await.expect("an operation");
    assert!(
        operation.done && operation.name.starts_with("fileSearchStores/mine/upload/operations/")
    );
}

#[tokio::test]
async fn a_download_follows_the_services_own_redirect() {
    let (emulator, bridge) = setting().await;
    let data = content(300_000);
    let file = bridge.files().upload_bytes(data.clone()).send().await.expect("an upload");
    let mut written = Vec::new();
    let length =
        bridge.files().v1().download(&file.name).write_to(&mut written).await.expect("a file");
    assert_eq!((length, &written[..]), (300_000, &data[..]));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("b.bin");
    bridge.files().download(&file.name).write_to_path(&path).await.expect("a file");
    assert_eq!(std::fs::read(&path).expect("a file"), data);
    let none = Page::new(404).piece("none");
    emulator.on_path(&Method::GET, "/v1beta/files/none:download", none);
    let status =
        bridge.files().download("files/none").write_to_path(&path).await.expect_err("none");
    assert_eq!(status.code(), Code::NotFound);
    assert!(!path.exists(), "what is no file is removed");
}

async fn plain() -> Emulator {
    Emulator::builder().plaintext().upload_granularity(UNIT).start().await.expect("an emulator")
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_cut_only_the_rest_goes_up() {
    let emulator = plain().await;
    let cutter = Cutter::start(emulator.address(), Way::Up, 3 << 20).await;
    let data = content(16 << 20);
    let upload = cutter.bridge().files().upload_from(std::io::Cursor::new(data.clone()), None);
    let file = upload.piece_size(1 << 20).send().await.expect("an upload");
    assert!(emulator.file(&file.name) == Some(data.clone()), "another file");
    let sent = cutter.up();
    assert!(cutter.cuts() >= 5, "{}", cutter.cuts());
    let most = data.len() + cutter.cuts() * (1 << 20) + 200 * 1024;
    assert!(sent <= most, "{sent} bytes for {} and {} cuts", data.len(), cutter.cuts());
    assert_eq!(emulator.open_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_cut_only_the_rest_comes_down() {
    let emulator = plain().await;
    let cutter = Cutter::start(emulator.address(), Way::Down, 3 << 20).await;
    let data = content(16 << 20);
    let files = cutter.bridge().files();
    let file = files.upload_bytes(data.clone()).send().await.expect("an upload");
    let mut written = Vec::new();
    files.download(&file.name).write_to(&mut written).await.expect("a file");
    assert!(written == data, "another file");
    let ranges = emulator.received();
    let ranges = ranges.iter().filter_map(|request| request.headers().get("range"));
    assert!(cutter.cuts() >= 5 && ranges.count() >= 5, "{}", cutter.cuts());
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let (emulator, bridge) = setting().await;
    let (reader, mut writer) = tokio::io::duplex(1 << 20);
    let upload = bridge.files().upload_from(reader, None).piece_size(UNIT);
    let mut progress = upload.progress();
    let sending = tokio::spawn(upload.send());
    writer.write_all(&content(UNIT + 1)).await.expect("a reader");
    while progress.next().await.expect("news").bytes() < UNIT as u64 {}
    assert_eq!(emulator.open_uploads(), 1);
    sending.abort();
    emulator.received_when(3).await;
    while emulator.open_uploads() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_source_that_shrinks_or_grows_is_an_error_and_leaves_nothing() {
    let (emulator, bridge) = setting().await;
    for (length, told, word) in [(100, 200, "fewer"), (200, 100, "more"), (2 * UNIT, UNIT, "more")]
    {
        let reader = std::io::Cursor::new(content(length));
        let upload = bridge.files().upload_from(reader, Some(told as u64)).piece_size(UNIT);
        let status = upload.send().await.expect_err("another length");
        assert_eq!(kind_of(&status), ErrorKind::InvalidRequest);
        assert!(status.message().contains(word), "{status}");
        while emulator.open_uploads() > 0 {
            tokio::task::yield_now().await;
        }
    }
    let status = bridge.files().upload("/nowhere/at/all").send().await.expect_err("no file");
    assert_eq!(kind_of(&status), ErrorKind::InvalidRequest);
}

/// What a service may answer to the start of an upload, and must not get a byte for.
#[tokio::test]
async fn a_start_that_cannot_be_followed_gets_no_bytes() {
    let (emulator, bridge) = setting().await;
    let url = format!("{}/upload/here?upload_id=1", emulator.endpoint());
    let start = |url: &str| {
        Page::new(200).header("x-goog-upload-status", "active").header("x-goog-upload-url", url)
    };
    for (page, kind) in [
        (Page::new(200), ErrorKind::MalformedAnswer),
        (start("https://evil.test/upload"), ErrorKind::InvalidRequest),
        (start("/upload/../x"), ErrorKind::InvalidRequest),
        (
            start(&url).header("x-goog-upload-control-url", "http://evil.test/"),
            ErrorKind::InvalidRequest,
        ),
        (start(&url).header("x-goog-upload-chunk-granularity", "0"), ErrorKind::MalformedAnswer),
        (start(&url).header("x-goog-upload-chunk-granularity", "-1"), ErrorKind::MalformedAnswer),
        (
            start(&url).header("x-goog-upload-chunk-granularity", "99999999999"),
            ErrorKind::MalformedAnswer,
        ),
    ] {
        emulator.clear();
        emulator.on_path(&Method::POST, "/upload/v1beta/files", page);
        let status = bridge.files().upload_bytes("text").send().await.expect_err("not followed");
        assert_eq!(kind_of(&status), kind, "{status}");
        assert_eq!(emulator.received().len(), 1);
    }
}

/// What a service may answer to a piece of an upload.
#[tokio::test]
async fn no_odd_answer_to_a_piece_is_a_success() {
    let (emulator, bridge) = setting().await;
    let url = format!("{}/upload/here?upload_id=1", emulator.endpoint());
    let start =
        Page::new(200).header("x-goog-upload-status", "active").header("x-goog-upload-url", &url);
    let said = |status: &str| Page::new(200).header("x-goog-upload-status", status);
    let file = r#"{"file":{"name":"files/x"}}"#;
    for (page, code) in [
        (said("final").piece(file), Code::Internal),
        (said("cancelled"), Code::Cancelled),
        (Page::json(file), Code::Internal),
        (said("active").header("x-goog-upload-size-received", "99999999"), Code::Internal),
        (Page::new(404).piece("no such upload"), Code::NotFound),
        (Page::new(200).piece("<html>Log in"), Code::Internal),
    ] {
        emulator.clear();
        emulator.on_path(&Method::POST, "/upload/v1beta/files", start.clone());
        emulator.on_path(&Method::POST, "/upload/here", page.clone());
        // The last piece is never reached, or never confirmed.
        let upload = bridge.files().upload_bytes(content(3 * UNIT)).piece_size(UNIT);
        let upload = upload.patience(Duration::from_millis(500));
        let sent = tokio::time::timeout(Duration::from_secs(20), upload.send()).await;
        let status = sent.expect("an end").expect_err("no success");
        assert_eq!(status.code(), code, "{page:?} {status}");
    }
}

#[tokio::test]
async fn a_busy_service_gets_the_rest_later() {
    let (emulator, bridge) = setting().await;
    let data = content(2 * UNIT);
    let reader = std::io::Cursor::new(data.clone());
    let upload = bridge.files().upload_from(reader, Some(data.len() as u64)).piece_size(UNIT);
    emulator.once_path(&Method::POST, "/upload/v1beta/files", Page::new(503).piece("busy"));
    let status = upload.send().await.expect_err("a start that failed is told");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(emulator.received().len(), 1);
}
