//! Who pays: the client's key is passed on, the sidecar's own is added, and no web page gets at it.

use genai_bridge::emulator::Emulator;
use genai_bridge::sidecar::{Identity, PLACEHOLDER_KEY, Sidecar, SidecarBuilder};
use genai_bridge::{BridgeBuilder, Credentials, ErrorKind, Transport};
use tonic::Code;

use super::{Running, get, keyless};
use crate::setting::{BOTH, KEY, LIST_MODELS, call, direct};

async fn key_received(emulator: &Emulator, client: BridgeBuilder) -> Option<String> {
    emulator.clear();
    let client = client.build().expect("a bridge");
    let request = genai_bridge::v1beta::ListModelsRequest::default();
    let outcome = call(client, LIST_MODELS, &request).await;
    assert_eq!(outcome.status.code(), Code::Ok);
    let received = emulator.received();
    let key = received.last().expect("a call").headers().get("x-goog-api-key")?;
    Some(key.to_str().expect("text").to_owned())
}

#[tokio::test]
async fn the_clients_key_is_kept_and_the_sidecars_added_where_there_is_none() {
    let emulator = Emulator::start().await.expect("an emulator");
    let without = Running::over(&emulator).await;
    let own = direct(&emulator).transport(Transport::Grpc);
    let with = Running::start(own, SidecarBuilder::replace_placeholder_key).await;
    for form in BOTH {
        for (sidecar, client_key, expected) in [
            (&without, None, None),
            (&without, Some("mine"), Some("mine")),
            (&without, Some(PLACEHOLDER_KEY), Some(PLACEHOLDER_KEY)),
            (&with, None, Some(KEY)),
            (&with, Some("mine"), Some("mine")),
            (&with, Some(PLACEHOLDER_KEY), Some(KEY)),
        ] {
            let credentials = client_key.map_or_else(Credentials::none, Credentials::api_key);
            let client = sidecar.client().credentials(credentials).transport(form);
            let received = key_received(&emulator, client).await;
            assert_eq!(received.as_deref(), expected, "{form:?}, {client_key:?}");
        }
    }
}

#[tokio::test]
async fn a_key_in_the_query_is_the_clients_own() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::start(direct(&emulator), |sidecar| sidecar).await;
    let host = format!("host: {}\r\n", sidecar.address);
    for (query, adds_own) in [("?key=mine", false), ("?$key=mine", false), ("?pageSize=1", true)] {
        emulator.clear();
        let answer = get(sidecar.address, &format!("/v1beta/models{query}"), &host).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let received = emulator.received();
        let has_own = received[0].headers().contains_key("x-goog-api-key");
        assert_eq!(has_own, adds_own, "{query}");
    }
}

#[tokio::test]
async fn the_placeholder_is_replaced_wherever_clients_put_keys() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::start(direct(&emulator), SidecarBuilder::replace_placeholder_key).await;
    let bearer = |key: &str| format!("authorization: Bearer {key}\r\n");
    let (models, openai) = ("/v1beta/models", "/v1beta/openai/models");
    for (path, header, own, token) in [
        (format!("{models}?key={PLACEHOLDER_KEY}&pageSize=1"), String::new(), Some(KEY), None),
        (format!("{models}?key=mine"), String::new(), None, None),
        (models.to_owned(), bearer(PLACEHOLDER_KEY), Some(KEY), None),
        (models.to_owned(), bearer("mine"), None, Some("Bearer mine".to_owned())),
        (openai.to_owned(), bearer(PLACEHOLDER_KEY), None, Some(format!("Bearer {KEY}"))),
        (openai.to_owned(), String::new(), None, Some(format!("Bearer {KEY}"))),
        (openai.to_owned(), bearer("mine"), None, Some("Bearer mine".to_owned())),
    ] {
        emulator.clear();
        let headers = format!("host: {}\r\n{header}", sidecar.address);
        get(sidecar.address, &path, &headers).await;
        let received = emulator.received();
        let [received] = received.as_slice() else { panic!("one call of {path}") };
        let value = |name| received.headers().get(name).map(|value| value.to_str().expect("text"));
        assert_eq!(value("x-goog-api-key"), own, "{path} {header}");
        assert_eq!(value("authorization"), token.as_deref(), "{path} {header}");
        assert!(!received.target().contains(PLACEHOLDER_KEY), "{}", received.target());
    }
}

