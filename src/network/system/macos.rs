//! macOS: its network settings, as `SCDynamicStoreCopyProxies` gives them.

use std::collections::BTreeMap;

use super::bypass::Bypass;
use super::found::SystemProxies;
use crate::network::hop::{ProxyHop, Source};

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(i64),
    Text(String),
    List(Vec<String>),
}

/// The settings by their names.
pub(super) type Settings = BTreeMap<String, Value>;

/// A proxy for HTTP, HTTPS and SOCKS each, where it is switched on.
///
/// # Errors
/// A proxy that is switched on cannot be used.
pub(super) fn parse(settings: &Settings) -> Result<SystemProxies, String> {
    let mut found = SystemProxies::default();
    if is_on(settings, "ProxyAutoConfigEnable") {
        found.note_pac(&text(settings, "ProxyAutoConfigURLString"));
    } else if is_on(settings, "ProxyAutoDiscoveryEnable") {
        found.note_detection();
    }
    let socks = || read(settings, "SOCKS", "socks5h", 1080);
    let proxy = |name| match read(settings, name, "http", 80)? {
        Some(hop) => Ok::<_, String>(Some(hop)),
        None => socks(),
    };
    (found.https, found.http) = (proxy("HTTPS")?, proxy("HTTP")?);
    if found.https.is_some() || found.http.is_some() {
        found.bypass = Bypass::new();
        if is_on(settings, "ExcludeSimpleHostnames") {
            found.bypass.add_simple_names();
        }
        if let Some(Value::List(entries)) = settings.get("ExceptionsList") {
            for entry in entries {
                found.bypass.add(entry.trim());
            }
        }
    }
    Ok(found)
}

/// The proxy that stands under `name`, if it is on.
fn read(
    settings: &Settings,
    name: &str,
    scheme: &str,
    default_port: u16,
) -> Result<Option<ProxyHop>, String> {
    let host = text(settings, &format!("{name}Proxy"));
    if host.is_empty() || !is_on(settings, &format!("{name}Enable")) {
        return Ok(None);
    }
    let port = match text(settings, &format!("{name}Port")) {
        port if matches!(port.as_str(), "" | "0") => default_port.to_string(),
        port => port,
    };
    // An address of IPv6 stands there without brackets.
    let host =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    let hop = ProxyHop::parse(&format!("{scheme}://{host}:{port}")).map_err(str::to_owned)?;
    Ok(Some(hop.found_in(Source::System("macOS' network settings"))))
}

fn is_on(settings: &Settings, name: &str) -> bool {
    matches!(text(settings, name).as_str(), "1" | "true" | "YES")
}

