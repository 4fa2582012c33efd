//! Proxy: which proxy stands before an origin: none, one that was named, or the environment's.

use std::ffi::OsString;

use super::address::Origin;
use super::exempt::Exempt;
use super::hop::{ProxyHop, Source};
use super::login::{Custom, KerberosHosts, Password, ProxyLogin, ProxyTunnel};
use super::system::{self, Bypass, SystemProxies};
use crate::error::{Error, ErrorKind};

/// The proxy of both transports.
///
/// Spoken are `http://` and `https://` (CONNECT, over TLS to the proxy in the second case),
/// `socks5://` (this machine looks the service's name up) and `socks5h://` (the proxy does).
///
/// User and password log in where the proxy asks for it: by Digest (feature `digest`) or Basic, or
/// SOCKS5's own way. [`login_with`](Self::login_with) takes a scheme of your own. The strongest
/// that the proxy offers is used. A login that it refuses ends the call, and is not sent again for
/// 5 minutes, then twice as long each time: accounts lock. NTLM and PAC files are not supported.
#[derive(Clone, Debug)]
pub struct Proxy {
    choice: Choice,
    password: Option<Password>,
    custom: Vec<Custom>,
    kerberos: KerberosHosts,
}

#[derive(Clone, Debug)]
enum Choice {
    Environment,
    System,
    None,
    Named(ProxyHop),
}

impl Proxy {
    /// The proxy that the environment names; the default. It is read once, by `build()`.
    ///
    /// `grpc_proxy` comes first, for both transports alike. Then curl's rules: `https_proxy` (for a
    /// plain `http://` endpoint `http_proxy`), then `all_proxy`, each in lower case before upper
    /// case; an empty variable counts as unset. `HTTP_PROXY` in upper case is not read where
    /// `REQUEST_METHOD` is set, because in a CGI program it is a request's header.
    ///
    /// `no_grpc_proxy`, else `no_proxy` or `NO_PROXY`, lists what is reached directly, separated by
    /// commas or spaces: `*`, hosts, domains with all below them, addresses, CIDR ranges;
    /// `host:port` exempts one port. As with curl, `localhost` is not exempt by itself.
    ///
    /// A value that cannot be read is an error of `build()`, never "no proxy".
    pub fn from_env() -> Self {
        Self::of(Choice::Environment)
    }

    /// The proxy that the environment names, as [`from_env`](Self::from_env), else the one of the
    /// operating system's settings: feature `system-proxy`.
    ///
    /// On Windows these are the Internet settings of the user (or of a policy), on macOS those of
    /// the network in use, each with what they reach directly. A PAC file that they name is not
    /// evaluated; the doctor tells of it. A SOCKS proxy there is spoken to in version 5. On other
    /// systems the environment is all there is: their desktops hand their settings to programs as
    /// variables. Settings are read once, by `build()`.
    pub fn system() -> Self {
        Self::of(Choice::System)
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

    /// User and password for the proxy, in place of those in its URL: for Digest where the proxy
    /// offers it (feature `digest`), else for Basic.
    #[must_use]
    pub fn basic_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.password = Some(Password { user: user.into(), password: password.into() });
        self
    }

