//! Carrier: who moves an HTTP exchange. Ours dial, pool and see every station.

pub(crate) mod http1;
pub(crate) mod http2;
