//! Windows: the texts of its Internet settings, as `WinHttpGetIEProxyConfigForCurrentUser` gives
//! them.

use super::bypass::Bypass;
use super::found::SystemProxies;
use crate::network::address::{split_host_and_port, split_scheme};
use crate::network::hop::{ProxyHop, Source};

/// The settings, as Windows keeps them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Internet<'a> {
    pub(super) detects: bool,
    pub(super) pac: Option<&'a str>,
    pub(super) proxy: Option<&'a str>,
    pub(super) bypass: Option<&'a str>,
}

/// One proxy for all (`proxy:8080`), or a list with one for each scheme
/// (`http=p:80;https=q:81;socks=s:1080`).
///
/// # Errors
/// A proxy for HTTP, HTTPS or SOCKS cannot be used.
pub(super) fn parse(settings: &Internet<'_>) -> Result<SystemProxies, String> {
    let mut found = SystemProxies::default();
    if let Some(url) = settings.pac {
        found.note_pac(url);
    } else if settings.detects {
        found.note_detection();
    }
    let list = settings.proxy.unwrap_or_default();
    let entries = || list.split(|c: char| c == ';' || c.is_whitespace());
    let named = |scheme: &str| {
        entries().find_map(|entry| {
            let (name, proxy) = entry.split_once('=')?;
            name.trim().eq_ignore_ascii_case(scheme).then_some(proxy)
        })
    };
    let for_all = entries().find(|entry| !entry.is_empty() && !entry.contains('='));
    let proxy = |scheme| match (named(scheme).or(for_all), named("socks")) {
        (Some(proxy), _) => read(proxy, "http", 80).map(Some),
        (None, Some(proxy)) => read(proxy, "socks5h", 1080).map(Some),
        (None, None) => Ok(None),
    };
    (found.https, found.http) = (proxy("https")?, proxy("http")?);
    if found.https.is_some() || found.http.is_some() {
        found.bypass = Bypass::new();
        let entries = settings.bypass.unwrap_or_default();
        let entries = entries.split(|c: char| c == ';' || c == ',' || c.is_whitespace());
        for entry in entries {
            found.bypass.add(entry);
        }
    }
    Ok(found)
}

/// A proxy in which the scheme and the port may be missing.
fn read(proxy: &str, scheme: &str, port: u16) -> Result<ProxyHop, String> {
    let (own, rest) = split_scheme(proxy.trim());
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let scheme = own.as_deref().unwrap_or(scheme);
    let port = match (split_host_and_port(rest), scheme) {
        (Ok((_, None)), "https") => ":443".to_owned(),
        (Ok((_, None)), _) => format!(":{port}"),
        _ => String::new(),
    };
    let hop = ProxyHop::parse(&format!("{scheme}://{rest}{port}")).map_err(str::to_owned)?;
    Ok(hop.found_in(Source::System("Windows' Internet settings")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::address::Origin;

    #[test]
    fn lists_of_proxies_are_read() {
        let none = None;
        for (proxy, https, http) in [
            ("", none, none),
            ("proxy:8080", Some("http://proxy:8080"), Some("http://proxy:8080")),
            (
                "proxy.corp.test",
                Some("http://proxy.corp.test:80"),
                Some("http://proxy.corp.test:80"),
            ),
            ("10.0.0.1:3128", Some("http://10.0.0.1:3128"), Some("http://10.0.0.1:3128")),
            ("[fd00::1]:3128", Some("http://[fd00::1]:3128"), Some("http://[fd00::1]:3128")),
            ("http://proxy:8080", Some("http://proxy:8080"), Some("http://proxy:8080")),
            ("http://proxy:8080/", Some("http://proxy:8080"), Some("http://proxy:8080")),
            ("https://proxy", Some("https://proxy:443"), Some("https://proxy:443")),
            ("http=p:80;https=q:81", Some("http://q:81"), Some("http://p:80")),
            ("HTTP=p:80;HTTPS=q:81", Some("http://q:81"), Some("http://p:80")),
            ("http=p:80 https=q:81", Some("http://q:81"), Some("http://p:80")),
            ("https=q:81", Some("http://q:81"), none),
            ("http=p:80", none, Some("http://p:80")),
            ("ftp=f:21", none, none),
            ("ftp=f:21;https=q", Some("http://q:80"), none),
            ("https=https://q:81", Some("https://q:81"), none),
            ("https=http://q", Some("http://q:80"), none),
            ("socks=s:1080", Some("socks5h://s:1080"), Some("socks5h://s:1080")),
            ("socks=s", Some("socks5h://s:1080"), Some("socks5h://s:1080")),
            ("http=p:80;socks=s:1080", Some("socks5h://s:1080"), Some("http://p:80")),
            (
                "http=p:80;https=q:81;ftp=f:21;socks=s:1080",
                Some("http://q:81"),
                Some("http://p:80"),
            ),
            ("https=q:81;r:82", Some("http://q:81"), Some("http://r:82")),
            (" ; https=q:81 ; ", Some("http://q:81"), none),
            ("https=a:1;https=b:2", Some("http://a:1"), none),
        ] {
            let settings = Internet { proxy: Some(proxy), ..Internet::default() };
            let found = parse(&settings).expect(proxy);
            let spelt = |hop: &Option<ProxyHop>| hop.as_ref().map(ProxyHop::spelt_out);
            assert_eq!(spelt(&found.https).as_deref(), https, "{proxy:?}");
            assert_eq!(spelt(&found.http).as_deref(), http, "{proxy:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error_that_does_not_show_it() {
        for proxy in
            ["secret:port", "https=", "https=secret test", "https=ftp://secret", "secret/pac"]
        {
            let settings = Internet { proxy: Some(proxy), ..Internet::default() };
            match parse(&settings) {
                Err(why) => assert!(!why.contains("secret"), "{why}"),
                // Two words are two entries.
                Ok(found) => assert!(proxy.contains(' ') && found.https.is_some(), "{proxy}"),
            }
        }
    }

    #[test]
    fn what_is_reached_directly_and_what_is_not_used_is_told() {
        let settings = Internet {
            detects: true,
            pac: Some("http://user:secret@wpad.corp.test/proxy.pac?token=secret"),
            proxy: Some("proxy:8080"),
            bypass: Some("*.corp.test;<local> 10.*,https://a.test"),
        };
        let found = parse(&settings).expect("legal");
        for (origin, expected) in [
            ("https://x.corp.test", true),
            ("https://intranet", true),
            ("https://10.1.1.1", true),
            ("https://a.test", true),
            ("https://localhost", true),
            ("https://b.test", false),
        ] {
            let origin = Origin::parse(origin, true).expect("origin");
            assert_eq!(found.bypass.contains(&origin), expected, "{origin:?}");
        }
        let told = "a PAC file is set (http://wpad.corp.test/proxy.pac), which is not evaluated";
        assert_eq!(found.notes, [told]);
        let detects = parse(&Internet { detects: true, ..Internet::default() }).expect("legal");
        assert!(detects.notes.concat().contains("WPAD") && detects.https.is_none());
    }
}
