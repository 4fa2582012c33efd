//! Proxy: which proxy stands before an origin: none, one that was named, or the environment's.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::address::{Address, Origin, split_scheme};
use super::exempt::Exempt;
use crate::error::{Error, ErrorKind};

/// The proxy of both transports.
///
/// Spoken are `http://` and `https://` (CONNECT, over TLS to the proxy in the second case), `socks5://`
/// (this machine looks the service's name up) and `socks5h://` (the proxy does). The login is Basic, or
/// SOCKS5's user and password. NTLM, Kerberos and PAC files are not spoken.
#[derive(Clone, Debug)]
pub struct Proxy {
    choice: Choice,
    login: Option<Login>,
}

#[derive(Clone, Debug)]
enum Choice {
    Environment,
    None,
    Named(ProxyHop),
}

impl Proxy {
    /// The proxy that the environment names; the default. It is read once, by `build()`.
    ///
    /// `grpc_proxy` comes first, for both transports alike. Then curl's rules: `https_proxy` (for a
    /// plain `http://` endpoint `http_proxy`), then `all_proxy`, each in lower case before upper case;
    /// an empty variable counts as unset. `HTTP_PROXY` in upper case is not read where
    /// `REQUEST_METHOD` is set, because in a CGI program it is a request's header.
    ///
    /// `no_grpc_proxy`, else `no_proxy` or `NO_PROXY`, lists what is reached directly, separated by
    /// commas or spaces: `*`, hosts, domains with all below them, addresses, CIDR ranges; `host:port`
    /// exempts one port. As with curl, `localhost` is not exempt by itself.
    ///
    /// A value that cannot be read is an error of `build()`, never "no proxy".
    pub fn from_env() -> Self {
        Self::of(Choice::Environment)
    }

    /// No proxy, whatever the environment says.
    pub fn none() -> Self {
        Self::of(Choice::None)
    }

    /// This proxy for every call, whatever the environment says:
    /// `http://user:password@proxy.corp:3128`.
    ///
    /// User and password are percent-decoded. Without a scheme `http` is meant. The default port is
    /// curl's: 443 for `https`, 1080 for all others.
    ///
    /// # Errors
    /// The URL cannot be read, or its scheme is not spoken ([`ErrorKind::Configuration`]).
    pub fn url(url: &str) -> Result<Self, Error> {
        ProxyHop::parse(url)
            .map(|hop| Self::of(Choice::Named(hop)))
            .map_err(|what| wrong("proxy", what))
    }

    /// The login for the proxy, in place of one in its URL.
    #[must_use]
    pub fn basic_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some(Login {
            user: user.into(),
            password: password.into(),
        });
        self
    }

    fn of(choice: Choice) -> Self {
        Self {
            choice,
            login: None,
        }
    }

    /// The proxies in force, with the environment of this process.
    pub(super) fn resolve(self) -> Result<Proxies, Error> {
        self.resolve_with(|name| std::env::var_os(name))
    }

    pub(super) fn resolve_with(
        self,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Proxies, Error> {
        let mut proxies = match self.choice {
            Choice::None => Proxies::default(),
            Choice::Named(hop) => Proxies {
                https: Some(hop.clone()),
                http: Some(hop),
                exempt: Exempt::default(),
            },
            Choice::Environment => Environment(lookup).proxies()?,
        };
        for hop in [&mut proxies.https, &mut proxies.http]
            .into_iter()
            .flatten()
        {
            if let Some(login) = &self.login {
                hop.login = Some(Arc::new(login.clone()));
            }
            hop.check_login().map_err(|what| wrong("proxy", what))?;
        }
        Ok(proxies)
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self::from_env()
    }
}

/// The proxies in force.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    https: Option<ProxyHop>,
    http: Option<ProxyHop>,
    exempt: Exempt,
}

impl Proxies {
    pub(super) fn find(&self, origin: &Origin) -> Option<&ProxyHop> {
        let hop = if origin.is_https() {
            &self.https
        } else {
            &self.http
        };
        hop.as_ref()
            .filter(|_| !self.exempt.contains(origin.address()))
    }
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyScheme {
    Http,
    Https,
    /// The name is looked up on this side.
    Socks5,
    /// The name is looked up by the proxy.
    Socks5h,
}

impl ProxyScheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    fn is_socks(self) -> bool {
        matches!(self, Self::Socks5 | Self::Socks5h)
    }
}

