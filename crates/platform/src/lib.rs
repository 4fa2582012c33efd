//! What only the operating system can tell [genai-bridge](https://docs.rs/genai-bridge): Kerberos tokens and proxy settings.
//!
//! The one place with `unsafe`, which genai-bridge itself forbids: calls of foreign functions, each behind a safe one.
//! An implementation detail, outside semver.

#[cfg(all(feature = "gssapi", unix, not(target_vendor = "apple")))]
pub mod gssapi;
#[cfg(all(feature = "proxy-settings", target_os = "macos"))]
pub mod macos;
#[cfg(all(feature = "proxy-settings", windows))]
pub mod windows;
