//! The protos become messages, clients, and the descriptors that say how REST carries each method.

use std::{env, fs, path::Path};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    // The second folder has google/api/annotations.proto; your project has a copy of it.
    let mut compiler = protox::Compiler::new(["proto", "../../proto"])?;
    compiler.include_imports(true).open_file("vertex.proto")?;
    let out = env::var("OUT_DIR")?;
    // The compiler's own bytes: prost's descriptor types, which tonic takes, drop the HTTP rules.
    fs::write(Path::new(&out).join("vertex.binpb"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
