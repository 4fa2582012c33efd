//! Vertex AI, with Application Default Credentials, over gRPC or REST.

use genai_bridge::{ActiveTransport, Bridge, Credentials, Schema};
use prost::Message as _;
use vertex::prediction_service_client::PredictionServiceClient;
use vertex::{Content, GenerateContentRequest, ListModelsRequest, Part};

mod vertex {
    tonic::include_proto!("google.cloud.aiplatform.v1");
}

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vertex.binpb"));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [project, location, prompt] = arguments.as_slice() else {
        return Err("give a project, a location and a prompt".into());
    };
    let parent = format!("projects/{project}/locations/{location}");
    let probe = ListModelsRequest { parent: parent.clone(), page_size: 1 };
    let bridge = Bridge::builder()
        .endpoint(format!("https://{location}-aiplatform.googleapis.com")) // each location has its own
        .schema(Schema::from_descriptor_set(DESCRIPTORS)?)
        .google_service() // the headers of Google's own clients
        .credentials(Credentials::adc())
        .probe_call("/google.cloud.aiplatform.v1.ModelService/ListModels", probe.encode_to_vec())
        .build()?;

    let part = Part { text: prompt.clone() };
    let request = GenerateContentRequest {
        model: format!("{parent}/publishers/google/models/gemini-2.5-flash"),
        contents: vec![Content { role: "user".into(), parts: vec![part] }],
    };
    let reply = PredictionServiceClient::new(bridge).generate_content(request).await?;
    if let Some(transport) = reply.extensions().get::<ActiveTransport>() {
        println!("over {}", transport.as_str());
    }
    for candidate in reply.into_inner().candidates {
        let parts = candidate.content.unwrap_or_default().parts;
        println!("{}", parts.iter().map(|part| part.text.as_str()).collect::<String>());
    }
    Ok(())
}
