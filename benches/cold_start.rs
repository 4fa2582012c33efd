//! What the first call of a process takes, by part: each run is a process of its own, over TLS on
//! loopback.
//!
//! `cargo bench --bench cold_start`. Milliseconds, medians of interleaved runs. The parts overlap
//! within a call: the bridge has randomness drawn on a thread of its own while its builder reads
//! the roots and the call connects. `first_call` measures what a broken network adds, in a process
//! that is warm.

use std::error::Error;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, Proxy, Transport};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

#[allow(dead_code, reason = "here it says the load alone")]
mod processor;
#[allow(dead_code, reason = "the bench of carriers uses all of it")]
mod sentence;
mod server;
mod service;

use processor::load;
use sentence::question;
use service::{Service, serve};

/// The first call may take so many milliseconds.
const PROVIDERS: [(&str, f64); 2] = [("aws-lc", 15.0), ("ring", 9.0)];
const RUNS: usize = 21;
/// What is measured, and what a run of it prints.
const PARTS: [(&str, &str); 8] = [
    ("randomness", "the provider's first randomness"),
    ("roots", "the roots of the operating system, read"),
    ("connect", "name, TCP and TLS handshake, with both in hand"),
    ("builder", "the bridge's builder"),
    ("grpc", "builder to first answer, gRPC"),
    ("rest", "the same, REST"),
    ("auto", "the same, Auto"),
    ("reqwest", "the same of reqwest"),
];

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => Runtime::new()?.block_on(serve()),
        ["run", part, provider, endpoint, root] => {
            let provider = match provider {
                "ring" => rustls::crypto::ring::default_provider(),
                _ => rustls::crypto::aws_lc_rs::default_provider(),
            };
            let _ = provider.install_default();
            let took = run(part, endpoint, &std::fs::read(root)?)?;
            println!("{took}");
            Ok(())
        }
        _ => measure(),
    }
}

fn measure() -> Result<(), Failure> {
    let service = Service::start()?;
    let mut found = vec![[(); PROVIDERS.len()].map(|()| Vec::new()); PARTS.len()];
    println!("load {}, median of {RUNS}", load()?);
    for _ in 0..RUNS {
        for ((part, _), found) in PARTS.iter().zip(&mut found) {
            for ((provider, _), found) in PROVIDERS.iter().zip(found) {
                let mut process = Command::new(std::env::current_exe()?);
                process.args(["run", part, provider, &service.endpoint, &service.root]);
                let output = process.output()?;
                if !output.status.success() {
                    return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
                }
                found.push(String::from_utf8(output.stdout)?.trim().parse::<f64>()?);
            }
        }
    }
    print!("| ms |");
    PROVIDERS.iter().for_each(|(name, most)| print!(" {name} (a first call: at most {most}) |"));
    println!("\n|---|---|---|");
    for ((_, name), found) in PARTS.iter().zip(&mut found) {
        print!("| {name} |");
        for values in found {
            values.sort_by(f64::total_cmp);
            print!(" {:.2} |", values[values.len() / 2]);
        }
        println!();
    }
    println!("load {}", load()?);
    Ok(())
}

/// Milliseconds of one part, in a process that did nothing before.
fn run(part: &str, endpoint: &str, root: &[u8]) -> Result<f64, Failure> {
    let provider = Arc::clone(CryptoProvider::get_default().ok_or("no provider")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let draw = || provider.secure_random.fill(&mut [0; 32]).map_err(|_| "no randomness");
    let began = Instant::now();
    let began = match part {
        "randomness" => {
            draw()?;
            began
        }
        "roots" => {
            Verifier::new(provider)?;
            began
        }
        "connect" => {
            draw()?;
            let connector = connector(provider, root)?;
            let began = Instant::now();
            runtime.block_on(connect(connector, endpoint))?;
            began
        }
        "builder" => {
            bridge(Transport::Auto, endpoint, root)?;
            began
        }
        "reqwest" => {
            runtime.block_on(ask_by_reqwest(endpoint, root))?;
            began
        }
        _ => {
            let transport = part.parse()?;
            runtime.block_on(async {
                let bridge = bridge(transport, endpoint, root)?;
                let mut client = GenerativeServiceClient::new(bridge);
                client.generate_content(question()).await.map(drop).map_err(Failure::from)
            })?;
            began
        }
    };
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

fn bridge(transport: Transport, endpoint: &str, root: &[u8]) -> Result<Bridge, Failure> {
    let builder = Bridge::builder().endpoint(endpoint).proxy(Proxy::none()).api_key("none");
    Ok(builder.add_root_certificates(root).transport(transport).build()?)
}

async fn ask_by_reqwest(endpoint: &str, root: &[u8]) -> Result<(), Failure> {
    let builder = reqwest::Client::builder().no_proxy();
    let client = builder.tls_certs_merge([reqwest::Certificate::from_pem(root)?]).build()?;
    let url = format!("{endpoint}/v1beta/models/gemini-2.5-flash:generateContent");
    let answer = client.post(url).body("{}").send().await?.error_for_status()?;
    answer.bytes().await.map(drop).map_err(Failure::from)
}

fn connector(provider: Arc<CryptoProvider>, root: &[u8]) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root)?)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn connect(connector: TlsConnector, endpoint: &str) -> Result<(), Failure> {
    let address = endpoint.trim_start_matches("https://");
    let stream = TcpStream::connect(address).await?;
    connector
        .connect(ServerName::try_from("localhost")?, stream)
        .await
        .map(drop)
        .map_err(Failure::from)
}
