//! The typed rival: prost's messages with pbjson's JSON, generated from the same protos.

/// The descriptors of the whole API, as a `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// The messages, in the module tree that the generated code expects.
#[allow(clippy::all, reason = "generated code")]
pub mod google {
    pub mod ai {
        pub mod generativelanguage {
            pub mod v1beta {
                include!(concat!(env!("OUT_DIR"), "/google.ai.generativelanguage.v1beta.rs"));
                include!(concat!(env!("OUT_DIR"), "/google.ai.generativelanguage.v1beta.serde.rs"));
            }
        }
    }
    pub mod r#type {
        include!(concat!(env!("OUT_DIR"), "/google.r#type.rs"));
        include!(concat!(env!("OUT_DIR"), "/google.r#type.serde.rs"));
    }
}

pub use google::ai::generativelanguage::v1beta;
