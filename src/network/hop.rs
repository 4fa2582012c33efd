//! Hop: one proxy: how it is spoken to, where it is, and the login for it.

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::address::{Address, split_scheme};
use super::login::{Custom, KerberosHosts, Login, Password};

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

/// Where a proxy was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Program,
    /// A variable of the environment.
    Variable(&'static str),
    /// The settings of the operating system.
    #[cfg_attr(not(any(windows, target_os = "macos")), allow(dead_code, reason = "there are none"))]
    System(&'static str),
}

/// One proxy. Its `Display` is the name that failures give it.
#[derive(Clone, Debug)]
pub(crate) struct ProxyHop {
    scheme: ProxyScheme,
    address: Address,
    password: Option<Password>,
    /// Shared by all dials.
    login: Arc<Login>,
    source: Source,
}

impl ProxyHop {
    /// # Errors
    /// What is wrong with it, in words that repeat nothing of it.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = split_scheme(url.trim());
        let scheme = match scheme.as_deref() {
            None | Some("http") => ProxyScheme::Http,
            Some("https") => ProxyScheme::Https,
            Some("socks5") => ProxyScheme::Socks5,
            Some("socks5h") => ProxyScheme::Socks5h,
            Some(_) => return Err("the scheme is none of http, https, socks5, socks5h"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (password, authority) = match rest.rsplit_once('@') {
            Some((login, authority)) => (Some(parse_password(login)?), authority),
            None => (None, rest),
        };
        if authority.contains(['/', '?', '#']) {
            return Err("it has a path; a PAC file is not read");
        }
        let default_port = if scheme == ProxyScheme::Https { 443 } else { 1080 };
        Ok(Self {
            scheme,
            address: Address::parse(authority, default_port)?,
            password,
            login: Arc::default(),
            source: Source::Program,
        })
    }

    /// Settles how the bridge logs in here, with `password` in place of the URL's.
    ///
    /// # Errors
    /// It cannot, in words that repeat nothing of it.
    pub(super) fn permit(
        &mut self,
        password: Option<&Password>,
        custom: &[Custom],
        kerberos: &KerberosHosts,
    ) -> Result<(), &'static str> {
        if let Some(password) = password {
            self.password = Some(password.clone());
        }
        self.check_password()?;
        if self.scheme.is_socks() && !custom.is_empty() {
            return Err("a login of your own is for http:// and https:// proxies");
        }
        let kerberos = kerberos.allow(&self.address)?.then(|| self.address.host());
        if self.scheme.is_socks() && kerberos.is_some() {
            return Err("Kerberos is for http:// and https:// proxies");
        }
        self.login = Arc::new(Login::new(custom.to_vec(), kerberos, self.password.clone()));
        Ok(())
    }

    /// RFC 1929 gives a length of one byte; RFC 7617 ends the user at the first colon.
    fn check_password(&self) -> Result<(), &'static str> {
        let Some(login) = &self.password else {
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

    pub(super) fn found_in(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// It stands in the settings of the operating system.
    pub(super) fn is_of_system(&self) -> bool {
        matches!(self.source, Source::System(_))
    }

    /// Scheme, address, and where it was found, for a person:
    /// `http proxy a:3128 from HTTPS_PROXY, with login`.
    pub(crate) fn describe(&self) -> String {
        let place = match self.source {
            Source::Program => "the program's settings",
            Source::Variable(name) | Source::System(name) => name,
        };
        let login =
            if self.password.is_some() || self.login.is_given() { "with" } else { "without" };
        format!("{} {self} from {place}, {login} login", self.scheme.as_str())
    }

    pub(crate) fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    pub(super) fn login(&self) -> &Login {
        &self.login
    }
}

impl fmt::Display for ProxyHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy {}", self.address)
    }
}

fn parse_password(text: &str) -> Result<Password, &'static str> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let decode = |part| {
        percent_decode_str(part)
            .decode_utf8()
            .map(String::from)
            .map_err(|_| "its user or password is not UTF-8 when percent-decoded")
    };
    Ok(Password { user: decode(user)?, password: decode(password)? })
}

#[cfg(test)]
impl ProxyHop {
    /// The proxy with its login, decoded.
    pub(super) fn spelt_out(&self) -> String {
        let login = self.password().map(|login| format!("{}:{}@", login.user, login.password));
        let scheme = format!("{:?}", self.scheme).to_lowercase();
        format!("{scheme}://{}{}", login.unwrap_or_default(), self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("http://CORP%5Cuser:p%40s%3As@p.test:1", r"http://CORP\user:p@s:s@p.test:1"),
            ("http://user:p/s@p.test:1", "http://user:p/s@p.test:1"),
            ("http://user:p@ss@p.test:1", "http://user:p@ss@p.test:1"),
            ("http://user:100%@p.test:1", "http://user:100%@p.test:1"),
        ] {
            let hop = ProxyHop::parse(url).expect(url);
            assert_eq!(hop.spelt_out(), expected);
        }
    }
}
