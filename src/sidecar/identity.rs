//! Identity: the certificate that clients are shown, their own or a self-made one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig};

use crate::error::{Error, ErrorKind};
use crate::network::crypto_provider;

/// A certificate chain with its private key. A generated one also has the root certificate that
/// clients must trust.
///
/// The private key of a generated root is deleted once it has signed this one certificate. So
/// whoever trusts the root trusts this sidecar and nothing else.
#[derive(Debug, Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    names: Vec<String>,
    root: Option<String>,
}

/// The files of a self-made identity.
#[derive(Debug)]
struct Files {
    root: PathBuf,
    chain: PathBuf,
    key: PathBuf,
}

/// A self-made identity as PEM.
struct Pem {
    root: String,
    chain: String,
    key: String,
}

impl Identity {
    /// Your own certificate: the chain and its private key, both PEM.
    ///
    /// # Errors
    /// One of them cannot be read, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        Ok(Self { config: server_config(chain, key)?, names: Vec::new(), root: None })
    }

    /// Generates a certificate for loopback and these names. It is not written to a file.
    ///
    /// # Errors
    /// A certificate cannot contain one of the names.
    pub fn self_made(names: &[String]) -> Result<Self, Error> {
        Self::from_self_made(Pem::new(names)?, names)
    }

    /// Reads the certificate in `folder`, so that clients which trust `ca.pem` still do after a
    /// restart. Generates a new one if there is none, if it is damaged, if it lacks one of the
    /// names, or if it expires within 30 days.
    ///
    /// # Errors
    /// The folder cannot be read or written, or a certificate cannot contain one of the names.
    pub fn kept_in(folder: &Path, names: &[String]) -> Result<Self, Error> {
        let files = Files::below(folder);
        if let Some(pem) = files.read()?
            && pem.is_good_for(names)
            // Two that began at once, or one that was killed, may have left another's key.
            && let Ok(kept) = Self::from_self_made(pem, names)
        {
            return Ok(kept);
        }
        let pem = Pem::new(names)?;
        files.write(folder, &pem)?;
        Self::from_self_made(pem, names)
    }

    fn from_self_made(pem: Pem, names: &[String]) -> Result<Self, Error> {
        Ok(Self {
            config: server_config(pem.chain.as_bytes(), pem.key.as_bytes())?,
            names: names.to_vec(),
            root: Some(pem.root),
        })
    }

    /// The root certificate that clients must trust, as PEM; `None` for your own certificate.
    pub fn root_certificate(&self) -> Option<&str> {
        self.root.as_deref()
    }

    /// The names, besides loopback's, of a self-made certificate.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl Files {
    fn below(folder: &Path) -> Self {
        Self {
            root: folder.join("ca.pem"),
            chain: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
        }
    }

    /// `None` where one is missing, or no text.
    fn read(&self) -> Result<Option<Pem>, Error> {
        let read = |path: &Path| match fs::read(path) {
            Ok(text) => Ok(String::from_utf8(text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable("cannot read", path, error)),
        };
        let (root, chain, key) = (read(&self.root)?, read(&self.chain)?, read(&self.key)?);
        Ok(root.zip(chain).zip(key).map(|((root, chain), key)| Pem { root, chain, key }))
    }

    /// The root comes last: who finds it finds the rest.
    fn write(&self, folder: &Path, pem: &Pem) -> Result<(), Error> {
        fs::create_dir_all(folder).map_err(|error| unusable("cannot create", folder, error))?;
        write_private(folder, &self.key, &pem.key)
            .map_err(|error| unusable("cannot write", &self.key, error))?;
        for (path, text) in [(&self.chain, &pem.chain), (&self.root, &pem.root)] {
            fs::write(path, text).map_err(|error| unusable("cannot write", path, error))?;
        }
        Ok(())
    }
}

impl Pem {
    fn new(names: &[String]) -> Result<Self, Error> {
        Self::sign(names, validity()).map_err(|error| {
            Error::new(ErrorKind::Configuration, "cannot make a certificate for these names")
                .with_source(error)
        })
    }

    fn sign(
        names: &[String],
        (begin, end): (SystemTime, SystemTime),
    ) -> Result<Self, rcgen::Error> {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        root.distinguished_name.push(DnType::CommonName, "genai-bridge on this machine");
        (root.not_before, root.not_after) = (begin.into(), end.into());
        let root_key = KeyPair::generate()?;
        let root_pem = root.self_signed(&root_key)?.pem();
        let mut leaf =
            CertificateParams::new([LOOPBACK.map(str::to_owned).as_slice(), names].concat())?;
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.distinguished_name.push(DnType::CommonName, "genai-bridge");
        (leaf.not_before, leaf.not_after) = (begin.into(), end.into());
        let key = KeyPair::generate()?;
        let chain = leaf.signed_by(&key, &Issuer::new(root, root_key))?.pem();
        Ok(Self { root: root_pem, chain, key: key.serialize_pem() })
    }

    /// Whether a client that trusts the root would accept the certificate under each name, also in
    /// 30 days.
    fn is_good_for(&self, names: &[String]) -> bool {
        self.verify(names).unwrap_or(false)
    }

    fn verify(&self, names: &[String]) -> Option<bool> {
        let root = CertificateDer::from_pem_slice(self.root.as_bytes()).ok()?;
        let leaf = CertificateDer::from_pem_slice(self.chain.as_bytes()).ok()?;
        let mut roots = RootCertStore::empty();
        roots.add(root).ok()?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.into(), crypto_provider().ok()?);
        let verifier = verifier.build().ok()?;
        let soon = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()? + RENEWAL;
        let soon = UnixTime::since_unix_epoch(soon);
        let mut all = LOOPBACK.into_iter().chain(names.iter().map(String::as_str));
        Some(all.all(|name| {
            ServerName::try_from(name)
                .is_ok_and(|name| verifier.verify_server_cert(&leaf, &[], &name, &[], soon).is_ok())
        }))
    }
}

