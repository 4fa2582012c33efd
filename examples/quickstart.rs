//! A call behind a proxy that breaks gRPC: the unchanged client gets its answer, and says how.
//!
//! Without arguments it runs against a local service; with `--live` and `GEMINI_API_KEY` against Google's.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::io::{Write, stdout};

use genai_bridge::emulator::{Emulator, Fault, HostileProxy};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{
    Content, GenerateContentRequest, GenerateContentResponse, Part, part::Data,
};
use genai_bridge::{ActiveTransport, Bridge, Proxy};
use tokio::time::Instant;

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
    let reply = client.generate_content(question("Why is the sky blue?")).await?;
    let transport = reply.extensions().get::<ActiveTransport>().copied();
    println!("  {}", text(reply.get_ref()));
    explain(&bridge, transport);
    if bridge.active().symptom().is_some() {
        println!("  [found out and switched in {:.0?}]", bridge.active().since() - began);
    }

    println!("\nStreamGenerateContent:");
    let reply = client.stream_generate_content(question("Tell me a short story.")).await?;
    let transport = reply.extensions().get::<ActiveTransport>().copied();
    let mut chunks = reply.into_inner();
    print!("  ");
    while let Some(chunk) = chunks.message().await? {
        print!("{}", text(&chunk));
        stdout().flush()?;
    }
    println!();
    explain(&bridge, transport);
    Ok(())
}

fn explain(bridge: &Bridge, transport: Option<ActiveTransport>) {
    match (transport, bridge.active().symptom()) {
        (Some(ActiveTransport::Rest), Some(symptom)) => {
            println!("  [over REST, because {symptom}]");
        }
        (Some(transport), _) => println!("  [over {}]", transport.as_str()),
        (None, _) => println!("  [the answer does not say what carried it]"),
    }
}

fn question(text: &str) -> GenerateContentRequest {
    let part = Part { data: Some(Data::Text(text.into())), ..Part::default() };
    GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![Content { parts: vec![part], role: "user".into() }],
        ..GenerateContentRequest::default()
    }
}

fn text(reply: &GenerateContentResponse) -> String {
    let contents = reply.candidates.iter().filter_map(|candidate| candidate.content.as_ref());
    let parts = contents.flat_map(|content| &content.parts);
    let texts = parts.filter_map(|part| match &part.data {
        Some(Data::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}
