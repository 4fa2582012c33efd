#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bridge;
mod call;
mod carry;
mod credentials;
mod dialect;
pub mod doctor;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
mod fallback;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
/// Operations of the service: [`Bridge::operations`] waits for them.
pub mod operations {
    pub use crate::bridge::operations::{Operations, unpack};
}
/// Files: upload and download, made by [`Bridge::files`].
pub mod files {
    pub use crate::bridge::files::{Download, Files, Progress, Transferred, Upload};
}
pub mod gemini;
pub mod guide;
mod json;
mod network;
mod overlay;
mod probe;
mod proto;
mod retry;
mod schema;
#[cfg(feature = "cli")]
pub mod sidecar;
mod symptom;
mod transport;

pub use bridge::Bridge;
pub use bridge::builder::BridgeBuilder;
pub use bridge::json::events::{Event, Events};
pub use bridge::json::{JsonAnswer, JsonRequest};
pub use bridge::options::{
    ActiveTransport, CallOptions, ParameterCheck, ResendPolicy, RetryPolicy, Transport,
};
pub use bridge::pages::{Pages, pages};
pub use bridge::stats::Stats;
pub use bridge::verdict::Verdict;
pub use credentials::{Credentials, Token};
pub use error::{Error, ErrorKind};
pub use fallback::TransportState;
pub use json::Lenience;
pub use network::{NetworkRenewal, Proxy, ProxyLogin, ProxyTunnel};
pub use proto::google::{
    ai::generativelanguage::{v1, v1beta},
    longrunning, rpc,
};
pub use schema::Schema;
pub use symptom::{Delivery, Evidence, Station, Symptom, SymptomKind, UnknownName};
pub use transport::carrier::foreign::{Carrier, CarrierFailure};
