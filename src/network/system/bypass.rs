//! Bypass: what the settings of a system reach directly: patterns of hosts, ranges, names without a
//! dot.

use crate::network::address::{Address, Origin, split_host_and_port, split_scheme};
use crate::network::exempt::Exempt;

/// Rules of Windows and macOS; empty for none.
#[derive(Debug, Default)]
pub(crate) struct Bypass {
    rules: Vec<Rule>,
    /// Where a proxy is set, what is on this machine is reached directly, unless the settings say
    /// otherwise.
    spares_loopback: bool,
}

#[derive(Debug)]
enum Rule {
    /// A name without a dot.
    Simple,
    Host {
        scheme: Option<String>,
        pattern: String,
        port: Option<u16>,
    },
    Range(Exempt),
}

impl Bypass {
    pub(super) fn new() -> Self {
        Self { rules: Vec::new(), spares_loopback: true }
    }

    pub(super) fn add_simple_names(&mut self) {
        self.rules.push(Rule::Simple);
    }

    /// `host`, `*.host`, `10.*`, `scheme://host`, `host:port`, a range; `<local>` and `<-loopback>`
    /// as on Windows.
    pub(super) fn add(&mut self, entry: &str) {
        match entry.to_ascii_lowercase().as_str() {
            "" => {}
            "<local>" => self.add_simple_names(),
            "<-loopback>" => self.spares_loopback = false,
            entry => self.rules.push(Rule::read(entry)),
        }
    }

    pub(crate) fn contains(&self, origin: &Origin) -> bool {
        let address = origin.address();
        self.spares_loopback && address.is_loopback()
            || self.rules.iter().any(|rule| rule.matches(origin, address))
    }
}

impl Rule {
    fn read(entry: &str) -> Self {
        let (scheme, rest) = split_scheme(entry);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some((network, bits)) = rest.split_once('/') {
            return Self::Range(Exempt::parse(&whole_range(network, bits)));
        }
        // An address of IPv6 has colons of its own.
        let (host, port) = split_host_and_port(rest).unwrap_or((rest, None));
        let (host, port) = match port.map(str::parse) {
            None => (host, None),
            Some(Ok(port)) => (host, Some(port)),
            Some(Err(_)) => (rest, None),
        };
        Self::Host { scheme, pattern: host.trim_end_matches('.').to_owned(), port }
    }

    fn matches(&self, origin: &Origin, address: &Address) -> bool {
        let host = address.host().trim_end_matches('.').to_ascii_lowercase();
        match self {
            Self::Simple => address.ip().is_none() && !host.contains('.'),
            Self::Range(range) => range.contains(address),
            Self::Host { scheme, pattern, port } => {
                let own = if origin.is_https() { "https" } else { "http" };
                scheme.as_deref().is_none_or(|scheme| scheme == own)
                    && port.is_none_or(|port| port == address.port())
                    && is_like(host.as_bytes(), pattern.as_bytes())
            }
        }
    }
}

/// macOS writes `169.254/16` for `169.254.0.0/16`.
fn whole_range(network: &str, bits: &str) -> String {
    let missing = 3_usize.saturating_sub(network.matches('.').count());
    let zeros = if network.contains(':') { String::new() } else { ".0".repeat(missing) };
    format!("{}{zeros}/{bits}", network.trim_end_matches('.'))
}

/// Whether the text fits a pattern in which `*` stands for any text. Takes time in proportion to
/// both, however many stars there are.
fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut wanted) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match (pattern.get(wanted), text.get(at)) {
            (Some(b'*'), _) => {
                star = Some((wanted, at));
                wanted += 1;
            }
            (Some(wants), Some(has)) if wants == has => (at, wanted) = (at + 1, wanted + 1),
            _ => {
                let Some((behind, from)) = star else { return false };
                star = Some((behind, from + 1));
                (at, wanted) = (from + 1, behind + 1);
            }
        }
    }
    pattern.get(wanted..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_their_systems_read_them() {
        for (entry, origin, expected) in [
            ("a.test", "https://a.test", true),
            ("A.TEST", "https://a.test.", true),
            ("a.test", "https://b.a.test", false),
            ("*.a.test", "https://b.a.test", true),
            ("*.a.test", "https://a.test", false),
            ("*a.test", "https://ba.test", true),
            ("intra*", "https://intranet.corp.test", true),
            ("*corp*test*", "https://x.corp.y.test", true),
            ("10.*", "https://10.1.2.3", true),
            ("10.*", "https://11.1.2.3", false),
            ("172.16.*.5", "https://172.16.200.5", true),
            ("172.16.*.5", "https://172.16.200.6", false),
            ("a.test:8443", "https://a.test:8443", true),
            ("a.test:8443", "https://a.test", false),
            ("https://a.test", "https://a.test", true),
            ("http://a.test", "https://a.test", false),
            ("http://a.test/", "http://a.test", true),
            ("<local>", "https://intranet", true),
            ("<LOCAL>", "https://intra.net", false),
            ("<local>", "https://[fd00::1]", false),
            ("169.254/16", "https://169.254.1.2", true),
            ("169.254/16", "https://169.255.1.2", false),
            ("10.0.0.0/8", "https://10.9.9.9", true),
            ("fd00::/8", "https://[fd12::1]", true),
            ("[::2]", "https://[::2]", true),
            ("::2", "https://[::2]", true),
            ("", "https://a.test", false),
            ("*", "https://a.test", true),
            ("b.test", "https://localhost", true),
            ("b.test", "https://127.0.0.1", true),
            ("<-loopback>", "https://localhost", false),
        ] {
            let mut bypass = Bypass::new();
            bypass.add(entry);
            let parsed = Origin::parse(origin, true).expect(origin);
            assert_eq!(bypass.contains(&parsed), expected, "{entry:?} {origin}");
        }
        let nothing = Bypass::default();
        assert!(!nothing.contains(&Origin::parse("https://localhost", true).expect("origin")));
    }

    #[test]
    fn a_pattern_of_stars_takes_no_time() {
        let (text, pattern) = ("a".repeat(200), "*a".repeat(90) + "*b");
        assert!(!is_like(text.as_bytes(), pattern.as_bytes()));
    }
}
