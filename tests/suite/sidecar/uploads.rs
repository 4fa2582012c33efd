//! Where the service leads a client on, it goes on through the sidecar.

use genai_bridge::emulator::{Emulator, Page};
use http::Method;

use super::{Running, get, keyless};

#[tokio::test]
async fn uploads_and_downloads_stay_with_the_sidecar() {
    let emulator =
        Emulator::builder().upload_granularity(1 << 16).start().await.expect("an emulator");
    let sidecar = Running::over(&emulator).await;
    let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    for client in [sidecar.client(), sidecar.plain_client()] {
        let own = client.build().expect("a bridge");
        // A bridge follows an answer to its own endpoint alone: one that led past the sidecar would
        // be refused.
        let files = own.files();
        let file =
            files.upload_bytes(data.clone()).piece_size(1 << 18).send().await.expect("an upload");
        assert_eq!(emulator.file(&file.name).as_deref(), Some(&data[..]));
        let mut written = Vec::new();
        files.download(&file.name).write_to(&mut written).await.expect("a download");
        assert!(written == data);
    }
}

#[tokio::test]
async fn only_the_services_own_places_become_the_sidecars() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::start(keyless(&emulator), |sidecar| sidecar).await;
    let endpoint = emulator.endpoint();
    let own = format!("http://{}", sidecar.address);
    for (place, expected) in [
        (format!("{endpoint}/upload/x?upload_id=1"), format!("{own}/upload/x?upload_id=1")),
        ("/relative/x".to_owned(), "/relative/x".to_owned()),
        ("https://elsewhere.test/x".to_owned(), "https://elsewhere.test/x".to_owned()),
        (format!("{endpoint}.evil.test/x"), format!("{endpoint}.evil.test/x")),
        ("not a place".to_owned(), "not a place".to_owned()),
    ] {
        let names = ["location", "x-goog-upload-url", "x-goog-upload-control-url"];
        let page = names.iter().fold(Page::new(200), |page, name| page.header(name, &place));
        emulator.on_path(&Method::GET, "/v1beta/x", page);
        let answer =
            get(sidecar.address, "/v1beta/x", &format!("host: {}\r\n", sidecar.address)).await;
        for name in names {
            let line = format!("{name}: {expected}\r\n");
            assert!(answer.contains(&line), "{line} is not in {answer}");
        }
    }
}
