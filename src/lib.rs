#![doc = include_str!("../README.md")]

mod attempts;
mod bridge;
mod builder;
mod call;
mod credentials;
pub mod doctor;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
mod fallback;
mod frame;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod gemini;
mod grpc;
#[doc = include_str!("guide.md")]
pub mod guide {}
mod json;
mod network;
mod policy;
mod proof;
mod proto;
mod rest;
mod retries;
mod schema;
#[cfg(feature = "cli")]
pub mod sidecar;
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
pub use policy::{
    ActiveTransport, CallOptions, ParameterCheck, ResendPolicy, RetryPolicy, Transport,
};
pub use proto::google::{
    ai::generativelanguage::{v1, v1beta},
    longrunning, rpc,
};
pub use schema::Schema;
pub use stats::Stats;
pub use symptom::{Evidence, Proof, Station, Symptom, SymptomKind};
