//! genai-bridge

mod call;
mod credentials;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
mod fallback;
mod frame;
mod grpc;
mod json;
mod network;
mod policy;
mod proto;
mod rest;
mod schema;
mod symptom;

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
pub use symptom::{Evidence, Proof, Station, Symptom, SymptomKind};
