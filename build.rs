//! `proto/` becomes messages, clients and a descriptor set, by protox: no protoc, no network.

#[path = "build/descriptor.rs"]
mod descriptor;
#[path = "build/overlay.rs"]
mod overlay;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;
use prost_types::FileDescriptorSet;
use protox::Compiler;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let root = Path::new("proto");
    let compile = |with_comments| -> Result<Vec<u8>, Box<dyn Error>> {
        let mut compiler = Compiler::new([root])?;
        compiler.include_imports(true).include_source_info(with_comments);
        compiler.open_files(proto_files(root)?)?;
        // The raw bytes: prost's own descriptor types would drop the HTTP annotations.
        Ok(overlay::apply(&compiler.encode_file_descriptor_set())?)
    };
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("gemini.binpb"), compile(false)?)?;
    let set = compile(true)?;
    let mut builder = tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .codec_path("crate::proto::codec::MessageCodec")
        .bytes(".");
    for path in overlay::rare_messages(&set)? {
        builder = builder.boxed(path);
    }
    builder.compile_fds(FileDescriptorSet::decode(set.as_slice())?)?;
    box_requests(&out)
}

/// Has the clients box a request before they do anything else. tonic's futures of a call keep a
/// place for it at six depths: 12 KB for one of 2 KB.
fn box_requests(out: &Path) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let code = fs::read_to_string(&path)?;
            let methods: Vec<String> = code.split(METHOD).map(with_boxed_request).collect();
            fs::write(&path, methods.join(METHOD))?;
        }
    }
    Ok(())
}

const METHOD: &str = "pub async fn ";

/// The method, if it takes one request, with the request taken at its beginning.
fn with_boxed_request(method: &str) -> String {
    const TAKEN: &str = "let mut req = request.into_request();";
    const BOXED: &str = "let mut req = request.into_request().map(Box::new);";
    let parts = method.split_once(TAKEN).and_then(|(before, after)| {
        let (signature, beginning) = before.split_once("self.inner")?;
        Some([signature, BOXED, "self.inner", beginning, after].concat())
    });
    parts.unwrap_or_else(|| method.to_owned())
}

fn proto_files(root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
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