/// One proxy. Its `Display` is the name that failures give it.
#[derive(Clone, Debug)]
pub(crate) struct ProxyHop {
    scheme: ProxyScheme,
    address: Address,
    login: Option<Arc<Login>>,
}

impl ProxyHop {
    /// # Errors
    /// What is wrong with it, in words that repeat nothing of it.
    fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = split_scheme(url.trim());
        let scheme = match scheme.as_deref() {
            None | Some("http") => ProxyScheme::Http,
            Some("https") => ProxyScheme::Https,
            Some("socks5") => ProxyScheme::Socks5,
            Some("socks5h") => ProxyScheme::Socks5h,
            Some(_) => return Err("the scheme is none of http, https, socks5, socks5h"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, authority) = match rest.rsplit_once('@') {
            Some((login, authority)) => (Some(Login::parse(login)?), authority),
            None => (None, rest),
        };
        if authority.contains(['/', '?', '#']) {
            return Err("it has a path; a PAC file is not read");
        }
        let default_port = if scheme == ProxyScheme::Https {
            443
        } else {
            1080
        };
        Ok(Self {
            scheme,
            address: Address::parse(authority, default_port)?,
            login: login.map(Arc::new),
        })
    }

    /// RFC 1929 gives a length of one byte; RFC 7617 ends the user at the first colon.
    fn check_login(&self) -> Result<(), &'static str> {
        let Some(login) = &self.login else {
            return Ok(());
        };
        let short = |text: &str| (1..=255).contains(&text.len());
        match self.scheme.is_socks() {
            true if !(short(&login.user) && short(&login.password)) => {
                Err("SOCKS5 takes a user and a password of 1 to 255 bytes")
            }
            false if login.user.contains(':') => Err("a user with a colon cannot log in by Basic"),
            _ => Ok(()),
        }
    }

    pub(crate) fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_deref()
    }

    /// The proxy as a URL for an HTTP client, **with its login**: for `reqwest::Proxy` and nothing else.
    pub(crate) fn url_with_login(&self) -> String {
        let login = self.login().map_or_else(String::new, |login| {
            let encode = |text| utf8_percent_encode(text, &NOT_UNRESERVED);
            format!("{}:{}@", encode(&login.user), encode(&login.password))
        });
        format!("{}://{login}{}", self.scheme.as_str(), self.address)
    }
}

impl fmt::Display for ProxyHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy {}", self.address)
    }
}

/// User and password for a proxy.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

impl Login {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let decode = |part| {
            percent_decode_str(part)
                .decode_utf8()
                .map(String::from)
                .map_err(|_| "its user or password is not UTF-8 when percent-decoded")
        };
        Ok(Self {
            user: decode(user)?,
            password: decode(password)?,
        })
    }

    /// The value of `proxy-authorization` (RFC 7617); base64 is always a legal header.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let plain = format!("{}:{}", self.user, self.password);
        let encoded = base64_simd::STANDARD.encode_to_string(plain);
        let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(hidden)")
    }
}

/// The variables of an environment. Matching as in [curl's detect_proxy][curl]; the order of gRPC's
/// own names as in [grpc's environment variables][grpc].
///
/// [curl]: https://github.com/curl/curl/blob/curl-8_5_0/lib/url.c#L2383
/// [grpc]: https://github.com/grpc/grpc/blob/v1.60.0/doc/environment_variables.md
struct Environment<L>(L);

impl<L: Fn(&str) -> Option<OsString>> Environment<L> {
    fn proxies(&self) -> Result<Proxies, Error> {
        let http = match self.0("REQUEST_METHOD") {
            Some(_) => &["grpc_proxy", "http_proxy", "all_proxy", "ALL_PROXY"][..],
            None => &[
                "grpc_proxy",
                "http_proxy",
                "HTTP_PROXY",
                "all_proxy",
                "ALL_PROXY",
            ],
        };
        let https = &[
            "grpc_proxy",
            "https_proxy",
            "HTTPS_PROXY",
            "all_proxy",
            "ALL_PROXY",
        ];
        let exempt = self.first(&["no_grpc_proxy", "no_proxy", "NO_PROXY"])?;
        Ok(Proxies {
            https: self.proxy(https)?,
            http: self.proxy(http)?,
            exempt: exempt.map_or_else(Exempt::default, |(_, list)| Exempt::parse(&list)),
        })
    }

