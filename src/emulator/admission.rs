//! Admission: who is let in, where a test decides that by the headers of a call.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use tonic::Status;

/// Everybody, until a test decides.
#[derive(Default)]
pub(super) struct Admission(Mutex<Option<Arc<Admit>>>);

type Admit = dyn Fn(&HeaderMap) -> Result<(), Status> + Send + Sync;

impl Admission {
    pub(super) fn set(
        &self,
        admit: impl Fn(&HeaderMap) -> Result<(), Status> + Send + Sync + 'static,
    ) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(admit));
    }

    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Status> {
        let admit = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        admit.map_or(Ok(()), |admit| admit(headers))
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission")
    }
}
