//! Custom: a scheme that the program brings itself, behind the public trait.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::BoxError;

/// A login scheme of your own at an HTTP proxy, such as a company's, or NTLM from a crate of your
/// choice.
///
/// One value logs in over one connection: [`Proxy::login_with`](crate::Proxy::login_with) is called
/// for a new one each time. The bridge asks the proxy, reads its challenges and pages, and keeps or
/// renews the connection.
///
/// ```
/// use genai_bridge::{Proxy, ProxyLogin};
///
/// struct Ticket(String);
///
/// impl ProxyLogin for Ticket {
///     async fn step(&mut self, _challenge: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
///         Ok(self.0.clone())
///     }
/// }
///
/// # fn example() -> Result<(), genai_bridge::Error> {
/// let proxy = Proxy::url("http://proxy.example.com:3128")?
///     .login_with("CorpTicket", |tunnel| Ticket(format!("for {}", tunnel.proxy())));
/// # Ok(())
/// # }
/// ```
pub trait ProxyLogin: Send {
    /// Answers a challenge: what stands behind the scheme's name in `Proxy-Authenticate` (a token,
    /// parameters, or nothing) becomes what is to stand behind it in `Proxy-Authorization`.
    ///
    /// It is called again only if the proxy answers with more than the scheme's bare name. A bare
    /// name after a token is a refusal, and ends the login: accounts may lock.
    ///
    /// # Errors
    /// There is no login to be had. On the first call the next scheme is tried; later the
    /// connection fails. The text reaches the user, so it must hold no secret.
    fn step(&mut self, challenge: &str) -> impl Future<Output = Result<String, BoxError>> + Send;
}

/// The tunnel that a [`ProxyLogin`] is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyTunnel {
    proxy: String,
    target: String,
}

impl ProxyTunnel {
    pub(super) fn new(proxy: &str, target: String) -> Self {
        Self { proxy: proxy.to_owned(), target }
    }

    /// The proxy's host, as its URL names it.
    pub fn proxy(&self) -> &str {
        &self.proxy
    }

    /// Where the tunnel leads, as `CONNECT` names it: `host:port`.
    pub fn target(&self) -> &str {
        &self.target
    }
}

/// The scheme's name, and how a login begins.
#[derive(Clone)]
pub(crate) struct Custom {
    scheme: Arc<str>,
    begin: Arc<Begin>,
}

type Begin = dyn Fn(&ProxyTunnel) -> Box<dyn Steps> + Send + Sync;

impl Custom {
    pub(crate) fn new<L: ProxyLogin + 'static>(
        scheme: &str,
        begin: impl Fn(&ProxyTunnel) -> L + Send + Sync + 'static,
    ) -> Self {
        let begin = move |tunnel: &ProxyTunnel| Box::new(begin(tunnel)) as Box<dyn Steps>;
        Self { scheme: scheme.into(), begin: Arc::new(begin) }
    }

    pub(crate) fn scheme(&self) -> &str {
        &self.scheme
    }

    pub(super) fn begin(&self, tunnel: &ProxyTunnel) -> Box<dyn Steps> {
        (self.begin)(tunnel)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// [`ProxyLogin`] behind a pointer.
pub(super) trait Steps: Send {
    fn step<'a>(
        &'a mut self,
        challenge: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + 'a>>;
}

impl<L: ProxyLogin> Steps for L {
    fn step<'a>(
        &'a mut self,
        challenge: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + 'a>> {
        Box::pin(ProxyLogin::step(self, challenge))
    }
}
