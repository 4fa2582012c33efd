//! Source: where the bytes of an upload come from, and the piece of them that is in hand.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::Error;

/// What is uploaded.
pub(crate) enum Source {
    Path(PathBuf),
    Bytes(Bytes),
    Reader { reader: Pin<Box<dyn AsyncRead + Send>>, length: Option<u64> },
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl Source {
    /// The name of the file, if it is one.
    pub(super) fn file_name(&self) -> Option<String> {
        match self {
            Self::Path(path) => Some(path.file_name()?.to_string_lossy().into_owned()),
            Self::Bytes(_) | Self::Reader { .. } => None,
        }
    }

    /// # Errors
    /// The file cannot be read.
    pub(super) async fn open(self) -> Result<Pieces, Error> {
        let (reader, length): (Pin<Box<dyn AsyncRead + Send>>, _) = match self {
            Self::Bytes(bytes) => {
                let length = bytes.len() as u64;
                (Box::pin(io::Cursor::new(bytes)), Some(length))
            }
            Self::Reader { reader, length } => (reader, length),
            Self::Path(path) => {
                let refuse = |error: io::Error| {
                    Error::invalid_request(format!("cannot read {}", path.display()))
                        .with_source(error)
                        .with_remedy("check the path, and that this user may read the file")
                };
                let file = File::open(&path).await.map_err(refuse)?;
                let metadata = file.metadata().await.map_err(refuse)?;
                if metadata.is_dir() {
                    return Err(refuse(io::ErrorKind::IsADirectory.into()));
                }
                (Box::pin(file), Some(metadata.len()))
            }
        };
        let (held, ahead) = (Bytes::new(), BytesMut::new());
        Ok(Pieces { reader, length, held, ahead, has_ended: false, read: 0 })
    }
}

/// The bytes that are read and not yet known to have arrived; a piece and one byte more, at most.
pub(super) struct Pieces {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    pub(super) length: Option<u64>,
    /// The front of what is in hand.
    held: Bytes,
    ahead: BytesMut,
    has_ended: bool,
    /// All bytes that came from the reader.
    read: u64,
}

impl Pieces {
    /// The next piece of at most `size` bytes, and whether it is the last one. What is not the last
    /// has `size` bytes.
    ///
    /// # Errors
    /// The source breaks off, or has fewer or more bytes than it said.
    pub(super) async fn next(&mut self, size: usize) -> Result<(Bytes, bool), Error> {
        self.read_ahead(size).await?;
        let in_hand = self.held.len() + self.ahead.len();
        let is_last = self.has_ended && in_hand <= size;
        let length = in_hand.min(size);
        if self.held.len() < length {
            let mut joined = BytesMut::with_capacity(length);
            joined.extend_from_slice(&self.held);
            joined.extend_from_slice(&self.ahead.split_to(length - self.held.len()));
            // What came before is copied only where a break left a part of it.
            self.held = joined.freeze();
        }
        Ok((self.held.slice(..length), is_last))
    }

    /// So many bytes have arrived: they are given up.
    pub(super) fn advance(&mut self, length: usize) {
        drop(self.held.split_to(length.min(self.held.len())));
    }

    /// Reads until there is more than a piece, or no more: only then is it known which one is the
    /// last.
    async fn read_ahead(&mut self, size: usize) -> Result<(), Error> {
        while !self.has_ended && self.held.len() + self.ahead.len() <= size {
            let room = size + 1 - self.held.len() - self.ahead.len();
            if self.ahead.is_empty() {
                self.ahead.reserve(room);
            }
            let mut limited = self.reader.as_mut().take(room as u64);
            let read = limited.read_buf(&mut self.ahead).await.map_err(|error| {
                Error::invalid_request("the source of the upload cannot be read").with_source(error)
            })?;
            self.read += read as u64;
            self.has_ended = read == 0;
        }
        self.check_length()
    }

    fn check_length(&self) -> Result<(), Error> {
        let read = self.read;
        let Some(length) = self.length else { return Ok(()) };
        if read > length || (self.has_ended && read < length) {
            let found = if read > length { "more" } else { "fewer" };
            let text =
                format!("the source of the upload was to have {length} bytes, and has {found}");
            return Err(Error::invalid_request(text));
        }
        Ok(())
    }
}
