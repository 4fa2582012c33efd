//! Dial: how a hostile proxy reaches its target.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::ending::Wire;

/// How the proxy reaches its target.
pub(super) enum Dial {
    Tcp {
        /// In place of the name that is asked for.
        target: Option<SocketAddr>,
    },
    /// By the program's own streams.
    Own(OwnDial),
}

pub(super) type OwnDial = Box<dyn Fn(&str) -> io::Result<Box<dyn Wire>> + Send + Sync>;

impl Default for Dial {
    fn default() -> Self {
        Self::Tcp { target: None }
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { target } => f.debug_tuple("Tcp").field(target).finish(),
            Self::Own(_) => f.write_str("Own"),
        }
    }
}
