//! Login: how the bridge logs in at an HTTP proxy: which schemes it may use, and what it has learnt
//! there.

mod account;
mod challenge;
mod custom;
#[cfg(feature = "digest")]
mod digest;
#[cfg(not(feature = "digest"))]
#[path = "no_digest.rs"]
mod digest;
mod hosts;
mod memory;
#[cfg(all(feature = "negotiate", unix, not(target_vendor = "apple")))]
mod negotiate;
#[cfg(not(all(feature = "negotiate", unix, not(target_vendor = "apple"))))]
#[path = "no_negotiate.rs"]
mod negotiate;
mod password;
mod rounds;
mod scheme;
mod trouble;

pub use custom::{ProxyLogin, ProxyTunnel};

pub(super) use account::Login;
pub(crate) use challenge::Challenge;
pub(super) use custom::Custom;
pub(super) use hosts::KerberosHosts;
pub(super) use password::Password;
pub(super) use rounds::Rounds;
pub(super) use trouble::Trouble;
