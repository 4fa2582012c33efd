//! Peers for tests: a local service, and proxies that break the way to it. Outside semantic versioning.

mod authority;
pub mod hostile;

pub use authority::Authority;
