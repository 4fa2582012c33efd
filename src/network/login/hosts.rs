//! Hosts: the proxies at which the user's ticket may be shown.

use crate::error::{Error, ErrorKind};
use crate::network::address::Address;

/// Names of hosts, and domains with a dot before them. Empty: Kerberos was not asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct KerberosHosts(Vec<String>);

impl KerberosHosts {
    pub(crate) fn add(&mut self, hosts: impl Iterator<Item = String>) {
        let normal = |host: String| host.trim().trim_end_matches('.').to_ascii_lowercase();
        self.0.extend(hosts.map(normal));
    }

    /// # Errors
    /// There is no Kerberos in this build, or an entry is no name.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        if !cfg!(feature = "negotiate") {
            return Err(wrong(
                "Kerberos needs the feature `negotiate` of genai-bridge",
                "build with this feature, or run a local proxy that logs in (px, cntlm)",
            ));
        }
        if !cfg!(unix) || cfg!(target_vendor = "apple") {
            return Err(wrong(
                "Kerberos by the system's login is not supported on this system",
                "run a local proxy that logs in (px, cntlm), or let the program log in itself (`Proxy::login_with`)",
            ));
        }
        let is_name = |entry: &String| {
            let host = entry.strip_prefix('.').unwrap_or(entry);
            Address::parse(host, 1)
                .is_ok_and(|address| address.ip().is_none() && address.host() == host)
        };
        if self.0.iter().all(is_name) { Ok(()) } else { Err(wrong(NO_NAME, NAME_IT)) }
    }

    /// Whether Kerberos may be used at this proxy.
    ///
    /// # Errors
    /// It is asked for, and cannot work.
    pub(crate) fn allow(&self, proxy: &Address) -> Result<bool, &'static str> {
        if self.0.is_empty() {
            return Ok(false);
        }
        if proxy.ip().is_some() {
            return Err("Kerberos needs the proxy's name in its URL, in place of its address");
        }
        let host = proxy.host().trim_end_matches('.').to_ascii_lowercase();
        Ok(self.0.iter().any(|entry| match entry.strip_prefix('.') {
            Some(_) => host.ends_with(entry.as_str()),
            None => host == *entry,
        }))
    }
}

fn wrong(what: &str, remedy: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, format!("proxy: {what}")).with_remedy(remedy)
}

const NO_NAME: &str = "a name for Kerberos is neither that of a host nor a domain";
const NAME_IT: &str = "give the proxy's name, such as proxy.example.com, or its domain, such as .example.com (`Proxy::negotiate`)";

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(entries: &[&str]) -> KerberosHosts {
        let mut hosts = KerberosHosts::default();
        hosts.add(entries.iter().map(|entry| (*entry).to_owned()));
        hosts
    }

    #[test]
    fn a_proxy_is_allowed_by_its_name_or_domain() {
        for (entries, proxy, expected) in [
            (&[][..], "10.0.0.1:1", Ok(false)),
            (&["p.test"], "p.test:1", Ok(true)),
            (&["P.test."], "p.TEST.:1", Ok(true)),
            (&["p.test"], "a.p.test:1", Ok(false)),
            (&["p.test"], "ap.test:1", Ok(false)),
            (&[".test"], "a.p.test:1", Ok(true)),
            (&[".p.test"], "p.test:1", Ok(false)),
            (&[".p.test"], "ap.test:1", Ok(false)),
            (&["a.test", "p.test"], "p.test:1", Ok(true)),
            (&["p.test"], "10.0.0.1:1", Err(())),
            (&["p.test"], "[::1]:1", Err(())),
        ] {
            let address = Address::parse(proxy, 1).expect(proxy);
            let allowed = hosts(entries).allow(&address).map_err(|_| ());
            assert_eq!(allowed, expected, "{entries:?} {proxy}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_and_so_is_kerberos_without_its_feature() {
        for entry in ["", ".", "*", "10.0.0.1", "::1", "p.test:3128", "http://p.test", "a b"] {
            let error = hosts(&[entry]).check().expect_err(entry);
            assert!(!error.advice().expect("a remedy").contains("http://"), "{entry:?}: {error}");
        }
        assert!(hosts(&[]).check().is_ok());
        let allowed = hosts(&["p.test", ".example.com"]).check();
        if cfg!(all(feature = "negotiate", unix, not(target_vendor = "apple"))) {
            allowed.expect("names");
        } else if !cfg!(feature = "negotiate") {
            assert!(allowed.expect_err("no feature").to_string().contains("`negotiate`"));
        }
    }
}