#[tokio::test]
async fn a_web_page_reaches_nothing() {
    let emulator = Emulator::start().await.expect("an emulator");
    let options = |s: SidecarBuilder| s.admin(([127, 0, 0, 1], 0).into());
    let sidecar = Running::start(direct(&emulator), options).await;
    let admin = sidecar.admin.expect("asked for");
    for (listener, path) in [(sidecar.address, "/v1beta/models"), (admin, "/metrics")] {
        let host = format!("host: {listener}\r\n");
        for headers in [
            format!("{host}origin: https://evil.test\r\n"),
            format!("{host}origin: null\r\n"),
            format!("{host}sec-fetch-site: cross-site\r\n"),
            format!("host: evil.test:{}\r\n", listener.port()),
            "host: evil.test\r\n".to_owned(),
        ] {
            let answer = get(listener, path, &headers).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{headers}{answer}");
        }
        let answer = get(listener, path, &host).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(emulator.received().len(), 1);
}

#[tokio::test]
async fn a_web_page_reaches_nothing_over_grpc_either() {
    let emulator = Emulator::start().await.expect("an emulator");
    let sidecar = Running::start(direct(&emulator), |sidecar| sidecar).await;
    let client = sidecar.client().transport(Transport::Grpc).build().expect("a bridge");
    let mut request = tonic::Request::new(genai_bridge::v1beta::ListModelsRequest::default());
    request.metadata_mut().insert("origin", "https://evil.test".parse().expect("a value"));
    let mut models = genai_bridge::v1beta::model_service_client::ModelServiceClient::new(client);
    let status = models.list_models(request).await.expect_err("refused");
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(emulator.received().is_empty());
}

#[tokio::test]
async fn a_text_that_is_no_host_is_refused_by_its_words_but_for_a_password() {
    let emulator = Emulator::start().await.expect("an emulator");
    let builder = || Sidecar::builder(keyless(&emulator).build().expect("a bridge"));
    for host in ["", "a b", "http://bridge.corp", "bridge.corp:port"] {
        let error = builder().host("good.corp:1").host(host).bind().await.expect_err("no host");
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(&format!("{host:?} is not a host name")), "{error}");
    }
    let error = builder().host("name:secret@a.corp").bind().await.expect_err("no host").to_string();
    assert!(error.contains("a.corp") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn other_machines_are_let_in_only_when_asked_for_and_over_tls() {
    let emulator = Emulator::start().await.expect("an emulator");
    let builder = || Sidecar::builder(keyless(&emulator).build().expect("a bridge"));
    let anywhere = ([0, 0, 0, 0], 0).into();
    let identity = || Identity::self_made(&[]).expect("a certificate");

    let refused = builder().identity(identity()).listen(anywhere).bind().await;
    assert!(refused.expect_err("refused").to_string().contains("other machines can reach"));
    let refused = builder().identity(identity()).admin(anywhere).bind().await;
    assert!(refused.expect_err("refused").to_string().contains("other machines can reach"));
    let refused = builder().listen(anywhere).allow_remote().bind().await;
    assert!(refused.expect_err("refused").to_string().contains("TLS"));

    let sidecar = Running::start(keyless(&emulator), |s| s.listen(anywhere).allow_remote()).await;
    let host = format!("host: localhost:{}\r\n", sidecar.address.port());
    let loopback = ([127, 0, 0, 1], sidecar.address.port()).into();
    assert_eq!(get(loopback, "/v1beta/models", &host).await, "", "plaintext is not answered");
    let client = sidecar.client().transport(Transport::Grpc);
    assert_eq!(key_received(&emulator, client).await.as_deref(), Some(KEY));
}
