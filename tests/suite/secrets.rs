//! Keys, tokens, passwords and messages stand in no text that anyone may log.

use std::io;
use std::sync::{Arc, Mutex};

use genai_bridge::doctor::{Doctor, Step};
use genai_bridge::emulator::{Emulator, Fault, Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, Credentials, Proxy, Token, Transport};
use tonic::Status;
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::peers::{Scripted, http1, http2, plain};
use crate::setting::{GENERATE, KEY, behind, client, direct, question, through};

const TOKEN: &str = "a-token-that-nobody-may-see";
const PASSWORD: &str = "a-password-that-nobody-may-see";
const PROMPT: &str = "a prompt that nobody may see";

fn assert_hidden(text: &str) {
    for secret in [KEY, TOKEN, PASSWORD, PROMPT, &base64_simd::STANDARD.encode_to_string(PASSWORD)]
    {
        assert!(!text.contains(secret), "{secret} stands in: {text}");
    }
}

#[test]
fn debug_hides_every_secret() {
    let proxy = Proxy::url(&format!("http://user:{PASSWORD}@proxy.test:3128")).expect("a URL");
    let credentials = Credentials::bearer(|| async { Ok::<_, io::Error>(TOKEN) });
    for text in [
        format!("{:?}", Credentials::api_key(KEY)),
        format!("{:?}", Token::new(TOKEN)),
        format!("{credentials:?} {proxy:?} {:#?}", proxy.clone().basic_auth("user", PASSWORD)),
        format!("{:#?}", Bridge::builder().api_key(KEY).proxy(proxy.clone())),
        format!("{:#?}", Bridge::builder().api_key(KEY).proxy(proxy).build().expect("a bridge")),
    ] {
        assert_hidden(&text);
    }
}

#[tokio::test]
async fn errors_urls_and_logs_hold_no_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let statuses = exchange().with_subscriber(subscriber).await;
    for status in &statuses {
        assert_hidden(&format!("{status} {status:?} {:?}", genai_bridge::Error::of(status)));
    }
    let logged = log.text();
    assert!(logged.contains("genai_bridge"), "nothing was logged");
    assert_hidden(&logged);
}

/// Calls that succeed, and that fail in many places.
async fn exchange() -> Vec<Status> {
    let mut statuses = Vec::new();
    for fault in [Fault::Pass, Fault::InspectHttp1, Fault::Page200, Fault::ConnectLoginRequired] {
        for transport in [Transport::Auto, Transport::Grpc, Transport::Rest] {
            let (emulator, proxy) = behind(fault).await;
            let way = Proxy::url(&proxy.url()).expect("a URL").basic_auth("user", PASSWORD);
            let builder = through(&emulator, &proxy).proxy(way).transport(transport);
            let call = client(builder).generate_content(question(PROMPT)).await;
            statuses.extend(call.err());
            for received in emulator.received() {
                assert!(!received.target().contains(KEY), "the key stands in a URL");
            }
        }
    }
    assert!(statuses.len() >= 4, "{statuses:?}");
    statuses
}

#[tokio::test]
async fn a_peer_that_repeats_the_key_is_not_quoted() {
    let page = format!("you sent {KEY}");
    let head = format!("HTTP/1.1 500 No\r\nserver: saw {KEY}\r\ncontent-type: text/html\r\n");
    let port = http1(format!("{head}connection: close\r\n\r\n{page}")).await;
    let builder = plain(port, Transport::Rest).api_key(KEY);
    let status = client(builder).generate_content(question("?")).await.expect_err("a page");
    let error = genai_bridge::Error::of(&status).expect("ours");
    let evidence = error.symptom().expect("a symptom").evidence();
    assert!(evidence.first_bytes().starts_with(b"you sent ****"), "{evidence:?}");
    assert!(evidence.header("server").expect("kept").starts_with("saw ****"));
    assert_hidden(&format!("{status:?} {:?}", evidence.first_bytes()));
}

#[tokio::test]
async fn a_doctor_does_not_quote_a_peer_that_repeats_the_key() {
    let head = "HTTP/1.1 500 No\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n";
    let port = http1(format!("{head}you sent {KEY}")).await;
    let report = Doctor::new(plain(port, Transport::Auto).api_key(KEY)).examine().await;
    let rest = report.check(Step::Rest).expect("examined");
    assert!(rest.evidence().contains("you sent ****"), "{}", rest.evidence());
    assert_hidden(&format!("{report:?} {} {}", report.to_text(false), report.to_json()));
}

#[tokio::test]
async fn a_peer_that_repeats_the_key_within_a_stream_is_not_quoted() {
    let head = http::Response::builder().header("content-type", "application/grpc").body(());
    let data = vec![format!("you sent {KEY}").into()];
    let port = http2(Scripted { head: head.expect("a head"), data, trailers: None }).await;
    let mut client = client(plain(port, Transport::Grpc).api_key(KEY));
    let stream = client.stream_generate_content(question("?")).await.expect("a head");
    let status = stream.into_inner().message().await.expect_err("no message begins so");
    let error = genai_bridge::Error::of(&status).expect("ours");
    let evidence = error.symptom().expect("a symptom").evidence();
    assert!(evidence.first_bytes().starts_with(b"you sent ****"), "{evidence:?}");
    assert_hidden(&format!("{status:?} {:?}", evidence.first_bytes()));
}

#[tokio::test]
async fn a_token_is_sent_and_renewed_once_when_it_is_refused() {
    let emulator = Emulator::start().await.expect("an emulator");
    emulator.once(GENERATE, Reply::error(Status::unauthenticated("expired")));
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let credentials = Credentials::bearer(move || {
        let mut asked = count.lock().expect("no panic");
        *asked += 1;
        let token = format!("{TOKEN}-{asked}");
        async move { Ok::<_, io::Error>(token) }
    });
    let builder = direct(&emulator).credentials(credentials).transport(Transport::Rest);
    let mut client = GenerativeServiceClient::new(builder.build().expect("a bridge"));
    client.generate_content(question("?")).await.expect("an answer");
    let tokens: Vec<_> =
        emulator.received().iter().map(|call| call.headers()["authorization"].clone()).collect();
    assert_eq!(tokens, [format!("Bearer {TOKEN}-1"), format!("Bearer {TOKEN}-2")]);
    emulator.on(GENERATE, Reply::error(Status::unauthenticated("for good")));
    let status = client.generate_content(question("?")).await.expect_err("refused");
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    assert_eq!(*asked.lock().expect("no panic"), 3, "one renewal a call");
}

/// What was logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
