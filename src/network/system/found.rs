//! Found: what the settings of a system name.

#[cfg(any(windows, target_os = "macos", test))]
use super::bypass::Bypass;
use crate::network::hop::ProxyHop;

/// What the settings name.
#[derive(Debug, Default)]
pub(crate) struct SystemProxies {
    pub(crate) https: Option<ProxyHop>,
    pub(crate) http: Option<ProxyHop>,
    pub(crate) bypass: Bypass,
    /// What the settings hold and is not used, for a person.
    pub(crate) notes: Vec<String>,
}

#[cfg(any(windows, target_os = "macos", test))]
impl SystemProxies {
    pub(super) fn note_pac(&mut self, url: &str) {
        // It may hold a user, a password or a token.
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let rest = rest.rsplit('@').next().unwrap_or_default();
        let gap = if scheme.is_empty() { "" } else { "://" };
        self.notes.push(format!("a PAC file is set ({scheme}{gap}{rest}), which is not evaluated"));
    }

    pub(super) fn note_detection(&mut self) {
        self.notes
            .push("the network is to be asked for a PAC file (WPAD), which is not done".into());
    }
}

/// Nothing is reached directly by such settings.
#[cfg(not(any(windows, target_os = "macos", test)))]
#[derive(Debug, Default)]
pub(crate) struct Bypass;

#[cfg(not(any(windows, target_os = "macos", test)))]
impl Bypass {
    #[expect(clippy::unused_self, reason = "as on the others")]
    pub(crate) fn contains(&self, _: &crate::network::address::Origin) -> bool {
        false
    }
}
