//! A test of your own code against a network that breaks: `cargo test --example test_with_faults --features emulator`.

use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, gemini, gemini::reply::Reply};
use tonic::Status;

/// The code that is tested: it takes the bridge that its caller made.
async fn headline(bridge: Bridge) -> Result<String, Status> {
    let request = gemini::prompt("gemini-2.5-flash", "Write a headline about the sky.");
    let reply = GenerativeServiceClient::new(bridge).generate_content(request).await?;
    Ok(reply.get_ref().text().unwrap_or("no headline today".into()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    headline(Bridge::builder().from_env().build()?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use genai_bridge::Proxy;
    use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Reply};

    use super::*;

    const GENERATE: &str = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";

    #[tokio::test]
    async fn a_headline_comes_whatever_the_network_does() -> Result<(), Box<dyn std::error::Error>>
    {
        for fault in [Fault::Pass, Fault::InspectHttp1, Fault::TrailersStripped] {
            let emulator = Emulator::start().await?;
            let overloaded = Status::unavailable("the model is overloaded");
            emulator.once(GENERATE, Reply::error(overloaded)); // the first attempt fails
            let proxy = HostileProxy::start(fault).await?;
            let bridge = Bridge::builder()
                .endpoint(emulator.endpoint())
                .proxy(Proxy::url(&proxy.url())?)
                .add_root_certificates(emulator.root_certificate())
                .add_root_certificates(proxy.root_certificate())
                .api_key("any")
                .build()?;
            assert!(headline(bridge).await?.contains("sky"), "behind {fault}");
            assert_eq!(emulator.count(GENERATE), 2, "behind {fault}: one retry");
        }
        Ok(())
    }
}
