//! Network: how the bridge reaches the service: proxy, trust, connections, or carriers of the
//! program's own.

use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, Write};
use tower_service::Service;

use super::BridgeBuilder;
use crate::network::{Proxy, UserConnector};
use crate::transport::carrier::foreign::Carrier;

impl BridgeBuilder {
    /// The proxy for both transports. Default: [`Proxy::from_env`].
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// Root certificates to trust besides the operating system's: PEM (one or more) or DER (one).
    pub fn add_root_certificates(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.roots.push(certificates.into());
        self
    }

    /// A client certificate for mutual TLS: the chain and its private key, both PEM.
    pub fn client_identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client_identity = Some((chain.into(), key.into()));
        self
    }

    /// A prepared configuration of rustls 0.23, for both transports and `https://` proxies. With it
    /// you trust only your own roots, or use revocation lists, your own verifier, or FIPS. Default:
    /// the operating system's store and the roots that you add.
    ///
    /// `build` fails if you also add roots or a client certificate, or if the configuration names
    /// protocols (`alpn_protocols`). If it refuses a certificate, the error does not name the
    /// issuer.
    pub fn tls(mut self, config: rustls::ClientConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Time limit to open a connection, from DNS to TLS. Default: 5 s, or 10 s through a proxy.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Opens the streams below both transports, in place of DNS and TCP. Use it for another
    /// resolver, a Unix socket, or a simulated network. It takes any connector that tonic's
    /// `connect_with_connector` takes. Default: TCP, with the system's resolver.
    ///
    /// The bridge calls it with `http://host:port/`, the address of the service or of the proxy. It
    /// returns a plain stream; the bridge adds TLS and the proxy's tunnel. It must answer within
    /// [`connect_timeout`](Self::connect_timeout). Its error counts as a connection that could not
    /// be opened; an [`std::io::Error`] in the error's sources says why. With a connector, the
    /// proxy resolves the names for `socks5://`.
    pub fn connector<C>(mut self, connector: C) -> Self
    where
        C: Service<Uri> + Send + 'static,
        C::Response: Read + Write + Send + Unpin + 'static,
        C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        C::Future: Send,
    {
        self.connector = Some(UserConnector::new(connector));
        self
    }

    /// What carries gRPC in place of the bridge's own connections: a tonic `Channel`, or any tower
    /// service. Default: none.
    ///
    /// The carrier opens its connections itself: the bridge's network settings do not apply to it.
    /// Only the free call proves that gRPC works over it, and the bridge does not check silent
    /// connections.
    pub fn grpc_carrier(mut self, carrier: impl Into<Carrier>) -> Self {
        self.grpc_carrier = Some(carrier.into());
        self
    }

    /// What carries REST in place of the bridge's own connections: with the feature `reqwest` a
    /// `reqwest::ClientBuilder`, or any tower service. Default: none.
    ///
    /// The carrier opens its connections itself. It chooses the version of HTTP and the number of
    /// connections.
    pub fn rest_carrier(mut self, carrier: impl Into<Carrier>) -> Self {
        self.rest_carrier = Some(carrier.into());
        self
    }
}
