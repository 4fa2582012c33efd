//! Author: answers each call by its method and its message, where none is laid down.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::script::Reply;

/// Nobody, until a test names one.
#[derive(Default)]
pub(super) struct Author(Mutex<Option<Arc<Write>>>);

type Write = dyn Fn(&str, &Bytes) -> Option<Reply> + Send + Sync;

impl Author {
    pub(super) fn set(
        &self,
        write: impl Fn(&str, &Bytes) -> Option<Reply> + Send + Sync + 'static,
    ) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(write));
    }

    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn answer(&self, method: &str, message: &Bytes) -> Option<Reply> {
        let write = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        write(method, message)
    }
}

impl fmt::Debug for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Author")
    }
}
