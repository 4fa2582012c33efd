//! Shared: what the connections of a hostile proxy share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::dial::Dial;
use super::fault::Fault;
use super::stages::Http;
use super::tally::Tally;
use crate::emulator::Authority;
use crate::emulator::tasks::Tasks;

/// What the connections of a proxy share.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) authority: Authority,
    /// The value of `Proxy-Authorization`.
    pub(super) login: Option<String>,
    pub(super) dial: Dial,
    pub(super) idle_limit: Duration,
    /// Paths that no fault of single requests hits.
    pub(super) spared: Vec<Box<str>>,
    pub(super) fault: Mutex<Fault>,
    pub(super) tally: Tally,
    /// What becomes of requests on each open connection.
    pub(super) open: Mutex<Vec<Weak<Mutex<Http>>>>,
    pub(super) tasks: Tasks,
}

impl Proxy {
    pub(super) fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of requests on a new connection; [`set_live`](super::HostileProxy::set_live)
    /// may change it.
    pub(super) fn register(&self, http: Http) -> Arc<Mutex<Http>> {
        let http = Arc::new(Mutex::new(http));
        let mut open = self.open();
        open.retain(|open| open.strong_count() > 0);
        open.push(Arc::downgrade(&http));
        http
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Vec<Weak<Mutex<Http>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
