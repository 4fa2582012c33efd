//! `proto/` becomes messages, clients and a descriptor set, by protox: no protoc, no network.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use protox::Compiler;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(proto_files(&PathBuf::from("proto"))?)?;
    // The raw bytes: prost's own descriptor types would drop the HTTP annotations.
    let bare = {
        let mut compiler = Compiler::new(["proto"])?;
        compiler.include_imports(true);
        compiler.open_files(proto_files(&PathBuf::from("proto"))?)?;
        compiler.encode_file_descriptor_set()
    };
    fs::write(out.join("gemini.binpb"), bare)?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .bytes(".")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn proto_files(root: &PathBuf) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                files.push(path.strip_prefix(root)?.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}
