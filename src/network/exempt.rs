//! Exempt: what `NO_PROXY` lists, to be reached directly.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::address::{Address, split_host_and_port};

/// A list of hosts, domains, addresses and ranges, some for one port only.
///
/// hyper-util's `Matcher` decides on names and ranges; what it lacks is done here: ports,
/// `*.domain`, brackets, a dot at the end, separation by spaces, and `*` for addresses.
#[derive(Debug, Default)]
pub(super) struct Exempt {
    everything: bool,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// Intercepts whatever the rule does not match.
    matcher: Matcher,
    port: Option<u16>,
}

impl Exempt {
    pub(super) fn parse(list: &str) -> Self {
        let entries =
            list.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        let mut exempt = Self::default();
        for entry in entries {
            match entry {
                "*" => exempt.everything = true,
                entry => exempt.rules.push(Rule::parse(entry)),
            }
        }
        exempt
    }

    pub(super) fn contains(&self, address: &Address) -> bool {
        self.everything || self.rules.iter().any(|rule| rule.matches(address))
    }
}

impl Rule {
    fn parse(entry: &str) -> Self {
        let (host, port) = split_entry(entry);
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let host = host.strip_suffix('.').unwrap_or(host);
        Self { matcher: Matcher::builder().all("http://proxy").no(host).build(), port }
    }

    fn matches(&self, address: &Address) -> bool {
        let host = address.host();
        let host = host.strip_suffix('.').unwrap_or(host);
        let authority = match address.ip() {
            Some(IpAddr::V6(_)) => format!("[{host}]"),
            _ => host.to_owned(),
        };
        let uri = Uri::builder().scheme("https").authority(authority).path_and_query("/").build();
        self.port.is_none_or(|port| port == address.port())
            && uri.is_ok_and(|uri| self.matcher.intercept(&uri).is_none())
    }
}

/// An entry that is an IPv6 address or range has colons of its own.
fn split_entry(entry: &str) -> (&str, Option<u16>) {
    match split_host_and_port(entry) {
        Ok((host, None)) => (host, None),
        Ok((host, Some(port))) => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        Err(_) => (entry, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_curl_reads_them() {
        for (list, address, expected) in [
            ("", "a.test:443", false),
            ("a.test", "a.test:443", true),
            ("A.TEST", "a.test:443", true),
            ("a.test.", "a.test:443", true),
            ("a.test", "a.test.:443", true),
            ("a.test", "b.a.test:443", true),
            (".a.test", "b.a.test:443", true),
            ("*.a.test", "b.a.test:443", true),
            ("a.test", "ba.test:443", false),
            ("a.test", "a.test.b:443", false),
            ("b.test, a.test", "a.test:443", true),
            ("b.test a.test", "a.test:443", true),
            ("a.test:443", "a.test:443", true),
            ("a.test:443", "a.test:8443", false),
            (".a.test:8443", "b.a.test:8443", true),
            ("*", "a.test:443", true),
            ("*", "10.1.2.3:443", true),
            ("b.test,*", "[::1]:443", true),
            ("10.1.2.3", "10.1.2.3:443", true),
            ("10.1.2.3:443", "10.1.2.3:443", true),
            ("10.1.2.3:80", "10.1.2.3:443", false),
            ("10.0.0.0/8", "10.1.2.3:443", true),
            ("10.0.0.0/16", "10.1.2.3:443", false),
            ("::1", "[::1]:443", true),
            ("[::1]", "[::1]:443", true),
            ("[::1]:443", "[::1]:443", true),
            ("[::1]:80", "[::1]:443", false),
            ("fd00::/8", "[fd12::1]:443", true),
            ("fd00::/8", "[fe80::1]:443", false),
            ("localhost", "127.0.0.1:443", false),
        ] {
            let address = Address::parse(address, 443).expect(address);
            let exempt = Exempt::parse(list);
            assert_eq!(exempt.contains(&address), expected, "{list:?} {address}");
        }
    }
}
