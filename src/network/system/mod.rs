//! System: the proxy of the operating system's settings, on Windows and macOS. Elsewhere there are
//! none: the desktops of Linux give theirs to sessions as variables.

#[cfg(any(windows, target_os = "macos", test))]
mod bypass;
mod found;
#[cfg(any(target_os = "macos", test))]
mod macos;
#[cfg(any(windows, test))]
mod windows;

#[cfg(any(windows, target_os = "macos", test))]
pub(super) use bypass::Bypass;
#[cfg(not(any(windows, target_os = "macos", test)))]
pub(super) use found::Bypass;
pub(super) use found::SystemProxies;

/// Reads the settings of this system.
///
/// # Errors
/// A proxy in them cannot be used, or Windows does not tell them.
#[cfg(windows)]
pub(super) fn read() -> Result<SystemProxies, String> {
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
pub(super) fn read() -> Result<SystemProxies, String> {
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
pub(super) fn read() -> Result<SystemProxies, String> {
    Ok(SystemProxies::default())
}
