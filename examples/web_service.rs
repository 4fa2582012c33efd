//! A web service that streams the model's answer to a browser, and lets the answers under way finish when it is stopped.
//!
//! `cargo run --example web_service 127.0.0.1:8080`, then open `http://127.0.0.1:8080/?prompt=Why+is+the+sky+blue`.
//! `/metrics` is for Prometheus.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{Router, get};
use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::{Bridge, gemini, gemini::reply::Reply, gemini::reply::ReplyError};
use tokio_stream::StreamExt;
use tonic::Status;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bridge = Bridge::builder().from_env().build()?;
    let service =
        Router::new().route("/", get(ask)).route("/metrics", get(metrics)).with_state(bridge);
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, service).with_graceful_shutdown(interrupted()).await?;
    Ok(())
}

async fn ask(
    State(bridge): State<Bridge>, // cheap to clone: all requests share its connections
    Query(query): Query<HashMap<String, String>>,
) -> Result<Body, (StatusCode, String)> {
    let prompt = query.get("prompt").ok_or((StatusCode::BAD_REQUEST, "no ?prompt=".into()))?;
    let request = gemini::prompt("gemini-2.5-flash", prompt);
    let reply = GenerativeServiceClient::new(bridge).stream_generate_content(request).await;
    let chunks = reply.map_err(|status| (StatusCode::BAD_GATEWAY, in_words(&status)))?.into_inner();
    let texts = chunks.map(|chunk| match chunk?.text() {
        // All but the last chunk say nothing of the end.
        Ok(text) | Err(ReplyError::Unfinished { text, .. }) => Ok::<_, Status>(text),
        Err(why) => Ok(format!("{} [{why}]", why.text())),
    });
    Ok(Body::from_stream(texts))
}

fn in_words(status: &Status) -> String {
    gemini::advice(status).map(|advice| advice.to_string()).unwrap_or_default()
}

async fn metrics(State(bridge): State<Bridge>) -> String {
    let stats = bridge.stats();
    format!("gemini_calls_total {}\ngemini_switches_total {}\n", stats.calls(), stats.switches())
}

async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}
