//! Pool: the connections that one runtime drives. A call takes an idle one, or whichever comes
//! first: one that falls idle, or a new one.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::connection::{Connection, Dialler};
use super::idle::{Idle, Reusable};
use crate::error::{Error, ErrorKind};

/// The connections of one runtime to one origin. Dropping it closes the idle ones; calls in flight
/// finish.
pub(super) struct Pool {
    dialler: Arc<Dialler>,
    /// How failures name the service, behind the proxy of these connections.
    hop: Arc<str>,
    /// One for each HTTP/1.1 connection; one of HTTP/2 carries many calls and needs none.
    permits: Arc<Semaphore>,
    runtime: Handle,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    idle: Idle<Connection>,
    keeper: Option<AbortOnDropHandle<()>>,
}

/// A connection for one exchange. Dropped before its end, it closes: over HTTP/1.1 nothing else
/// cancels an exchange.
pub(super) struct Loan {
    pub(super) connection: Connection,
    pool: Weak<Pool>,
}

/// A call's place among those that wait. A connection that was given to it at the last moment is
/// given to the next one.
struct Waiting<'p> {
    connection: oneshot::Receiver<Connection>,
    pool: &'p Arc<Pool>,
}

impl Pool {
    /// For the caller's runtime.
    pub(super) fn new(dialler: Dialler, hop: Arc<str>) -> Self {
        let limit = dialler.places.limit.clamp(1, Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(limit));
        let dialler = Arc::new(dialler);
        Self { dialler, hop, permits, runtime: Handle::current(), list: Mutex::default() }
    }

    pub(super) fn hop(&self) -> &Arc<str> {
        &self.hop
    }

    /// A connection that takes a request.
    ///
    /// # Errors
    /// There is none, and no new one came about.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Loan, Error> {
        let found = self.list().idle.take(Instant::now());
        let connection = match found {
            Ok(connection) => connection,
            // Boxed: most calls find one, and need not move what waiting takes.
            Err(connection) => Box::pin(self.wait(connection)).await?,
        };
        Ok(Loan { connection, pool: Arc::downgrade(self) })
    }

    async fn wait(
        self: &Arc<Self>,
        connection: oneshot::Receiver<Connection>,
    ) -> Result<Connection, Error> {
        let mut waiting = Waiting { connection, pool: self };
        let permit = tokio::select! {
            biased;
            Ok(connection) = &mut waiting.connection => return Ok(connection),
            permit = self.permit() => permit?,
        };
        let dialler = Arc::clone(&self.dialler);
        let mut dial = Box::pin(async move { dialler.dial(permit).await });
        tokio::select! {
            biased;
            Ok(connection) = &mut waiting.connection => {
                // The dial goes on, for a call to come.
                let pool = Arc::downgrade(self);
                self.dialler.network.drivers().spawn(async move {
                    if let (Ok(connection), Some(pool)) = (dial.await, pool.upgrade()) {
                        pool.take_back(connection);
                    }
                });
                Ok(connection)
            }
            opened = &mut dial => opened.inspect(|connection| {
                connection.share().into_iter().for_each(|shared| self.put(shared));
            }),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        self.dialler.places.note_queued();
        let closed = |_| Error::new(ErrorKind::Connect, "there are no connections any more");
        Arc::clone(&self.permits).acquire_owned().await.map_err(closed)
    }

    fn put(self: &Arc<Self>, mut connection: Connection) {
        connection.is_reused = true;
        let mut list = self.list();
        list.idle.put(connection, Instant::now());
        if list.keeper.is_none() {
            let keeper = self.runtime.spawn(keep(Arc::downgrade(self)));
            list.keeper = Some(AbortOnDropHandle::new(keeper));
        }
    }

    /// The end of an answer may be read before the connection's own task has noticed it.
    fn take_back(self: &Arc<Self>, mut connection: Connection) {
        if connection.is_ready() {
            self.put(connection);
        } else if !connection.is_closed() {
            let pool = Arc::downgrade(self);
            let waiting = async move {
                let is_ready = poll_fn(|context| connection.poll_ready(context)).await;
                if let Some(pool) = pool.upgrade().filter(|_| is_ready) {
                    pool.put(connection);
                }
            };
            self.dialler.network.drivers().spawn_on(waiting, &self.runtime);
        }
    }

    fn sweep(&self) -> Option<Instant> {
        let mut list = self.list();
        let next = list.idle.sweep(Instant::now());
        if next.is_none() {
            list.keeper = None;
        }
        next
    }

    /// A panic elsewhere spoils nothing: the list is whole between its calls.
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what is idle for too long, until nothing is.
async fn keep(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.sweep()) {
        sleep_until(next).await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.connection.close();
        if let Ok(connection) = self.connection.try_recv() {
            self.pool.put(connection);
        }
        self.pool.list().idle.forget_calls();
    }
}

impl Loan {
    /// The exchange has ended. The connection goes back to its pool once it takes the next request,
    /// unless it closes.
    pub(super) fn end(self) {
        // One that carries many requests never left.
        if let Some(pool) = self.pool.upgrade().filter(|_| !self.connection.is_http2()) {
            pool.take_back(self.connection);
        }
    }
}
