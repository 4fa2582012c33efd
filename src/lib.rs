//! genai-bridge

mod call;
mod error;
mod frame;
mod grpc;
mod policy;
mod schema;
mod symptom;

pub use error::{Error, ErrorKind};
pub use policy::{ActiveTransport, CallOptions, ResendPolicy, RetryPolicy, Transport};
pub use symptom::{Evidence, Proof, Station, Symptom, SymptomKind};
