//! Without the features `aws-lc` and `ring` there is no cryptography but what the process installs.
#![cfg(not(any(feature = "aws-lc", feature = "ring")))]
#![allow(clippy::expect_used, reason = "a test ends where its setting is not as expected")]

use genai_bridge::{Bridge, ErrorKind};

fn build() -> Result<Bridge, genai_bridge::Error> {
    Bridge::builder().proxy(genai_bridge::Proxy::none()).build()
}

#[test]
fn without_any_provider_build_says_so() {
    let error = build().expect_err("no provider");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let text = error.to_string();
    assert_eq!(text, "no cryptography for TLS is compiled in, and the process has no default");
    let advice = error.advice().expect("what to do");
    assert!(advice.contains("`aws-lc` or `ring`"), "{advice}");
    // The process's own provider is enough.
    let provider = rustls::crypto::ring::default_provider();
    provider.install_default().expect("the first one");
    build().expect("a bridge");
}
