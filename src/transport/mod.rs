//! Transport: the two protocols, gRPC and REST, above the carriers that move their HTTP exchanges.

pub(crate) mod carrier;
pub(crate) mod grpc;
pub(crate) mod rest;
