//! Proto: messages and clients of the Gemini API, made from `proto/`.
#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::exhaustive_structs,
    clippy::exhaustive_enums,
    clippy::allow_attributes_without_reason,
    clippy::use_self,
    unused_qualifications,
    unnameable_types,
    unreachable_pub,
    reason = "generated code"
)]

pub(crate) mod codec;

/// The descriptors of all of it, as a `FileDescriptorSet`.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gemini.binpb"));

pub mod google {
    pub mod ai {
        pub mod generativelanguage {
            /// Messages and clients of the API's stable version.
            pub mod v1 {
                tonic::include_proto!("google.ai.generativelanguage.v1");
            }
            /// Messages and clients of the API's version with all that is new: files, caches, tuned
            /// models.
            pub mod v1beta {
                tonic::include_proto!("google.ai.generativelanguage.v1beta");
            }
        }
    }
    /// `google.rpc`: the status of a call and the details that explain it.
    pub mod rpc {
        tonic::include_proto!("google.rpc");
    }
    /// `google.longrunning`: operations that outlast a call, and their client.
    pub mod longrunning {
        tonic::include_proto!("google.longrunning");
    }
    pub mod r#type {
        tonic::include_proto!("google.r#type");
    }
}