/// A text, or a number as one; empty if there is neither.
fn text(settings: &Settings, name: &str) -> String {
    match settings.get(name) {
        Some(Value::Text(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::List(_)) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::address::Origin;

    /// `name=value`, a number where it is one.
    fn settings(text: &str) -> Settings {
        let read = |entry: &str| {
            let (name, value) = entry.split_once('=').expect("name=value");
            let value = match (value.parse(), value.split_once(',')) {
                (Ok(number), _) => Value::Number(number),
                (_, Some(_)) => Value::List(value.split(',').map(str::to_owned).collect()),
                _ => Value::Text(value.to_owned()),
            };
            (name.to_owned(), value)
        };
        text.split_whitespace().map(read).collect()
    }

    const HTTPS: &str = "HTTPSEnable=1 HTTPSProxy=q.test HTTPSPort=81";
    const HTTP: &str = "HTTPEnable=1 HTTPProxy=p.test HTTPPort=80";
    const SOCKS: &str = "SOCKSEnable=1 SOCKSProxy=s.test SOCKSPort=1081";

    #[test]
    fn proxies_are_read_where_they_are_on() {
        let none = None;
        for (text, https, http) in [
            ("", none, none),
            (HTTPS, Some("http://q.test:81"), none),
            (HTTP, none, Some("http://p.test:80")),
            (&format!("{HTTPS} {HTTP}"), Some("http://q.test:81"), Some("http://p.test:80")),
            (SOCKS, Some("socks5h://s.test:1081"), Some("socks5h://s.test:1081")),
            (&format!("{HTTPS} {SOCKS}"), Some("http://q.test:81"), Some("socks5h://s.test:1081")),
            (&format!("{HTTP} {SOCKS}"), Some("socks5h://s.test:1081"), Some("http://p.test:80")),
            (&HTTPS.replace("Enable=1", "Enable=0"), none, none),
            (&HTTPS.replace("HTTPSEnable=1", ""), none, none),
            (&HTTPS.replace("Enable=1", "Enable=true"), Some("http://q.test:81"), none),
            (&HTTPS.replace("Enable=1", "Enable=2"), none, none),
            (&HTTPS.replace("HTTPSPort=81", ""), Some("http://q.test:80"), none),
            (&HTTPS.replace("=81", "=0"), Some("http://q.test:80"), none),
            (&HTTPS.replace("HTTPSProxy=q.test", ""), none, none),
            (&HTTPS.replace("q.test", "10.0.0.1"), Some("http://10.0.0.1:81"), none),
            (&HTTPS.replace("q.test", "fd00::1"), Some("http://[fd00::1]:81"), none),
            (&HTTPS.replace("q.test", "[fd00::1]"), Some("http://[fd00::1]:81"), none),
            (
                &SOCKS.replace("SOCKSPort=1081", ""),
                Some("socks5h://s.test:1080"),
                Some("socks5h://s.test:1080"),
            ),
            ("FTPEnable=1 FTPProxy=f.test FTPPort=21", none, none),
            ("RTSPEnable=1 RTSPProxy=r.test GopherEnable=1", none, none),
            ("ProxyAutoConfigEnable=1 ProxyAutoConfigURLString=http://a.test/p.pac", none, none),
            ("ProxyAutoDiscoveryEnable=1", none, none),
            ("HTTPSEnable=1 HTTPSProxy=a,b HTTPSPort=81", none, none),
        ] {
            let found = parse(&settings(text)).expect(text);
            let spelt = |hop: &Option<ProxyHop>| hop.as_ref().map(ProxyHop::spelt_out);
            assert_eq!(spelt(&found.https).as_deref(), https, "{text:?}");
            assert_eq!(spelt(&found.http).as_deref(), http, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error_that_does_not_show_it() {
        for text in [
            HTTPS.replace("q.test", "secret/path"),
            HTTPS.replace("q.test", "b\u{fc}cher.secret"),
            HTTPS.replace("=81", "=secret"),
            HTTPS.replace("=81", "=70000"),
            HTTPS.replace("=81", "=-1"),
        ] {
            let why = parse(&settings(&text)).expect_err(&text);
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn what_is_reached_directly_and_what_is_not_used_is_told() {
        let text = format!(
            "{HTTPS} ExcludeSimpleHostnames=1 ExceptionsList=*.local,169.254/16,a.test \
             ProxyAutoConfigEnable=1 ProxyAutoConfigURLString=file:///Library/proxy.pac"
        );
        let found = parse(&settings(&text)).expect("legal");
        for (origin, expected) in [
            ("https://printer.local", true),
            ("https://169.254.3.4", true),
            ("https://intranet", true),
            ("https://a.test", true),
            ("https://b.a.test", false),
            ("https://[::1]", true),
        ] {
            let origin = Origin::parse(origin, true).expect("origin");
            assert_eq!(found.bypass.contains(&origin), expected, "{origin:?}");
        }
        assert_eq!(
            found.notes,
            ["a PAC file is set (file:///Library/proxy.pac), which is not evaluated"]
        );
        let detects = parse(&settings("ProxyAutoDiscoveryEnable=1")).expect("legal");
        assert!(detects.notes.concat().contains("WPAD"));
    }
}