    fn proxy(&self, names: &[&'static str]) -> Result<Option<ProxyHop>, Error> {
        let Some((name, value)) = self.first(names)? else {
            return Ok(None);
        };
        ProxyHop::parse(&value)
            .map(Some)
            .map_err(|what| wrong(name, what))
    }

    fn first(&self, names: &[&'static str]) -> Result<Option<(&'static str, String)>, Error> {
        let found = names.iter().find_map(|name| {
            let value = self.0(name).filter(|value| !value.is_empty())?;
            Some((*name, value))
        });
        found
            .map(|(name, value)| match value.into_string() {
                Ok(value) => Ok((name, value)),
                Err(_) => Err(wrong(name, "it is not UTF-8")),
            })
            .transpose()
    }
}

/// Names the place, not the value: it may hold a password.
fn wrong(place: &str, what: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("{place}: {what}"))
}

const NOT_UNRESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(variables: &[(&str, &str)]) -> Result<Proxies, Error> {
        Proxy::from_env().resolve_with(|name| {
            let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
            Some(value.into())
        })
    }

    fn found(proxies: &Proxies, endpoint: &str) -> Option<String> {
        let origin = Origin::parse(endpoint, true).expect("origin");
        proxies.find(&origin).map(ProxyHop::url_with_login)
    }

    #[test]
    fn urls_are_read_as_curl_reads_them() {
        for (url, expected) in [
            ("http://p.test:3128", "http://p.test:3128"),
            ("HTTP://p.test:3128/", "http://p.test:3128"),
            ("p.test:3128", "http://p.test:3128"),
            (" p.test ", "http://p.test:1080"),
            ("https://p.test", "https://p.test:443"),
            ("socks5://10.0.0.1", "socks5://10.0.0.1:1080"),
            ("socks5h://[::1]:9", "socks5h://[::1]:9"),
            ("user:word@p.test:1", "http://user:word@p.test:1"),
            ("http://user@p.test:1", "http://user:@p.test:1"),
            (
                "http://CORP%5Cuser:p%40s%3As@p.test:1",
                "http://CORP%5Cuser:p%40s%3As@p.test:1",
            ),
            ("http://user:p/s@p.test:1", "http://user:p%2Fs@p.test:1"),
            ("http://user:p@ss@p.test:1", "http://user:p%40ss@p.test:1"),
            ("http://user:100%@p.test:1", "http://user:100%25@p.test:1"),
        ] {
            let proxies = Proxy::url(url)
                .expect(url)
                .resolve_with(|_| None)
                .expect(url);
            for endpoint in ["https://a.test", "http://localhost:8080"] {
                assert_eq!(
                    found(&proxies, endpoint).as_deref(),
                    Some(expected),
                    "{url}"
                );
            }
        }
    }

    #[test]
    fn a_value_that_cannot_be_used_is_an_error_that_does_not_show_it() {
        for url in [
            "",
            "http://",
            "http://:3128",
            "socks4://secret.test",
            "ftp://user:secret@p.test",
            "http://user:secret@p.test:port",
            "http://user:secret@p test",
            "http://user:secret%ff@p.test",
            "http://secret.test/proxy.pac",
            "http://us%3Aer:secret@p.test",
            "socks5://user@secret.test",
        ] {
            let error = match Proxy::url(url) {
                Ok(proxy) => proxy.resolve_with(|_| None).expect_err(url),
                Err(error) => error,
            };
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let text = format!("{error} {error:?}");
            assert!(!text.contains("sec"), "{text}");
            if !url.is_empty() {
                let error = resolved(&[("HTTPS_PROXY", url)]).expect_err(url);
                assert!(!error.to_string().contains("sec"), "{error}");
            }
        }
    }

