//! Address: where clients call: a port, or a Unix socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a [`Sidecar`](super::Sidecar) listens. [`FromStr`] reads `127.0.0.1:50051`, and on Unix
/// `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// Accepts TLS and plaintext.
    Tcp(SocketAddr),
    /// Accepts plaintext, from programs of the user who runs the sidecar: nobody else may open the
    /// socket's file. Not supported on Windows.
    Unix(PathBuf),
}

impl ListenAddress {
    /// The address and port; `None` for a Unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("names no file after unix:".to_owned()),
            Some(_) if cfg!(not(unix)) => {
                Err("there are no Unix sockets on this system".to_owned())
            }
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| EXPECTED.to_owned()),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

const EXPECTED: &str = if cfg!(unix) {
    "not an IP address with a port, such as 127.0.0.1:50051, nor unix:/path"
} else {
    "not an IP address with a port, such as 127.0.0.1:50051"
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in ["127.0.0.1:50051", "[::1]:1"] {
            assert_eq!(text.parse::<ListenAddress>().expect("an address").to_string(), text);
        }
        let socket = "unix:/run/bridge.sock".parse::<ListenAddress>();
        assert_eq!(socket.is_ok(), cfg!(unix));
        for other in ["unix:", "50051", "localhost:50051", "/run/bridge.sock", ""] {
            assert!(other.parse::<ListenAddress>().is_err(), "{other}");
        }
    }
}
