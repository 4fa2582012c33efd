//! Socket file: a Unix socket in the file system: made for one user, put in the place of one that
//! nobody listens to, and removed at the end.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;
use tokio::net::UnixListener;

/// The file of a socket that this process listens on. Dropping it removes the file, if it is still
/// the same.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number on it.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens on a socket at `path`, which only this user may open.
    ///
    /// # Errors
    /// Somebody listens there, or something that is no socket has the name.
    pub(super) fn listen(path: &Path) -> io::Result<(UnixListener, Self)> {
        // A longer path is refused here: a client could not call it.
        SockAddr::unix(path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::metadata(folder.unwrap_or(Path::new(".")))?;
        // Made where nobody else may look, so that it is never open to others.
        let own = tempfile::Builder::new()
            .prefix(".")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(folder.unwrap_or(Path::new(".")))?;
        let made = own.path().join("s");
        let listener = UnixListener::bind(&made)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        let identity = identity_of(&fs::symlink_metadata(&made)?);
        // A second name for it, which takes no other's place; the first one goes with its folder.
        loop {
            match fs::hard_link(&made, path) {
                Ok(()) => return Ok((listener, Self { path: path.to_owned(), identity })),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            remove_stale(path, &own)?;
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| identity_of(&metadata) == self.identity);
        if is_ours {
            // Whoever starts next would replace it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Takes the socket at `path` away, if nobody listens to it.
fn remove_stale(path: &Path, own: &TempDir) -> io::Result<()> {
    refuse_all_but_stale(path)?;
    // Another process may have put its own there since, so it is looked at once more where nobody
    // else can change it.
    let aside = own.path().join("old");
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        moved => moved?,
    }
    let Err(in_use) = refuse_all_but_stale(&aside) else { return fs::remove_file(aside) };
    fs::hard_link(&aside, path)?;
    Err(in_use)
}

fn refuse_all_but_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        let what = "there is a file of this name that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    client.set_nonblocking(true)?;
    match client.connect(&SockAddr::unix(path)?).map_err(|error| (error.kind(), error)) {
        Err((io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound, _)) => Ok(()),
        // Its listener has more to accept than fits in its queue.
        Ok(()) | Err((io::ErrorKind::WouldBlock, _)) => {
            let what = "another process listens on this socket";
            Err(io::Error::new(io::ErrorKind::AddrInUse, what))
        }
        // It may be another user's.
        Err((_, error)) => Err(error),
    }
}

fn identity_of(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn is_empty(folder: &TempDir) -> bool {
        fs::read_dir(folder.path()).expect("a folder").next().is_none()
    }

    #[tokio::test]
    async fn only_its_user_may_open_it_and_it_goes_in_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bridge.sock");
        let (_listener, file) = SocketFile::listen(&path).expect("a socket");
        let mode = fs::symlink_metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).expect("somebody listens");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        drop(file);
        assert!(is_empty(&folder));
    }

    #[tokio::test]
    async fn only_a_socket_that_nobody_listens_to_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bridge.sock");
        let (listener, file) = SocketFile::listen(&path).expect("a socket");
        let in_use = SocketFile::listen(&path).expect_err("in use");
        assert_eq!(in_use.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).expect("it was left alone");
        // As after a crash: the file is there, and nobody behind it.
        drop(listener);
        let (_listener, next) = SocketFile::listen(&path).expect("replaced");
        UnixStream::connect(&path).expect("somebody listens");
        // The one before ends late, and leaves what is not its own.
        drop(file);
        UnixStream::connect(&path).expect("somebody listens");
        drop(next);
        assert!(is_empty(&folder));
    }

    #[tokio::test]
    async fn a_listener_whose_queue_is_full_is_in_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bridge.sock");
        let busy = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        busy.bind(&SockAddr::unix(&path).expect("a path")).expect("a free name");
        busy.listen(0).expect("a listener");
        let waiting = UnixStream::connect(&path).expect("room for one");
        let in_use = SocketFile::listen(&path).expect_err("in use");
        assert_eq!(in_use.kind(), io::ErrorKind::AddrInUse);
        drop(waiting);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "text").expect("a file");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        for place in [&path, &link, &folder.path().to_owned()] {
            SocketFile::listen(place).expect_err("no socket");
        }
        assert_eq!(fs::read_to_string(&path).expect("a file"), "text");
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        SocketFile::listen(&folder.path().join("none/bridge.sock")).expect_err("no folder");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }

    #[tokio::test]
    async fn of_many_that_start_at_once_over_a_stale_socket_one_listens() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bridge.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
        let start = || {
            let path = path.clone();
            tokio::task::spawn_blocking(move || SocketFile::listen(&path).ok())
        };
        let mut listening = Vec::new();
        for starting in (0..16).map(|_| start()).collect::<Vec<_>>() {
            listening.extend(starting.await.expect("no panic"));
        }
        assert_eq!(listening.len(), 1);
        UnixStream::connect(&path).expect("somebody listens");
        drop(listening);
        assert!(is_empty(&folder));
    }
}
