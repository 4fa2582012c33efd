//! HTTP/1.1, carrier of REST: hyper's pooling client on our own connections.

pub(crate) mod client;
mod dialler;
mod failure;