    /// Allows Kerberos (`Negotiate`) at these proxies, by the ticket that the user of this process
    /// has: feature `negotiate`, on Unix other than macOS.
    ///
    /// Each is the name of a host, or `.example.com` for all hosts below that domain. A ticket
    /// tells the proxy who the user is, so no proxy gets one that is not named here. The service
    /// that is asked for is `HTTP/` and the host in the proxy's URL. The system's own library is
    /// used, MIT's or Heimdal's, with its configuration and ticket cache (`KRB5_CONFIG`,
    /// `KRB5CCNAME`); nothing is delegated. Where there is no ticket, user and password are tried.
    ///
    /// It is an error of `build()` if the proxy is given by its address, which Kerberos has no
    /// names for.
    #[must_use]
    pub fn negotiate<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.kerberos.add(hosts.into_iter().map(Into::into));
        self
    }

    /// A login scheme of your own at an `http://` or `https://` proxy, by its name in
    /// `Proxy-Authenticate`.
    ///
    /// It comes before user and password where the proxy offers it. `begin` makes a new
    /// [`ProxyLogin`] for each login. May be given for several schemes, the first one first.
    #[must_use]
    pub fn login_with<L: ProxyLogin + 'static>(
        mut self,
        scheme: &str,
        begin: impl Fn(&ProxyTunnel) -> L + Send + Sync + 'static,
    ) -> Self {
        self.custom.push(Custom::new(scheme, begin));
        self
    }

    fn of(choice: Choice) -> Self {
        Self { choice, password: None, custom: Vec::new(), kerberos: KerberosHosts::default() }
    }

    /// The proxies in force, with the environment of this process.
    pub(super) fn resolve(self) -> Result<Proxies, Error> {
        self.resolve_with(|name| std::env::var_os(name))
    }

    pub(super) fn resolve_with(
        self,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Proxies, Error> {
        if self.custom.iter().any(|custom| !is_token(custom.scheme())) {
            let what = "proxy: the name of a login scheme has other characters than letters, digits, `-`, `_` and `.`";
            return Err(Error::new(ErrorKind::Configuration, what).with_remedy(
                "give the scheme's name as the proxy writes it in Proxy-Authenticate (`Proxy::login_with`)",
            ));
        }
        self.kerberos.check()?;
        let mut proxies = match self.choice {
            Choice::None => Proxies::default(),
            Choice::Named(hop) => {
                Proxies { https: Some(hop.clone()), http: Some(hop), ..Proxies::default() }
            }
            Choice::Environment => Environment(lookup).proxies()?,
            Choice::System => Environment(lookup).proxies()?.or(read_system()?),
        };
        for hop in [&mut proxies.https, &mut proxies.http].into_iter().flatten() {
            let permitted = hop.permit(self.password.as_ref(), &self.custom, &self.kerberos);
            permitted.map_err(|what| wrong("proxy", what))?;
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
    pub(super) https: Option<ProxyHop>,
    pub(super) http: Option<ProxyHop>,
    exempt: Exempt,
    bypass: Bypass,
    notes: Vec<String>,
}

impl Proxies {
    pub(super) fn find(&self, origin: &Origin) -> Option<&ProxyHop> {
        let hop = if origin.is_https() { &self.https } else { &self.http };
        let is_direct = self.exempt.contains(origin.address());
        hop.as_ref()
            .filter(|hop| !(is_direct || hop.is_of_system() && self.bypass.contains(origin)))
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The proxies of the system where the environment names none.
    fn or(self, system: SystemProxies) -> Self {
        Self {
            https: self.https.or(system.https),
            http: self.http.or(system.http),
            exempt: self.exempt,
            bypass: system.bypass,
            notes: system.notes,
        }
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
            None => &["grpc_proxy", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        };
        let https = &["grpc_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        let exempt = self.first(&["no_grpc_proxy", "no_proxy", "NO_PROXY"])?;
        Ok(Proxies {
            https: self.proxy(https)?,
            http: self.proxy(http)?,
            exempt: exempt.map_or_else(Exempt::default, |(_, list)| Exempt::parse(&list)),
            ..Proxies::default()
        })
    }

    fn proxy(&self, names: &[&'static str]) -> Result<Option<ProxyHop>, Error> {
        let Some((name, value)) = self.first(names)? else {
            return Ok(None);
        };
        match ProxyHop::parse(&value) {
            Ok(hop) => Ok(Some(hop.found_in(Source::Variable(name)))),
            Err(what) => Err(wrong(name, what)),
        }
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

fn read_system() -> Result<SystemProxies, Error> {
    let system = system::read().map_err(|what| wrong("proxy", &what))?;
    for note in &system.notes {
        tracing::warn!("{note}");
    }
    Ok(system)
}

/// A word that can stand for a scheme (RFC 9110, section 5.6.2), without the rarer signs.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Names the place, not the value: it may hold a password.
fn wrong(place: &str, what: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("{place}: {what}")).with_remedy(
        "give the proxy as http://host:port; https, socks5 and socks5h are the other schemes",
    )
}
