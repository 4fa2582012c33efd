//! System without its feature: there are no settings.

use super::address::Origin;
use super::hop::ProxyHop;

/// What the settings name.
#[derive(Debug, Default)]
pub(super) struct SystemProxies {
    pub(super) https: Option<ProxyHop>,
    pub(super) http: Option<ProxyHop>,
    pub(super) bypass: Bypass,
    pub(super) notes: Vec<String>,
}

/// # Errors
/// Always: the feature is named.
pub(super) fn read() -> Result<SystemProxies, String> {
    Err("the system's settings need the feature `system-proxy` of genai-bridge".to_owned())
}

/// Nothing is reached directly by such settings.
#[derive(Debug, Default)]
pub(super) struct Bypass;

impl Bypass {
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn contains(&self, _: &Origin) -> bool {
        false
    }
}
