//! A file for the model, and a question about it: `cargo run --example upload report.pdf "What does it say?"`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::time::Duration;

use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{Content, GenerateContentRequest, Part};
use genai_bridge::{Bridge, gemini::reply::Reply};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(question)) = (arguments.next(), arguments.next()) else {
        return Err("give a file and a question".into());
    };
    let bridge = Bridge::builder().from_env().build()?;
    let files = bridge.files();
    let upload = files.upload(path).mime_type("application/pdf");
    let mut progress = upload.progress();
    tokio::spawn(async move {
        while let Some(so_far) = progress.next().await {
            eprintln!("{} bytes", so_far.bytes());
        }
    });
    let file = upload.send().await?; // after a break, only what the service lacks is sent again
    let file = files.wait_until_active(&file.name, Duration::from_secs(300)).await?;

    let about = Content::user(question).with(Part::file(&file.mime_type, &file.uri));
    let request = GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![about],
        ..GenerateContentRequest::default()
    };
    let reply = GenerativeServiceClient::new(bridge).generate_content(request).await?;
    println!("{}", reply.get_ref().text()?);
    files.delete(&file.name).await?;
    Ok(())
}
