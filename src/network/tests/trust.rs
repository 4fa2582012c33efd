//! What is trusted when the environment names the store; each case is a process of its own.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::symptom::SymptomKind;

/// Runs one of the ignored tests below with these certificates as the machine's trust store.
fn run_with_store(test: &str, store: &Path) {
    let outcome = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "--ignored", &format!("network::tests::trust::{test}")])
        .env("SSL_CERT_FILE", store)
        .env("SSL_CERT_DIR", store)
        .output()
        .expect("started");
    let output = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success() && output.contains("1 passed"), "{output}");
}

#[test]
fn a_machine_without_a_trust_store_is_told_of_or_works_with_added_roots() {
    run_with_store("no_store", Path::new("/nonexistent"));
}

#[test]
fn the_store_that_ssl_cert_file_names_is_trusted() {
    let file = std::env::temp_dir().join(format!("genai-bridge-{}.pem", std::process::id()));
    let authority = Authority::new("Test CA");
    let leaf = authority.localhost();
    let pem = [authority.pem, leaf.pem, leaf.key.serialize_pem()].concat();
    std::fs::write(&file, pem).expect("written");
    run_with_store("named_store", &file);
    std::fs::remove_file(&file).expect("removed");
}

#[test]
fn the_process_chooses_the_crypto_and_is_left_without_one_otherwise() {
    for test in ["chosen_provider", "no_provider"] {
        run_with_store(test, Path::new("/nonexistent"));
    }
}

fn trusting(roots: Vec<Vec<u8>>) -> Result<Network, Error> {
    Network::new(NetworkSettings {
        proxy: Proxy::none(),
        tls: TlsSettings { roots, ..Default::default() },
        ..Default::default()
    })
}

#[test]
#[ignore = "needs an environment without a trust store"]
fn no_store() {
    let error = trusting(Vec::new()).expect_err("nothing to trust");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
    trusting(vec![Authority::new("Test CA").pem.into_bytes()]).expect("added roots");
}

#[tokio::test]
#[ignore = "needs an environment whose trust store is one authority, with a leaf and its key"]
async fn named_store() {
    let file = std::env::var_os("SSL_CERT_FILE").expect("named");
    let pem = std::fs::read(file).expect("read");
    let (chain, key) = certificate::read_identity(&pem, &pem).expect("certificates and key");
    let network = trusting(Vec::new()).expect("network");
    let origin = https_origin(tls_echo(authority::server(chain[1..].to_vec(), key, &["h2"])).await);
    let mut connection = network.connect(&origin, Alpn::Http2).await.expect("trusted");
    assert_echo(&mut connection, b"").await;

    let stranger = Authority::new("Test CA").localhost().server(&["h2"]);
    let origin = https_origin(tls_echo(stranger).await);
    let symptom = symptom(network.connect(&origin, Alpn::Http2).await);
    assert_eq!(symptom.kind(), SymptomKind::CertificateUnknownIssuer);
}

/// A connection works, with both providers of rustls in this build.
async fn assert_connects() {
    let authority = Authority::new("Test CA");
    let address = tls_echo(authority.localhost().server(&["h2"])).await;
    let network = network(Proxy::none(), &authority);
    let outcome = network.connect(&https_origin(address), Alpn::Http2).await;
    assert_echo(&mut outcome.expect("connected"), b"").await;
}

#[tokio::test]
#[ignore = "chooses the crypto of its whole process"]
async fn chosen_provider() {
    rustls::crypto::ring::default_provider().install_default().expect("the first choice");
    assert_connects().await;
}

#[tokio::test]
#[ignore = "needs a process whose crypto nobody chose"]
async fn no_provider() {
    assert_connects().await;
    assert!(rustls::crypto::CryptoProvider::get_default().is_none(), "the library chose");
}
