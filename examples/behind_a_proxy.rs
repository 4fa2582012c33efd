//! Behind a company's proxy, whose certificates the company signs:
//! `cargo run --example behind_a_proxy http://user:password@proxy.corp:3128 corp-ca.pem`.
//!
//! Where the environment names the proxy (`HTTPS_PROXY`) and the operating system trusts the company, nothing of this is
//! needed.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge, Proxy, gemini, gemini::reply::Reply};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(proxy), Some(root)) = (arguments.next(), arguments.next()) else {
        return Err("give the proxy's URL and the file of the company's root certificate".into());
    };
    let bridge = Bridge::builder()
        .from_env()
        .proxy(Proxy::url(&proxy)?)
        .add_root_certificates(std::fs::read(root)?)
        .build()?;
    // Optional: settles the transport now, so that a wrong setting shows at the start and the first call need not wait.
    let transport = bridge.connect().await?;
    println!("calls go over {}", transport.as_str());
    if let Some(symptom) = bridge.transport_state().symptom() {
        println!("because {symptom}");
    }

    let mut client = GenerativeServiceClient::new(bridge);
    let request = gemini::prompt("gemini-2.5-flash", "Why is the sky blue?");
    let reply = client.generate_content(request).await?;
    if let Some(transport) = reply.extensions().get::<ActiveTransport>() {
        println!("this one went over {}", transport.as_str());
    }
    println!("{}", reply.get_ref().text()?);
    Ok(())
}