fn server_config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, Error> {
    let wrong = |what: &'static str| Error::new(ErrorKind::Configuration, what);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong("the certificate is broken PEM").with_source(error))?;
    if chain.is_empty() {
        return Err(wrong("the certificate's file holds no PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| wrong("the key's file holds no PEM private key").with_source(error))?;
    let mut config = ServerConfig::builder_with_provider(crypto_provider()?)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("the crypto provider cannot do TLS").with_source(error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong("certificate and key cannot be used together").with_source(error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// From yesterday, for clocks that are late, to a year from now.
fn validity() -> (SystemTime, SystemTime) {
    let now = SystemTime::now();
    (now - DAY, now + DAY * 366)
}

/// A file that only its owner may read, also where others could read the one that it replaces.
fn write_private(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

fn unusable(what: &str, path: &Path, error: io::Error) -> Error {
    let text = format!("{what} {}", path.display());
    Error::new(ErrorKind::Configuration, text).with_source(error)
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A kept certificate is replaced this long before its end.
const RENEWAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_made_certificate_holds_loopback_and_its_names() {
        let pem = Pem::new(&["bridge.corp".to_owned()]).expect("a certificate");
        assert!(pem.is_good_for(&[]));
        assert!(pem.is_good_for(&["bridge.corp".to_owned()]));
        assert!(!pem.is_good_for(&["other.corp".to_owned()]));
    }

    fn kept(folder: &Path, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let kept = Identity::kept_in(folder, &names).expect("an identity");
        assert_eq!(kept.names(), names);
        let root = kept.root_certificate().expect("self-made").to_owned();
        assert_eq!(fs::read_to_string(folder.join("ca.pem")).expect("a file"), root);
        root
    }

    #[test]
    fn a_kept_identity_stays_the_same_for_the_names_that_it_has() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("made").join("here");
        let first = kept(&folder, &["bridge.corp"]);
        assert_eq!(kept(&folder, &["bridge.corp"]), first);
        assert_eq!(kept(&folder, &[]), first, "fewer names");
        let more = kept(&folder, &["bridge.corp", "other.corp"]);
        assert_ne!(more, first);
        assert_eq!(kept(&folder, &["other.corp"]), more);
    }

    #[test]
    fn whatever_is_damaged_missing_or_old_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (files, folder) = (Files::below(folder.path()), folder.path());
        let mut root = kept(folder, &[]);
        let begins = |age: Duration| (SystemTime::now() - DAY, SystemTime::now() + age);
        let lasts = |age| Pem::sign(&[], begins(age)).expect("a certificate");
        let other = Pem::new(&[]).expect("a certificate");
        let spoilt: [(&str, &dyn Fn()); 8] = [
            ("no root", &|| fs::remove_file(&files.root).expect("a file")),
            ("no key", &|| fs::remove_file(&files.key).expect("a file")),
            ("a key that is no text", &|| fs::write(&files.key, [0xff; 9]).expect("a file")),
            ("an empty chain", &|| fs::write(&files.chain, "").expect("a file")),
            ("half a root", &|| fs::write(&files.root, root_half(&files)).expect("a file")),
            ("another's key", &|| fs::write(&files.key, &other.key).expect("a file")),
            ("another's root", &|| fs::write(&files.root, &other.root).expect("a file")),
            ("29 days left", &|| files.write(folder, &lasts(DAY * 29)).expect("files")),
        ];
        for (what, spoil) in spoilt {
            spoil();
            let anew = kept(folder, &[]);
            assert_ne!(anew, root, "{what}");
            assert_eq!(kept(folder, &[]), anew, "{what}: it is good now");
            root = anew;
        }
        let young = lasts(DAY * 31);
        files.write(folder, &young).expect("files");
        assert_eq!(kept(folder, &[]), young.root);
    }

    fn root_half(files: &Files) -> Vec<u8> {
        let mut root = fs::read(&files.root).expect("a file");
        root.truncate(root.len() / 2);
        root
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_named() {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("file");
        fs::write(&file, "").expect("a file");
        for folder in [file.clone(), file.join("below")] {
            let error = Identity::kept_in(&folder, &[]).expect_err("no folder").to_string();
            assert!(error.contains(&*file.to_string_lossy()), "{error}");
        }
        fs::create_dir(home.path().join("ca.pem")).expect("a folder");
        let error = Identity::kept_in(home.path(), &[]).expect_err("no file").to_string();
        assert!(error.contains("cannot read") && error.contains("ca.pem"), "{error}");
        let error = Identity::kept_in(home.path(), &["a b".into()]).expect_err("no file");
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_its_owners_alone_also_where_others_could_read_the_old_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key.pem");
        fs::write(&key, "old").expect("a file");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("a mode");
        kept(folder.path(), &[]);
        assert_eq!(fs::metadata(&key).expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_identity_is_refused_by_name() {
        let pem = Pem::new(&[]).expect("a certificate");
        let other = Pem::new(&[]).expect("a certificate");
        for (chain, key, expected) in [
            ("", pem.key.as_str(), "no PEM certificate"),
            (pem.chain.as_str(), "", "no PEM private key"),
            (pem.chain.as_str(), other.key.as_str(), "cannot be used together"),
        ] {
            let error = Identity::from_pem(chain.as_bytes(), key.as_bytes()).expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
