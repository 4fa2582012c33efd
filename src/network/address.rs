//! Address, `Origin`: the host and port of a peer, and the service's own with its scheme.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use rustls::pki_types::ServerName;

use crate::error::{Error, ErrorKind};

/// A host and port that can be dialled. Shown as `host:port`, as CONNECT wants it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name or an IP address, without brackets.
    host: Box<str>,
    port: u16,
    name: ServerName<'static>,
}

impl Address {
    /// Reads `host`, `host:port`, `[::1]` or `[::1]:port`.
    ///
    /// # Errors
    /// What is wrong with it, in words that repeat nothing of it.
    pub(super) fn parse(text: &str, default_port: u16) -> Result<Self, &'static str> {
        let (host, port) = split_host_and_port(text)?;
        let port = match port {
            None | Some("") => default_port,
            // `u16::from_str` takes a sign.
            Some(digits) if digits.starts_with('+') => return Err(NO_PORT),
            Some(digits) => digits.parse().map_err(|_| NO_PORT)?,
        };
        if port == 0 {
            return Err(NO_PORT);
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| "the host is neither a name nor an IP address")?;
        Ok(Self { host: host.into(), port, name })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// As a connector of the program's own is asked for it: always with the port, and with the
    /// scheme `http`, as the stream is wanted plain whatever is spoken on it.
    pub(super) fn dial_uri(&self) -> Result<Uri, http::Error> {
        uri_of(self.to_string(), false)
    }

    pub(super) fn server_name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host.to_ascii_lowercase();
        let named = host == "localhost" || host.ends_with(".localhost");
        named || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bracketed_host(), self.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the service is: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    address: Address,
    is_https: bool,
    uri: Uri,
    host_header: HeaderValue,
    /// A Unix socket in place of the address, which then only names the service in requests.
    socket: Option<PathBuf>,
}

impl Origin {
    /// Reads an endpoint: `https://host`, `host:port` (meaning https), `http://127.0.0.1:port`,
    /// `unix:/path`.
    ///
    /// # Errors
    /// It is no such thing, or is plain `http://` to another machine without `allow_plaintext`.
    pub(crate) fn parse(endpoint: &str, allow_plaintext: bool) -> Result<Self, Error> {
        let fault = |what: &str| wrong(what, GIVE_URL);
        if let Some(path) = endpoint.trim().strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Self::over_socket(path).map_err(|what| wrong(what, GIVE_SOCKET));
        }
        let (scheme, rest) = split_scheme(endpoint.trim());
        let is_https = match scheme.as_deref() {
            None | Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(fault("the scheme is neither https nor http")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(fault("a path or a query is not allowed"));
        }
        if authority.contains('@') {
            return Err(fault("a user or password is not allowed"));
        }
        let default_port = if is_https { 443 } else { 80 };
        let address = Address::parse(authority, default_port).map_err(fault)?;
        if !(is_https || allow_plaintext || address.is_loopback()) {
            let what = "plain http:// to another machine shows keys and messages to the network";
            return Err(wrong(what, USE_TLS));
        }
        let authority = if address.port == default_port {
            address.bracketed_host()
        } else {
            address.to_string()
        };
        let host_header = HeaderValue::try_from(&*authority)
            .map_err(|error| fault("the host is not valid in a header").with_source(error))?;
        let uri = uri_of(authority, is_https)
            .map_err(|error| fault("the host cannot stand in a URI").with_source(error))?;
        Ok(Self { address, is_https, uri, host_header, socket: None })
    }

    /// Plain HTTP to `localhost`, over the Unix socket at `path`.
    fn over_socket(path: &str) -> Result<Self, &'static str> {
        if !cfg!(unix) {
            return Err("this system has no Unix sockets");
        }
        if !path.starts_with('/') {
            return Err("the path of the Unix socket does not begin with /");
        }
        if path.len() > LONGEST_SOCKET_PATH {
            return Err("the path of the Unix socket is longer than the system allows");
        }
        let host = "localhost";
        let uri = uri_of(host.to_owned(), false).map_err(|_| "`localhost` is no host")?;
        Ok(Self {
            address: Address::parse(host, 80)?,
            is_https: false,
            uri,
            host_header: HeaderValue::from_static("localhost"),
            socket: Some(path.into()),
        })
    }

    /// The Unix socket to connect to, if it is one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn is_https(&self) -> bool {
        self.is_https
    }

    /// Scheme and authority, the default port left out, the path `/`.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The address of a path and a query there.
    pub(crate) fn address_of(&self, target: PathAndQuery) -> Uri {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).expect("scheme, authority and path are an address")
    }

    /// The authority, as the value of `Host`.
    pub(crate) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }
}

fn wrong(what: &str, remedy: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, format!("endpoint: {what}")).with_remedy(remedy)
}

const NO_PORT: &str = "the port is not a number from 1 to 65535";
const GIVE_URL: &str =
    "give the endpoint as https://host or https://host:port (`BridgeBuilder::endpoint`)";
const GIVE_SOCKET: &str = "give the socket as unix:/path (`BridgeBuilder::endpoint`)";
const USE_TLS: &str = "give the endpoint as https://host or https://host:port (`BridgeBuilder::endpoint`), or allow plain HTTP (`BridgeBuilder::allow_plaintext`)";
/// What `sun_path` takes, beside its last zero.
const LONGEST_SOCKET_PATH: usize = if cfg!(target_vendor = "apple") { 103 } else { 107 };

fn uri_of(authority: String, is_https: bool) -> Result<Uri, http::Error> {
    Uri::builder()
        .scheme(if is_https { Scheme::HTTPS } else { Scheme::HTTP })
        .authority(Authority::try_from(authority)?)
        .path_and_query(PathAndQuery::from_static("/"))
        .build()
}

/// Splits `scheme://rest`, the scheme in lower case.
pub(super) fn split_scheme(text: &str) -> (Option<String>, &str) {
    match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, text),
    }
}

/// Splits `host[:port]`, without the brackets of an IPv6 address.
pub(super) fn split_host_and_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) =
            rest.split_once(']').ok_or("the bracket of an IPv6 address is not closed")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("something other than a port follows the IPv6 address"),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Err("an IPv6 address needs brackets"),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_written() {
        for (endpoint, address, uri) in [
            ("https://a.test", "a.test:443", "https://a.test/"),
            ("a.test", "a.test:443", "https://a.test/"),
            ("A.test:8443/", "A.test:8443", "https://A.test:8443/"),
            ("https://[::1]:8443", "[::1]:8443", "https://[::1]:8443/"),
            ("HTTP://localhost:80", "localhost:80", "http://localhost/"),
            ("http://127.0.0.2:8080/", "127.0.0.2:8080", "http://127.0.0.2:8080/"),
        ] {
            let origin = Origin::parse(endpoint, false).expect(endpoint);
            assert_eq!(origin.address().to_string(), address);
            assert_eq!(origin.uri().to_string(), uri);
        }
    }

    #[test]
    fn wrong_endpoints_are_errors_of_configuration() {
        for endpoint in [
            "",
            "https://",
            "ftp://a.test",
            "https://a.test/v1beta",
            "https://user:secret@a.test",
            "https://a.test:http",
            "https://a.test:+443",
            "https://a.test:0",
            "https://a.test:70000",
            "https://::1",
            "https://[::1",
            "https://a b.test",
            "https://b\u{fc}cher.test",
            "http://a.test",
            "http://10.0.0.1",
            "unix:",
            "unix:relative/path",
        ] {
            let error = Origin::parse(endpoint, false).expect_err(endpoint);
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(Origin::parse("http://a.test", true).is_ok());
    }
}
