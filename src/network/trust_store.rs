//! Trust store: what is wrong with the files and folders that the environment names as the trusted
//! roots.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::{UTF8_MARK, is_pem};

/// The variables that name the roots in place of the operating system's, on systems that read them.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What is wrong with each of them that is set, in a few words that begin with its name; nothing,
/// if all is well or they are not read here: macOS and Windows have a store of their own.
pub(crate) fn store_faults() -> Vec<String> {
    if cfg!(any(windows, target_vendor = "apple", target_os = "android")) {
        return Vec::new();
    }
    faults_of(|name| env::var_os(name))
}

fn faults_of(variable: impl Fn(&str) -> Option<OsString>) -> Vec<String> {
    let [file, folders] = VARIABLES;
    let of_file = variable(file).and_then(|path| {
        let path = Path::new(&path);
        Some(format!("{file}={} {}", path.display(), fault_of_file(path)?))
    });
    let folders_of = variable(folders).map(|paths| env::split_paths(&paths).collect::<Vec<_>>());
    let of_folders = folders_of.into_iter().flatten().filter_map(|path| {
        Some(format!("{folders}={} {}", path.display(), fault_of_folder(&path)?))
    });
    of_file.into_iter().chain(of_folders).collect()
}

/// What a person has to know of a file that holds no root.
fn fault_of_file(path: &Path) -> Option<&'static str> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Some(fault_of_io(&error)),
    };
    let first = CertificateDer::pem_slice_iter(&bytes).flatten().next();
    match bytes.as_slice() {
        [] => Some("is empty"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("is UTF-16: save it as ASCII or UTF-8"),
        marked if marked.starts_with(UTF8_MARK) => Some(
            "begins with a byte order mark, so that its first certificate is not read: save it without",
        ),
        _ if first.is_some() => None,
        other if is_pem(other) => Some("holds no certificate that can be read"),
        _ => Some("holds no PEM certificate"),
    }
}

fn fault_of_folder(path: &Path) -> Option<&'static str> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return Some(fault_of_io(&error)),
    };
    let mut files = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
    if files.any(|file| fault_of_file(&file).is_none()) {
        return None;
    }
    Some("has no file with a certificate in it")
}

fn fault_of_io(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist",
        std::io::ErrorKind::PermissionDenied => "may not be read by this user",
        std::io::ErrorKind::IsADirectory => "is a folder, not a file",
        std::io::ErrorKind::NotADirectory => "is a file, not a folder",
        _ => "cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_setting_is_said_by_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("written");
            path
        };
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = rcgen::CertificateParams::new(["a.test".to_owned()]).expect("a name");
        let pem = made.self_signed(&key).expect("a certificate").pem();
        let empty_folder = folder.path().join("folder");
        fs::create_dir(&empty_folder).expect("made");
        let good = write("good.pem", pem.as_bytes());
        for (file, expected) in [
            (good.clone(), None),
            (folder.path().join("none"), Some("does not exist")),
            (write("empty", b""), Some("is empty")),
            (write("mark", &[UTF8_MARK, pem.as_bytes()].concat()), Some("byte order mark")),
            (write("utf16", b"\xff\xfe-\0-\0"), Some("is UTF-16")),
            (write("text", b"no certificate"), Some("no PEM certificate")),
            (write("key", key.serialize_pem().as_bytes()), Some("no certificate that can be read")),
            (empty_folder.clone(), Some("is a folder")),
        ] {
            let faults = faults_of(|name| (name == "SSL_CERT_FILE").then(|| file.clone().into()));
            assert_eq!(faults.len(), usize::from(expected.is_some()), "{faults:?}");
            let start = format!("SSL_CERT_FILE={} ", file.display());
            for (fault, expected) in faults.iter().zip(expected) {
                assert!(fault.starts_with(&start) && fault.contains(expected), "{fault}");
            }
        }
        // Each of several folders is looked at, beside the file.
        let folders = env::join_paths([folder.path(), &empty_folder, &good]).expect("paths");
        let faults = faults_of(|name| {
            Some(if name == "SSL_CERT_DIR" { folders.clone() } else { OsString::from("/nowhere") })
        });
        assert_eq!(faults.len(), 3, "{faults:?}");
        for (fault, expected) in faults.iter().zip([
            "SSL_CERT_FILE=/nowhere does not exist",
            "has no file with a certificate",
            "is a file, not a folder",
        ]) {
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
