//! Carrier: who moves an HTTP exchange. Ours dial, pool and see every station; the program's own
//! may see less.

pub(crate) mod foreign;
pub(crate) mod http1;
pub(crate) mod http2;
