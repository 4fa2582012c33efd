//! A redirect to another host is never followed over reqwest, and the key goes nowhere.

use genai_bridge::{Error, SymptomKind, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::setting::{KEY, client, question};

#[tokio::test]
async fn a_redirect_over_reqwest_is_an_error_and_the_key_stays() {
    for status in
        ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let first = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = other.local_addr().expect("an address");
        let endpoint = format!("http://{}", first.local_addr().expect("an address"));
        let redirecting = tokio::spawn(async move {
            let (mut stream, _) = first.accept().await.expect("a client");
            let mut read = vec![0; 64 * 1024];
            let length = stream.read(&mut read).await.expect("a request");
            let answer = format!(
                "HTTP/1.1 {status}\r\nlocation: http://{target}/v1beta/x\r\ncontent-length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.expect("written");
            read.truncate(length);
            String::from_utf8_lossy(&read).into_owned()
        });
        let bridge = genai_bridge::Bridge::builder()
            .endpoint(endpoint)
            .api_key(KEY)
            .transport(Transport::Rest)
            .rest_carrier(reqwest::Client::builder().no_proxy());
        let failed = client(bridge).generate_content(question("?")).await.expect_err("no answer");
        let error = Error::of(&failed).expect("ours");
        let symptom = error.symptom().expect("a symptom");
        assert_eq!(symptom.kind(), SymptomKind::Redirected);
        assert!(!format!("{failed:?} {failed} {error:?}").contains(KEY));
        let request = redirecting.await.expect("no panic");
        assert!(request.starts_with("POST ") && request.contains(KEY), "{request}");
        // What was connected to the other host would be waiting there already.
        let connected = futures_now(other.accept());
        assert!(connected.is_none(), "the redirect was followed");
    }
}

/// The outcome of what is ready at once.
fn futures_now<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match work.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
