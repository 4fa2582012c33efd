#![doc = include_str!("../README.md")]

mod attempts;
mod bridge;
mod builder;
mod call;
mod credentials;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
mod fallback;
mod frame;
mod gemini;
mod grpc;
mod json;
mod network;
mod policy;
mod proof;
mod proto;
mod rest;
mod retries;
mod schema;
mod stats;
mod symptom;
mod vigil;
mod watched;

pub use bridge::Bridge;
pub use builder::BridgeBuilder;
pub use credentials::{Credentials, Token};
pub use error::{Error, ErrorKind};
pub use fallback::Active;
pub use network::Proxy;
pub use policy::{ActiveTransport, CallOptions, ResendPolicy, RetryPolicy, Transport};
pub use proto::google::{
    ai::generativelanguage::{v1, v1beta},
    longrunning, rpc,
};
pub use schema::Schema;
pub use stats::Stats;
pub use symptom::{Evidence, Proof, Station, Symptom, SymptomKind};
