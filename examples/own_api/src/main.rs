//! A library's API behind a proxy that breaks gRPC: the call goes over REST, by the rules in the proto.

use genai_bridge::emulator::{Emulator, Fault, HostileProxy, Reply};
use genai_bridge::{ActiveTransport, Bridge, Credentials, Proxy, Schema};
use library::library_client::LibraryClient;
use library::{Book, GetBookRequest, ListShelvesResponse};

mod library {
    tonic::include_proto!("library.v1");
}

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/library.binpb"));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Your service and your network stand in place of these two.
    let service = Emulator::builder().descriptors(DESCRIPTORS).start().await?;
    let network = HostileProxy::start(Fault::InspectHttp1).await?;
    let book = Book { name: "shelves/1/books/2".into(), title: "Emma".into() };
    service.on("/library.v1.Library/GetBook", Reply::message(&book));
    service.on("/library.v1.Library/ListShelves", Reply::message(&ListShelvesResponse::default()));

    let bridge = Bridge::builder()
        .endpoint(service.endpoint())
        .schema(Schema::from_descriptor_set(DESCRIPTORS)?)
        .credentials(Credentials::none()) // or a key, or tokens
        .probe_call("/library.v1.Library/ListShelves", []) // free; it proves gRPC before others go over it
        .proxy(Proxy::url(&network.url())?)
        .add_root_certificates(network.root_certificate())
        .build()?;
    let mut client = LibraryClient::new(bridge);
    let reply = client.get_book(GetBookRequest { name: book.name }).await?;
    let transport = reply.extensions().get::<ActiveTransport>().map(|transport| transport.as_str());
    println!("{} over {}", reply.get_ref().title, transport.unwrap_or("an unknown transport"));
    Ok(())
}
