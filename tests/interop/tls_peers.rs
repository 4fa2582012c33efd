//! TLS peers: OpenSSL's server in each way that a handshake fails, and what is said about it:
//! error, advice, letter.

use std::path::{Path, PathBuf};
use std::process::Command;

use genai_bridge::doctor::Doctor;
use genai_bridge::gemini::prompt;
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, BridgeBuilder, Error, Proxy, SymptomKind as Kind, Transport};

use crate::bed::Bed;

/// How a peer is made, and what must be said about it.
struct Peer {
    name: &'static str,
    /// Its certificate, by the name of its files.
    certificate: &'static str,
    options: &'static [&'static str],
    kind: Kind,
    /// In the error or its evidence.
    error: &'static str,
    /// In the advice.
    advice: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "TLS 1.1 at most",
        certificate: "good",
        options: &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        kind: Kind::TlsAlert,
        error: "alert ProtocolVersion",
        advice: "TLS 1.1 at most",
    },
    Peer {
        name: "no cipher suite in common",
        certificate: "good",
        options: &["-tls1_2", "-cipher", "AES256-SHA"],
        kind: Kind::TlsAlert,
        error: "alert HandshakeFailure",
        advice: "safe cipher suite",
    },
    Peer {
        name: "RSA of 1024 bits",
        certificate: "weak",
        options: &["-cipher", "DEFAULT:@SECLEVEL=0"],
        kind: Kind::CertificateUnknownIssuer,
        error: "Test Root",
        advice: "less than 2048 bits",
    },
    Peer {
        name: "signed by SHA-1",
        certificate: "sha1",
        options: &["-cipher", "DEFAULT:@SECLEVEL=0"],
        kind: Kind::CertificateInvalid,
        error: "Test Root",
        advice: "such as SHA-1",
    },
    Peer {
        name: "X.509 version 1",
        certificate: "version1",
        options: &[],
        kind: Kind::CertificateInvalid,
        error: "Test Root",
        advice: "X.509 version 1",
    },
    Peer {
        name: "for clients only",
        certificate: "purpose",
        options: &[],
        kind: Kind::CertificateInvalid,
        error: "Test Root",
        advice: "serverAuth",
    },
    Peer {
        name: "an authority's as its own",
        certificate: "root",
        options: &[],
        kind: Kind::CertificateInvalid,
        error: "Test Root",
        advice: "CA:TRUE",
    },
    Peer {
        name: "self-signed",
        certificate: "self",
        options: &[],
        kind: Kind::CertificateUnknownIssuer,
        error: "localhost",
        advice: "signed its certificate itself",
    },
    Peer {
        name: "expired",
        certificate: "expired",
        options: &[],
        kind: Kind::CertificateExpired,
        error: "certificate expired",
        advice: "may be fast",
    },
    Peer {
        name: "not valid yet",
        certificate: "future",
        options: &[],
        kind: Kind::CertificateExpired,
        error: "Test Root",
        advice: "may be slow",
    },
    Peer {
        name: "for another name",
        certificate: "name",
        options: &[],
        kind: Kind::CertificateWrongName,
        error: "other.test",
        advice: "host name",
    },
    Peer {
        name: "its intermediate not sent",
        certificate: "below",
        options: &[],
        kind: Kind::CertificateUnknownIssuer,
        error: "Test Issuing CA",
        advice: "send the issuer's certificate too",
    },
    Peer {
        name: "below an unknown root",
        certificate: "foreign",
        options: &["-cert_chain", "other.pem"],
        kind: Kind::CertificateUnknownIssuer,
        error: "the root is Other Root",
        advice: "add the root that the error names",
    },
    Peer {
        name: "wants a client certificate",
        certificate: "good",
        options: &["-Verify", "1", "-verify_return_error", "-alpn", "h2,http/1.1"],
        kind: Kind::TlsAlert,
        error: "refused the TLS handshake",
        advice: "wants a client certificate",
    },
    Peer {
        name: "the same over TLS 1.2",
        certificate: "good",
        options: &["-tls1_2", "-Verify", "1", "-verify_return_error"],
        kind: Kind::TlsAlert,
        error: "certificate",
        advice: "wants a client certificate",
    },
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn each_peer_is_told_by_its_true_cause() {
    let mut bed = Bed::new("tls").await;
    make_certificates(&bed.folder);
    let root = std::fs::read(bed.folder.join("root.pem")).expect("a root");
    for peer in PEERS {
        let (port, folder) = (bed.port(peer.name), bed.folder.clone());
        bed.start("openssl", |command| {
            let file = |end: &str| folder.join(format!("{}.{end}", peer.certificate));
            command.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
            command.arg("-cert").arg(file("pem")).arg("-key").arg(file("key"));
            command.args(peer.options).current_dir(&folder);
        });
    }
    bed.ready().await;
    let mut wrong = Vec::new();
    println!("| peer | error | advice | doctor's letter |\n|---|---|---|---|");
    for peer in PEERS {
        let port = bed.port(peer.name);
        let build = || builder(port, &root);
        for transport in [Transport::Grpc, Transport::Rest] {
            let bridge = build().transport(transport).build().expect("a bridge");
            let mut client = GenerativeServiceClient::new(bridge);
            let asked = client.generate_content(prompt("gemini-2.5-flash", "?")).await;
            let status = asked.expect_err("no way leads there");
            let error = Error::of(&status).expect("ours");
            let kind = error.symptom().map(genai_bridge::Symptom::kind);
            let (text, advice) = (error.to_string(), error.advice().unwrap_or_default());
            if transport == Transport::Grpc {
                let report = Doctor::new(build()).examine().await;
                let letter = report.for_network_team().unwrap_or_default().replace('\n', "; ");
                println!("| {} | {text} | {advice} | {letter} |", peer.name);
                if !report.to_json().contains(advice) {
                    wrong.push(format!(
                        "{}: the doctor says\n{}",
                        peer.name,
                        report.to_text(false)
                    ));
                }
            }
            let is_told = text.contains(peer.error) && advice.contains(peer.advice);
            if kind != Some(peer.kind) || !is_told {
                wrong.push(format!("{} over {transport}: {kind:?}: {text}; {advice}", peer.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn builder(port: u16, root: &[u8]) -> BridgeBuilder {
    Bridge::builder()
        .endpoint(format!("https://localhost:{port}"))
        .proxy(Proxy::none())
        .add_root_certificates(root)
        .api_key("any")
}

/// The files that the peers show, signed by `root` unless their name says otherwise.
fn make_certificates(folder: &Path) {
    let maker = Maker { folder: folder.to_owned() };
    maker.authority("root", "Test Root");
    maker.authority("other", "Other Root");
    let name = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
    let now = ("20240101000000Z", "20990101000000Z");
    maker.sign("root", "good", "rsa:2048", "sha256", name, now);
    maker.sign("root", "weak", "rsa:1024", "sha256", name, now);
    maker.sign("root", "sha1", "rsa:2048", "sha1", name, now);
    maker.sign("root", "version1", "rsa:2048", "sha256", "", now);
    maker.sign(
        "root",
        "purpose",
        "rsa:2048",
        "sha256",
        &format!("{name}extendedKeyUsage=clientAuth\n"),
        now,
    );
    maker.sign(
        "root",
        "expired",
        "rsa:2048",
        "sha256",
        name,
        ("20200101000000Z", "20210101000000Z"),
    );
    maker.sign(
        "root",
        "future",
        "rsa:2048",
        "sha256",
        name,
        ("20980101000000Z", "20990101000000Z"),
    );
    maker.sign("root", "name", "rsa:2048", "sha256", "subjectAltName=DNS:other.test\n", now);
    let authority = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
    maker.sign_as("Test Issuing CA", "root", "issuing", "rsa:2048", "sha256", authority, now);
    maker.sign("issuing", "below", "rsa:2048", "sha256", name, now);
    maker.sign("other", "foreign", "rsa:2048", "sha256", name, now);
    maker.run(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "self.key",
        "-out",
        "self.pem",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-days",
        "3650",
    ]);
}

/// Makes certificates by OpenSSL's command.
struct Maker {
    folder: PathBuf,
}

impl Maker {
    fn run(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(&self.folder).output();
        let output = output.expect("openssl");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {error}");
    }

    fn authority(&self, file: &str, name: &str) {
        let (key, pem) = (format!("{file}.key"), format!("{file}.pem"));
        self.run(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &pem,
            "-subj",
            &format!("/CN={name}"),
            "-days",
            "3650",
        ]);
    }

    fn sign(
        &self,
        by: &str,
        file: &str,
        key: &str,
        digest: &str,
        extensions: &str,
        valid: (&str, &str),
    ) {
        self.sign_as("localhost", by, file, key, digest, extensions, valid);
    }

    #[expect(clippy::too_many_arguments, reason = "each is one choice of OpenSSL's command")]
    fn sign_as(
        &self,
        name: &str,
        by: &str,
        file: &str,
        key: &str,
        digest: &str,
        extensions: &str,
        valid: (&str, &str),
    ) {
        let with = |end: &str| format!("{file}.{end}");
        self.run(&[
            "req",
            "-newkey",
            key,
            "-nodes",
            "-keyout",
            &with("key"),
            "-out",
            &with("csr"),
            "-subj",
            &format!("/CN={name}"),
        ]);
        // `openssl ca` takes both dates in each version of OpenSSL 3.
        let extended = if extensions.is_empty() { "" } else { "x509_extensions=extensions\n" };
        let config = format!(
            "[ca]\ndefault_ca=own\n[own]\ndatabase={file}.index\nserial={file}.serial\nnew_certs_dir=.\n\
             policy=any\nunique_subject=no\n{extended}[any]\ncommonName=supplied\n[extensions]\n{extensions}"
        );
        for (end, text) in [("cnf", config.as_str()), ("index", ""), ("serial", "01\n")] {
            std::fs::write(self.folder.join(with(end)), text).expect("a file");
        }
        let (certificate, issuer_key) = (format!("{by}.pem"), format!("{by}.key"));
        self.run(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            &with("cnf"),
            "-cert",
            &certificate,
            "-keyfile",
            &issuer_key,
            "-in",
            &with("csr"),
            "-out",
            &with("pem"),
            "-md",
            digest,
            "-startdate",
            valid.0,
            "-enddate",
            valid.1,
        ]);
    }
}
