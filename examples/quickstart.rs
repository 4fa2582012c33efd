//! A call behind a proxy that breaks gRPC: the unchanged client gets its answer, and says how.
//!
//! Without arguments it runs against a local service. With `--live` and `GEMINI_API_KEY` it runs against Google's.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::io::{Write, stdout};

use genai_bridge::emulator::{Emulator, Fault, HostileProxy};
use genai_bridge::gemini::{prompt, reply::Reply};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge, Proxy};
use tokio::time::Instant;

const MODEL: &str = "gemini-2.5-flash";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "--live") {
        return ask(Bridge::builder().from_env().build()?).await;
    }
    let emulator = Emulator::start().await?;
    let proxy = HostileProxy::start(Fault::InspectHttp1).await?;
    println!("A local Gemini stands behind a proxy that inspects TLS and speaks HTTP/1.1 only.\n");
    let bridge = Bridge::builder()
        .endpoint(emulator.endpoint())
        .proxy(Proxy::url(&proxy.url())?)
        .add_root_certificates(proxy.root_certificate())
        .api_key("no key needed here");
    ask(bridge.build()?).await
}

async fn ask(bridge: Bridge) -> Result<(), Box<dyn Error>> {
    let mut client = GenerativeServiceClient::new(bridge.clone());
    let began = Instant::now();

    println!("GenerateContent:");
    let reply = client.generate_content(prompt(MODEL, "Why is the sky blue?")).await?;
    let transport = reply.extensions().get::<ActiveTransport>().copied();
    println!("  {}", reply.get_ref().text()?);
    explain(&bridge, transport);
    if bridge.transport_state().symptom().is_some() {
        println!("  [found out and switched in {:.0?}]", bridge.transport_state().since() - began);
    }

    println!("\nStreamGenerateContent:");
    let reply = client.stream_generate_content(prompt(MODEL, "Tell me a short story.")).await?;
    let transport = reply.extensions().get::<ActiveTransport>().copied();
    let mut chunks = reply.into_inner();
    print!("  ");
    while let Some(chunk) = chunks.message().await? {
        print!("{}", chunk.text_so_far());
        stdout().flush()?;
    }
    println!();
    explain(&bridge, transport);
    Ok(())
}

fn explain(bridge: &Bridge, transport: Option<ActiveTransport>) {
    match (transport, bridge.transport_state().symptom()) {
        (Some(ActiveTransport::Rest), Some(symptom)) => {
            println!("  [over REST, because {symptom}]");
        }
        (Some(transport), _) => println!("  [over {}]", transport.as_str()),
        (None, _) => println!("  [the answer does not say what carried it]"),
    }
}
