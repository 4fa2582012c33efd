//! Web guard: who may call. A web page must not spend the user's key.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, HeaderName, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};
use tonic::Status;

use super::identity::Identity;

/// The hosts under which the listener is called.
///
/// A page in a browser can send requests here. It cannot hide that it does: browsers add `Origin`
/// and [`Sec-Fetch-Site`](https://www.w3.org/TR/fetch-metadata/), and a page that had its own name
/// resolve to this machine betrays itself by `Host`.
#[derive(Debug)]
pub(super) struct WebGuard {
    hosts: Vec<Host>,
    takes: Takes,
}

/// What is taken beside the known hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    /// On 0.0.0.0 any address may be the listener's; no page can make a number its own name.
    AnyIp,
    AnyHost,
}

/// A name or IP address, and its port, if only one is meant.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    name: String,
    port: Option<u16>,
    /// Both, as almost every client writes them.
    text: String,
}

impl WebGuard {
    pub(super) fn new(address: SocketAddr, named: &[String], identity: Option<&Identity>) -> Self {
        let port = Some(address.port());
        let own = ["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        let ip = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let own = own.into_iter().chain([ip]).map(|name| Host::new(name, port));
        let certified = identity.map(Identity::names).unwrap_or_default();
        let given = named.iter().chain(certified).filter_map(|host| Host::parse(host));
        let takes = if address.ip().is_unspecified() { Takes::AnyIp } else { Takes::Nothing };
        Self { hosts: own.chain(given).collect(), takes }
    }

    /// Of a Unix socket, which no browser opens: a client there may call the host as it likes.
    pub(super) fn of_socket() -> Self {
        Self { hosts: Vec::new(), takes: Takes::AnyHost }
    }

    /// # Errors
    /// `PERMISSION_DENIED`, with what about the request is refused.
    pub(super) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Status> {
        let refuse = |what: &str| Err(Status::permission_denied(format!("refused: {what}")));
        if headers.contains_key(ORIGIN) {
            return refuse("the request has an `Origin`, so it comes from a web page");
        }
        if headers.get(&FETCH_SITE).is_some_and(|site| site != "none") {
            return refuse("the request's `Sec-Fetch-Site` says that it comes from a web page");
        }
        if uri.authority().is_none() && !headers.contains_key(HOST) {
            return refuse("the request names no host");
        }
        let mut hosts = headers.get_all(HOST).iter();
        let knows_all = uri.authority().is_none_or(|authority| self.knows(authority))
            && hosts.all(|host| self.knows_header(host));
        if !knows_all {
            return refuse(
                "the request's `Host` is not this listener's (another name: --allow-host)",
            );
        }
        Ok(())
    }

    fn knows_header(&self, host: &HeaderValue) -> bool {
        let authority = Authority::try_from(host.as_bytes());
        authority.is_ok_and(|authority| self.knows(&authority))
    }

    fn knows(&self, authority: &Authority) -> bool {
        if self.hosts.iter().any(|known| known.text == authority.as_str()) {
            return true;
        }
        if authority.as_str().contains('@') {
            return false;
        }
        let (name, port) = (authority.host(), authority.port_u16());
        match self.takes {
            Takes::AnyHost => return true,
            Takes::AnyIp if is_ip(name) => return true,
            Takes::AnyIp | Takes::Nothing => {}
        }
        let mut known = self.hosts.iter().filter(|known| known.name.eq_ignore_ascii_case(name));
        known.any(|known| known.port.is_none() || known.port == port)
    }
}

/// Whether a text names a host as clients do: a name or an IP address, with or without a port.
pub(super) fn is_host(text: &str) -> bool {
    Host::parse(text).is_some()
}

impl Host {
    fn new(name: String, port: Option<u16>) -> Self {
        let text = port.map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
        Self { name, port, text }
    }

    fn parse(text: &str) -> Option<Self> {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
        let authority: Authority = text.parse().ok().filter(|_| text.bytes().all(is_of_name))?;
        let (name, port) = (authority.host().to_owned(), authority.port_u16());
        let has_port = text.len() > name.len();
        (!name.is_empty() && has_port == port.is_some()).then(|| Self::new(name, port))
    }
}

fn is_ip(name: &str) -> bool {
    name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> WebGuard {
        WebGuard::new(
            ([127, 0, 0, 1], 50051).into(),
            &["Bridge.corp".into(), "mesh:443".into()],
            None,
        )
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in ["a", "a.b-c_d:1", "1.2.3.4", "[::1]", "[::1]:443", "A.Corp:65535"] {
            assert!(is_host(host), "{host}");
        }
        for text in [
            "", " ", "a b", " a", "a ", ":1", "a:", "a:65536", "a:b", "http://a", "a/b", "a?b",
            "u@a", "a,b", "::1", "[::1", "a\n", "ä",
        ] {
            assert!(!is_host(text), "{text:?}");
        }
    }

    #[test]
    fn only_the_listeners_hosts_are_known() {
        for (host, is_known) in [
            ("localhost:50051", true),
            ("LOCALHOST:50051", true),
            ("127.0.0.1:50051", true),
            ("[::1]:50051", true),
            ("bridge.corp", true),
            ("bridge.corp:8443", true),
            ("mesh:443", true),
            ("mesh", false),
            ("localhost", false),
            ("localhost:80", false),
            ("localhost.evil.test:50051", false),
            ("evil.test:50051", false),
            ("localhost:50051@evil.test", false),
            ("evil.test@localhost:50051", false),
            ("", false),
            ("a b", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a value"));
            let admitted = guard().admit(&Uri::from_static("/"), &headers);
            assert_eq!(admitted.is_ok(), is_known, "{host}");
        }
    }

    #[test]
    fn what_a_browser_adds_is_refused() {
        for (name, value, is_admitted) in [
            ("origin", "http://localhost:50051", false),
            ("origin", "null", false),
            ("sec-fetch-site", "cross-site", false),
            ("sec-fetch-site", "same-origin", false),
            ("sec-fetch-site", "none", true),
            ("accept", "*/*", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "localhost:50051".parse().expect("a value"));
            headers.insert(name, value.parse().expect("a value"));
            let admitted = guard().admit(&Uri::from_static("/"), &headers);
            assert_eq!(admitted.is_ok(), is_admitted, "{name}: {value}");
        }
    }

    #[test]
    fn an_ip_address_is_the_listeners_where_it_has_all() {
        let everywhere = WebGuard::new(([0, 0, 0, 0], 50051).into(), &[], None);
        let knows = |guard: &WebGuard, host| guard.knows(&Authority::from_static(host));
        assert!(knows(&everywhere, "10.1.2.3:8080"));
        assert!(knows(&everywhere, "[fd00::1]:50051"));
        assert!(!knows(&everywhere, "evil.test:50051"));
        assert!(!knows(&guard(), "10.1.2.3:50051"));
    }

    #[test]
    fn a_request_whose_authority_and_host_differ_is_refused() {
        let mut headers = HeaderMap::new();
        let uri = Uri::from_static("http://localhost:50051/");
        assert!(guard().admit(&uri, &headers).is_ok());
        headers.insert(HOST, "evil.test".parse().expect("a value"));
        assert!(guard().admit(&uri, &headers).is_err());
        assert!(guard().admit(&Uri::from_static("/"), &HeaderMap::new()).is_err());
    }
}
