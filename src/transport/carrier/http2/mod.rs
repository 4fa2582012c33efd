//! HTTP/2, carrier of gRPC: streams of h2 on our own connections, each failure named.

pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod exchange;
pub(crate) mod failure;
mod frames;
mod tap;
