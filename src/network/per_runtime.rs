//! Per runtime: what a tokio runtime drives belongs to it, and goes with it.
//!
//! The task, the socket and the timers of a connection live on the runtime that opened it. A call
//! of another runtime would wait until somebody drives the first one, perhaps for ever: with a
//! runtime for each thread, nobody does so between the calls of that thread.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};

/// One `T` for each runtime that has asked for it; dropped when its runtime ends.
pub(crate) struct PerRuntime<T>(Arc<Mutex<Vec<Tenant<T>>>>);

struct Tenant<T> {
    runtime: Id,
    value: Arc<T>,
    /// When somebody of this runtime asked last.
    asked: Instant,
    resident: Option<Resident>,
}

impl<T> Tenant<T> {
    fn is_of(&self, value: &Weak<T>) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.value), value.as_ptr())
    }
}

/// A task that does nothing: it is dropped when its runtime ends.
struct Resident(AbortHandle);

impl Drop for Resident {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Who asks again within this time finds its connections as they are.
const FRESH: Duration = Duration::from_millis(10);

/// # Errors
/// There is no runtime that could drive what the caller begins.
pub(crate) fn require_runtime() -> Result<(), Error> {
    let why = "there is no tokio runtime here: a bridge is used inside of one";
    Handle::try_current().map(drop).map_err(|_| Error::new(ErrorKind::Configuration, why))
}

impl<T> Default for PerRuntime<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> fmt::Debug for PerRuntime<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PerRuntime").field(&lock(&self.0).len()).finish()
    }
}

impl<T: Send + Sync + 'static> PerRuntime<T> {
    /// What belongs to the caller's runtime; made when it asks for the first time.
    pub(crate) fn here(&self, make: impl FnOnce() -> T) -> Arc<T> {
        self.find(make).0
    }

    /// The same, once the runtime has looked at its sockets and timers. If nobody drove it for a
    /// while, a connection that the peer has closed meanwhile looks open until then.
    pub(crate) async fn up_to_date(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let (value, is_fresh) = self.find(make);
        if !is_fresh {
            // At the first one the runtime polls its sockets, by the second one their tasks have
            // run.
            yield_now().await;
            yield_now().await;
            self.note_asked();
        }
        value
    }

    /// Those of all runtimes.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        lock(&self.0).iter().map(|tenant| Arc::clone(&tenant.value)).collect()
    }

    /// Lets go of all; who asks next gets a new one.
    pub(crate) fn clear(&self) {
        let gone = std::mem::take(&mut *lock(&self.0));
        // Not under the lock: what is let go of may end tasks.
        drop(gone);
    }

    /// Also says whether this runtime has asked just before.
    fn find(&self, make: impl FnOnce() -> T) -> (Arc<T>, bool) {
        let (runtime, now) = (Handle::current(), Instant::now());
        let mut tenants = lock(&self.0);
        if let Some(tenant) = tenants.iter_mut().find(|tenant| tenant.runtime == runtime.id()) {
            let is_fresh = now < tenant.asked + FRESH;
            if is_fresh {
                tenant.asked = now;
            }
            return (Arc::clone(&tenant.value), is_fresh);
        }
        let value = Arc::new(make());
        let tenant =
            Tenant { runtime: runtime.id(), value: Arc::clone(&value), asked: now, resident: None };
        tenants.push(tenant);
        drop(tenants);
        self.watch(&runtime, &value);
        (value, true)
    }

    fn note_asked(&self) {
        let runtime = Handle::current().id();
        if let Some(tenant) = lock(&self.0).iter_mut().find(|tenant| tenant.runtime == runtime) {
            tenant.asked = Instant::now();
        }
    }

    /// A runtime that is shutting down drops the task at once, so the lock is not held here.
    fn watch(&self, runtime: &Handle, value: &Arc<T>) {
        let value = Arc::downgrade(value);
        let end = End { tenants: Arc::downgrade(&self.0), value: Weak::clone(&value) };
        let task = runtime.spawn(async move {
            let _end = end;
            pending::<()>().await;
        });
        let resident = Resident(task.abort_handle());
        if let Some(tenant) = lock(&self.0).iter_mut().find(|tenant| tenant.is_of(&value)) {
            tenant.resident = Some(resident);
        }
    }
}

/// Tells the end of a runtime by being dropped.
struct End<T> {
    tenants: Weak<Mutex<Vec<Tenant<T>>>>,
    /// Whose end it is: the same runtime may have another tenant by now.
    value: Weak<T>,
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        let Some(tenants) = self.tenants.upgrade() else { return };
        let mut tenants = lock(&tenants);
        let place = tenants.iter().position(|tenant| tenant.is_of(&self.value));
        let gone = place.map(|place| tenants.swap_remove(place));
        drop(tenants);
        drop(gone);
    }
}

/// Holds plain values: a panic elsewhere spoils nothing.
fn lock<T>(tenants: &Mutex<Vec<Tenant<T>>>) -> MutexGuard<'_, Vec<Tenant<T>>> {
    tenants.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    #[test]
    fn each_runtime_has_its_own() {
        let (first, second) = (runtime(), runtime());
        let numbers = PerRuntime::default();
        for _ in 0..2 {
            assert_eq!(*first.block_on(async { numbers.here(|| 1) }), 1);
            assert_eq!(*second.block_on(async { numbers.up_to_date(|| 2).await }), 2);
        }
        assert_eq!(numbers.all().len(), 2);
    }

    #[test]
    fn what_belonged_to_a_runtime_that_has_ended_is_gone() {
        let numbers = PerRuntime::default();
        let (first, second) = (runtime(), runtime());
        let kept = first.block_on(async { numbers.here(|| 1) });
        second.block_on(async { numbers.here(|| 2) });
        drop(first);
        assert_eq!(Arc::strong_count(&kept), 1);
        assert_eq!(numbers.all().iter().map(|number| **number).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_is_asked_for_after_all_was_let_go_of_stays() {
        let runtime = runtime();
        let numbers = PerRuntime::default();
        runtime.block_on(async {
            for number in 0..3 {
                let first = numbers.here(|| number);
                // The task of the one before ends while this one is in use.
                yield_now().await;
                assert!(Arc::ptr_eq(&first, &numbers.here(|| 10)));
                numbers.clear();
            }
        });
        assert!(numbers.all().is_empty());
    }

    #[test]
    fn it_leaves_no_task_behind_on_a_runtime_that_goes_on() {
        let runtime = runtime();
        let numbers = PerRuntime::default();
        runtime.block_on(async { numbers.here(|| 1) });
        assert_eq!(runtime.metrics().num_alive_tasks(), 1);
        drop(numbers);
        runtime.block_on(async {
            while Handle::current().metrics().num_alive_tasks() > 0 {
                yield_now().await;
            }
        });
    }
}
