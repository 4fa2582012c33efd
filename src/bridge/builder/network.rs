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

    /// A prepared configuration of rustls 0.23, for both transports and `https://` proxies:
    /// exclusive roots, revocation lists, a verifier of your own, FIPS. Default: the operating
    /// system's store and the roots that are added.
    ///
    /// With added roots, with a client certificate, or where it names protocols (`alpn_protocols`),
    /// `build` fails. The issuer of a certificate that it refuses is in no error.
    pub fn tls(mut self, config: rustls::ClientConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// The time for a connection to come about, from DNS to TLS. Default: 5 s, 10 s through a
    /// proxy.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Opens the streams below both transports, in place of DNS and TCP: another resolver, a Unix
    /// socket, a simulated network. Any connector that tonic's `connect_with_connector` takes will
    /// do. Default: TCP, by the system's resolver.
    ///
    /// It is asked for `http://host:port/`, the service's address or that of the proxy before it,
    /// and gives a plain stream: TLS and the proxy's tunnel are made above it. It must answer
    /// within [`connect_timeout`](Self::connect_timeout). An error of it counts as a connection
    /// that did not come about; an [`std::io::Error`] in its chain of causes says which way. Behind
    /// a connector, names for `socks5://` are looked up by the proxy.
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
    /// It dials as its maker set it up: the bridge's settings for the network do not reach it. Only
    /// the free call proves that gRPC works over it, and no silent connection is asked.
    pub fn grpc_carrier(mut self, carrier: impl Into<Carrier>) -> Self {
        self.grpc_carrier = Some(carrier.into());
        self
    }

    /// What carries REST in place of the bridge's own connections: with the feature `reqwest` a
    /// `reqwest::ClientBuilder`, or any tower service. Default: none.
    ///
    /// It dials as its maker set it up, in the version of HTTP that it chooses, with as many
    /// connections as it likes.
    pub fn rest_carrier(mut self, carrier: impl Into<Carrier>) -> Self {
        self.rest_carrier = Some(carrier.into());
        self
    }
}
