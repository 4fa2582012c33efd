//! Your own clients carry the calls: a tonic `Channel` those over gRPC, a reqwest client those over REST.
//!
//! `cargo run --example own_clients --features reqwest http://mesh.local:15001`. The mesh is one that speaks HTTP/2 without
//! TLS. Where it is away, reqwest goes the way that the environment names.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{ActiveTransport, Bridge, Carrier, gemini, gemini::reply::Reply};
use tonic::transport::Endpoint;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mesh = std::env::args().nth(1).ok_or("give the URL of the mesh")?;
    let channel = Endpoint::from_shared(mesh)?.connect_timeout(Duration::from_secs(2));
    let channel = tower::ServiceBuilder::new()
        .map_request(|request: http::Request<_>| {
            println!("the channel sends {}", request.uri().path()); // sign, count, record
            request
        })
        .service(channel.connect_lazy());

    // Its builder, not the client: the bridge turns redirects off, so that no key follows one.
    let client = reqwest::Client::builder().user_agent("my-program/1.0");
    let bridge = Bridge::builder()
        .from_env()
        .grpc_carrier(Carrier::service(channel))
        .rest_carrier(client)
        .build()?;

    let request = gemini::prompt("gemini-2.5-flash", "Why is the sky blue?");
    let reply = GenerativeServiceClient::new(bridge).generate_content(request).await?;
    if let Some(transport) = reply.extensions().get::<ActiveTransport>() {
        println!("over {}", transport.as_str());
    }
    println!("{}", reply.get_ref().text()?);
    Ok(())
}
