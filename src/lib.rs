//! genai-bridge

mod call;
mod error;
mod fallback;
mod frame;
mod grpc;
mod policy;
mod proto;
mod schema;
mod symptom;

pub use error::{Error, ErrorKind};
pub use fallback::Active;
pub use policy::{ActiveTransport, CallOptions, ResendPolicy, RetryPolicy, Transport};
pub use symptom::{Evidence, Proof, Station, Symptom, SymptomKind};
