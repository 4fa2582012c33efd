//! Sidecar: a local server that passes each call to a `Bridge`, for clients not in Rust.
//!
//! The command line uses it. It has no semver guarantees.
//!
//! ```no_run
//! use genai_bridge::Bridge;
//! use genai_bridge::sidecar::{Identity, Sidecar};
//!
//! # async fn example() -> Result<(), genai_bridge::Error> {
//! let bridge = Bridge::builder().from_env().build()?;
//! let identity = Identity::self_made(&[])?;
//! println!("clients trust {}", identity.root_certificate().unwrap_or_default());
//! let sidecar = Sidecar::builder(bridge).identity(identity).bind().await?;
//! println!("clients call {}", sidecar.address());
//! sidecar.serve(std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

#[cfg(not(any(feature = "aws-lc", feature = "ring")))]
compile_error!("the feature `cli` makes certificates: it needs the feature `aws-lc` or `ring`");

mod account;
mod activity;
mod address;
mod admin;
mod builder;
mod connection;
mod discard;
mod foreign;
mod grpc;
mod identity;
mod intake;
mod listener;
mod metrics;
mod own_origin;
mod placeholder;
mod refusal;
mod rest;
mod server;
mod service;
mod shutdown;
#[cfg(unix)]
mod socket_file;
mod web_guard;
mod workers;

pub use address::ListenAddress;
pub use builder::SidecarBuilder;
pub use identity::Identity;
pub use placeholder::PLACEHOLDER_KEY;
pub use server::Sidecar;
