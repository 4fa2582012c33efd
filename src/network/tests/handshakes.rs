//! TLS: what is agreed on, and how it fails.

use std::sync::Arc;

use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::server::{ServerConfig, WebPkiClientVerifier};

use super::authority::Leaf;
use super::*;
use crate::symptom::SymptomKind;

#[tokio::test]
async fn the_protocol_is_agreed_on_in_the_handshake() {
    let authority = Authority::new("Test CA");
    let leaf = authority.localhost();
    let network = network(Proxy::none(), &authority);
    for (offered, alpn, expected) in [
        (&["h2", "http/1.1"][..], Alpn::Http2, Ok(())),
        (&["h2", "http/1.1"], Alpn::Any, Ok(())),
        (&["h2", "http/1.1"], Alpn::Http1, Ok(())),
        (&["http/1.1"], Alpn::Any, Ok(())),
        (&[], Alpn::Any, Ok(())),
        (&[], Alpn::Http1, Ok(())),
        (&["http/1.1"], Alpn::Http2, Err((SymptomKind::Http2NotOffered, Some("http/1.1")))),
        (&[], Alpn::Http2, Err((SymptomKind::Http2NotOffered, Some("none")))),
        (&["foo"], Alpn::Http2, Err((SymptomKind::Http2NotOffered, None))),
        (&["foo"], Alpn::Http1, Err((SymptomKind::TlsAlert, None))),
    ] {
        let origin = https_origin(tls_echo(leaf.server(offered)).await);
        match (network.connect(&origin, alpn).await, expected) {
            (Ok(mut connection), Ok(())) => {
                assert_eq!(connection.issuer.as_deref(), Some("Test CA"));
                assert_echo(&mut connection, b"").await;
            }
            (outcome, Err((kind, chosen))) => {
                let symptom = symptom(outcome);
                assert_eq!(symptom.kind(), kind, "{offered:?} {alpn:?}");
                assert_eq!(symptom.evidence().protocol(), chosen);
                assert_eq!(symptom.evidence().issuer(), chosen.map(|_| "Test CA"));
            }
            (outcome, expected) => panic!("{outcome:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_bad_certificate_is_told_with_its_issuer() {
    let (authority, other) = (Authority::new("Test CA"), Authority::new("Corp Inspection CA"));
    let network = network(Proxy::none(), &authority);
    for (leaf, kind, issuer) in [
        (other.localhost(), SymptomKind::CertificateUnknownIssuer, "Corp Inspection CA"),
        (authority.leaf("localhost", 2001), SymptomKind::CertificateExpired, "Test CA"),
        (authority.leaf("other.test", 4000), SymptomKind::CertificateWrongName, "Test CA"),
    ] {
        let origin = https_origin(tls_echo(leaf.server(&["h2"])).await);
        let symptom = symptom(network.connect(&origin, Alpn::Http2).await);
        assert_eq!(symptom.kind(), kind);
        assert_eq!(symptom.evidence().issuer(), Some(issuer));
        assert_eq!(symptom.hop(), format!("host localhost:{}", origin.address().port()));
    }
}

#[tokio::test]
async fn a_broken_handshake_is_told_by_what_broke_it() {
    let network = network(Proxy::none(), &Authority::new("Test CA"));
    for (answer, kind, detail) in [
        (&b""[..], SymptomKind::TlsClosed, None),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", SymptomKind::NotTls, None),
        (b"<html>blocked</html>", SymptomKind::NotTls, None),
        (b"\x15\x03\x03\x00\x02\x02\x31", SymptomKind::TlsAlert, Some("alert AccessDenied")),
        (b"\x15\x03\x03\x00\x02\x02\x28", SymptomKind::TlsAlert, Some("alert HandshakeFailure")),
    ] {
        let address = peer(async move |mut stream: TcpStream| {
            // All of the ClientHello, or closing would reset the connection.
            let mut record = [0; 5];
            stream.read_exact(&mut record).await.expect("record");
            let length = u16::from_be_bytes([record[3], record[4]]);
            let mut hello = vec![0; usize::from(length)];
            stream.read_exact(&mut hello).await.expect("hello");
            stream.write_all(answer).await.expect("answer");
        })
        .await;
        let symptom = symptom(network.connect(&https_origin(address), Alpn::Http2).await);
        assert_eq!((symptom.kind(), symptom.evidence().detail()), (kind, detail));
        if kind == SymptomKind::NotTls {
            assert_eq!(symptom.evidence().first_bytes(), answer);
        }
    }
}

#[tokio::test]
async fn a_reset_in_the_handshake_is_told() {
    let address = peer(async move |mut stream: TcpStream| {
        stream.read_exact(&mut [0; 5]).await.expect("record");
        // Closing with unread bytes resets the connection.
        drop(stream);
    })
    .await;
    let network = network(Proxy::none(), &Authority::new("Test CA"));
    let symptom = symptom(network.connect(&https_origin(address), Alpn::Http1).await);
    assert_eq!(symptom.kind(), SymptomKind::TlsReset);
    assert_eq!(symptom.evidence().io(), Some(std::io::ErrorKind::ConnectionReset));
}

/// A peer that wants a client certificate of this authority, and shows one of it.
async fn asking_for_certificates(authority: &Authority) -> SocketAddr {
    let server = authority.localhost();
    let mut trusted = RootCertStore::empty();
    trusted.add(authority.der.clone()).expect("root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(trusted.into(), Arc::clone(&provider))
            .build()
            .expect("verifier");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(server.chain.clone(), server.private_key())
        .expect("certificate");
    tls_echo(TlsAcceptor::from(Arc::new(config))).await
}

fn showing(authority: &Authority, client: &Leaf) -> Network {
    let identity = (client.pem.clone().into(), client.key.serialize_pem().into());
    let settings = NetworkSettings {
        proxy: Proxy::none(),
        tls: TlsSettings {
            roots: vec![authority.pem.clone().into_bytes()],
            client_identity: Some(identity),
            prepared: None,
        },
        connect_timeout: Some(Duration::MAX),
        connector: None,
        is_https: true,
    };
    Network::new(settings).expect("network")
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let authority = Authority::new("Test CA");
    let address = asking_for_certificates(&authority).await;
    let network = showing(&authority, &authority.leaf("client.test", 4000));
    let outcome = network.connect(&https_origin(address), Alpn::Http1).await;
    assert_echo(&mut outcome.expect("connected"), b"").await;
}

#[tokio::test]
async fn a_client_certificate_is_renewed_while_its_roots_stay() {
    let authority = Authority::new("Test CA");
    let network = showing(&authority, &Authority::new("Old CA").leaf("client.test", 4000));
    let peer = https_origin(asking_for_certificates(&authority).await);
    let refused = network.connect(&peer, Alpn::Http1).await;
    // With TLS 1.3 the peer's refusal comes after the handshake.
    let mut byte = [0];
    refused.expect("connected").io.read_exact(&mut byte).await.expect_err("refused");
    let client = authority.leaf("client.test", 4000);
    let renewal = NetworkRenewal::new();
    network.renew(renewal.client_identity(client.pem, client.key.serialize_pem())).expect("good");
    let peer = https_origin(asking_for_certificates(&authority).await);
    let outcome = network.connect(&peer, Alpn::Http1).await;
    assert_echo(&mut outcome.expect("connected"), b"").await;
}

#[test]
fn settings_that_cannot_work_are_errors_of_configuration() {
    let leaf = Authority::new("Test CA").localhost();
    let other_key = KeyPair::generate().expect("key").serialize_pem();
    let identity = |chain: &str, key: &str| NetworkSettings {
        tls: TlsSettings {
            client_identity: Some((chain.into(), key.into())),
            ..Default::default()
        },
        ..Default::default()
    };
    for settings in [
        NetworkSettings {
            tls: TlsSettings { roots: vec![b"no root".to_vec()], ..Default::default() },
            ..Default::default()
        },
        identity("no certificate", &leaf.key.serialize_pem()),
        identity(&leaf.pem, "no key"),
        identity(&leaf.pem, &other_key),
    ] {
        let settings = NetworkSettings { proxy: Proxy::none(), ..settings };
        let error = Network::new(settings).expect_err("wrong");
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}
