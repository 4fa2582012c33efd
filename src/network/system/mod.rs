//! System: the proxy of the operating system's settings, on Windows and macOS. Elsewhere there are none: the desktops
//! of Linux give theirs to sessions as variables.

#[cfg(any(windows, target_os = "macos", test))]
mod bypass;
#[cfg(any(target_os = "macos", test))]
mod macos;
#[cfg(any(windows, test))]
mod windows;

use super::hop::ProxyHop;

#[cfg(any(windows, target_os = "macos", test))]
pub(super) use bypass::Bypass;

/// What the settings name.
#[derive(Debug, Default)]
pub(super) struct SystemProxies {
    pub(super) https: Option<ProxyHop>,
    pub(super) http: Option<ProxyHop>,
    pub(super) bypass: Bypass,
    /// What the settings hold and is not used, for a person.
    pub(super) notes: Vec<String>,
}

impl SystemProxies {
    /// Reads the settings of this system.
    ///
    /// # Errors
    /// A proxy in them cannot be used, or Windows does not tell them.
    #[cfg(windows)]
    pub(super) fn read() -> Result<Self, String> {
        let settings = genai_bridge_platform::windows::internet_settings()
            .map_err(|error| format!("Windows does not tell its settings: {error}"))?;
        windows::parse(&windows::Internet {
            detects: settings.detects,
            pac: settings.pac.as_deref(),
            proxy: settings.proxy.as_deref(),
            bypass: settings.bypass.as_deref(),
        })
    }

    /// Reads the settings of this system.
    ///
    /// # Errors
    /// A proxy in them cannot be used.
    #[cfg(target_os = "macos")]
    pub(super) fn read() -> Result<Self, String> {
        use genai_bridge_platform::macos::{Setting, proxy_settings};
        let value_of = |setting| match setting {
            Setting::Number(number) => Some(macos::Value::Number(number)),
            Setting::Text(text) => Some(macos::Value::Text(text)),
            Setting::List(list) => Some(macos::Value::List(list)),
            _ => None,
        };
        let settings = proxy_settings().into_iter();
        macos::parse(&settings.filter_map(|(name, it)| Some((name, value_of(it)?))).collect())
    }

    /// There are no settings.
    #[cfg(not(any(windows, target_os = "macos")))]
    #[expect(clippy::unnecessary_wraps, reason = "as on the others")]
    pub(super) fn read() -> Result<Self, String> {
        Ok(Self::default())
    }

    #[cfg(any(windows, target_os = "macos", test))]
    fn note_pac(&mut self, url: &str) {
        // It may hold a user, a password or a token.
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let rest = rest.rsplit('@').next().unwrap_or_default();
        let gap = if scheme.is_empty() { "" } else { "://" };
        self.notes.push(format!("a PAC file is set ({scheme}{gap}{rest}), which is not evaluated"));
    }

    #[cfg(any(windows, target_os = "macos", test))]
    fn note_detection(&mut self) {
        self.notes
            .push("the network is to be asked for a PAC file (WPAD), which is not done".into());
    }
}

/// Nothing is reached directly by such settings.
#[cfg(not(any(windows, target_os = "macos", test)))]
#[derive(Debug, Default)]
pub(super) struct Bypass;

#[cfg(not(any(windows, target_os = "macos", test)))]
impl Bypass {
    #[expect(clippy::unused_self, reason = "as on the others")]
    pub(super) fn contains(&self, _: &super::address::Origin) -> bool {
        false
    }
}