    #[test]
    fn the_environment_is_read_by_the_rules_of_grpc_and_curl() {
        let (https, http) = ("https://a.test", "http://localhost:80");
        for (variables, endpoint, expected) in [
            (&[][..], https, None),
            (
                &[("https_proxy", "l"), ("HTTPS_PROXY", "u")],
                https,
                Some("l"),
            ),
            (&[("HTTPS_PROXY", "u")], https, Some("u")),
            (
                &[("https_proxy", ""), ("HTTPS_PROXY", "u")],
                https,
                Some("u"),
            ),
            (
                &[("https_proxy", "l"), ("HTTPS_PROXY", "")],
                https,
                Some("l"),
            ),
            (&[("http_proxy", "h")], https, None),
            (
                &[("http_proxy", "h"), ("https_proxy", "s")],
                http,
                Some("h"),
            ),
            (&[("HTTP_PROXY", "h")], http, Some("h")),
            (
                &[("HTTP_PROXY", "h"), ("REQUEST_METHOD", "GET")],
                http,
                None,
            ),
            (
                &[("http_proxy", "h"), ("REQUEST_METHOD", "GET")],
                http,
                Some("h"),
            ),
            (
                &[("HTTPS_PROXY", "s"), ("REQUEST_METHOD", "GET")],
                https,
                Some("s"),
            ),
            (&[("all_proxy", "a"), ("ALL_PROXY", "b")], https, Some("a")),
            (
                &[("ALL_PROXY", "b"), ("https_proxy", "s")],
                https,
                Some("s"),
            ),
            (&[("ALL_PROXY", "b")], http, Some("b")),
            (
                &[("grpc_proxy", "g"), ("https_proxy", "s")],
                https,
                Some("g"),
            ),
            (&[("grpc_proxy", "g"), ("http_proxy", "h")], http, Some("g")),
            (&[("https_proxy", "s"), ("no_proxy", "a.test")], https, None),
            (
                &[("https_proxy", "s"), ("NO_PROXY", "a.test:443")],
                https,
                None,
            ),
            (
                &[("https_proxy", "s"), ("no_proxy", ""), ("NO_PROXY", "*")],
                https,
                None,
            ),
            (
                &[
                    ("https_proxy", "s"),
                    ("no_grpc_proxy", "b"),
                    ("no_proxy", "*"),
                ],
                https,
                Some("s"),
            ),
            (
                &[("https_proxy", "s"), ("no_grpc_proxy", "a.test")],
                https,
                None,
            ),
        ] {
            let proxies = resolved(variables).expect("legal");
            let expected = expected.map(|host| format!("http://{host}:1080"));
            assert_eq!(
                found(&proxies, endpoint),
                expected,
                "{variables:?} {endpoint}"
            );
        }
    }

    #[test]
    fn the_users_word_stands_above_the_environment() {
        let environment = |name: &str| match name {
            "https_proxy" => Some("http://env.test:1".into()),
            "no_proxy" => Some("*".into()),
            _ => None,
        };
        let none = Proxy::none().resolve_with(environment).expect("none");
        assert_eq!(found(&none, "https://a.test"), None);
        let named = Proxy::url("http://u:p@named.test:1")
            .expect("url")
            .basic_auth("me", "word");
        let named = named.resolve_with(environment).expect("named");
        let expected = "http://me:word@named.test:1";
        assert_eq!(found(&named, "https://a.test").as_deref(), Some(expected));
    }

    #[test]
    fn debug_and_display_hide_the_password() {
        let proxy = Proxy::url("http://user:secret@p.test:1").expect("url");
        let login = Proxy::none().basic_auth("user", "secret");
        let proxies = proxy.clone().resolve_with(|_| None).expect("resolved");
        let hop = proxies.https.as_ref().expect("hop");
        let basic = hop.login().and_then(Login::basic).expect("basic");
        let text = format!("{proxy:?} {login:?} {proxies:?} {hop:?} {hop} {basic:?}");
        assert!(
            !text.contains("secret") && !text.contains("Basic"),
            "{text}"
        );
        assert_eq!(basic, "Basic dXNlcjpzZWNyZXQ=");
    }
}
