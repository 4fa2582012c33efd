//! Connections: dialled one at a time, added under load, retired when idle or told to go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Notify, SetOnce};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, ErrorKind};
use crate::network::{Alpn, Network, Origin, PerRuntime};
use crate::transport::carrier::http2::Http2Settings;
use crate::transport::carrier::http2::connection::{Connection, Seat};

/// Every connection to one origin, of each runtime by itself. Dropping it ends its tasks; calls in
/// flight finish.
pub(crate) struct Connections {
    network: Network,
    origin: Origin,
    settings: Http2Settings,
    pools: PerRuntime<Pool>,
}

/// The connections that one runtime drives.
struct Pool {
    network: Network,
    origin: Origin,
    settings: Http2Settings,
    list: Mutex<List>,
    /// Woken when a connection stops taking calls.
    changed: Arc<Notify>,
}

#[derive(Default)]
struct List {
    open: Vec<Arc<Connection>>,
    dials: Vec<PendingDial>,
    dials_started: u64,
    keeper: Option<AbortHandle>,
    /// The dials under way and the keeper, aborted with the list.
    tasks: JoinSet<()>,
}

struct PendingDial {
    number: u64,
    /// Calls that count on it; at most as many as the connection will carry.
    joined: usize,
    outcome: Outcome,
}

type Dialled = Result<Arc<Connection>, Arc<Error>>;
type Outcome = Arc<SetOnce<Dialled>>;

/// Tells those who wait for a dial, in their order, how it ended: also where its task goes with its
/// runtime.
struct Dial(Outcome);

impl Drop for Dial {
    fn drop(&mut self) {
        if !self.0.initialized() {
            let ended = "the runtime that opened the connection has ended";
            // Nobody else tells it.
            let _ = self.0.set(Err(Arc::new(Error::new(ErrorKind::Connect, ended))));
        }
    }
}

impl Connections {
    pub(crate) fn new(network: Network, origin: Origin, settings: Http2Settings) -> Self {
        Self { network, origin, settings, pools: PerRuntime::default() }
    }

    /// Waits until a connection stands whose peer speaks HTTP/2.
    ///
    /// # Errors
    /// No connection came about.
    pub(crate) async fn connect(&self) -> Result<(), Error> {
        self.pool().await.connect().await
    }

    /// A place on a connection for one call: on one that stands, or on one that is dialled for it.
    /// Only a connection that opened after `younger_than` will do.
    ///
    /// # Errors
    /// There is no connection, and none came about; nothing was sent.
    pub(crate) async fn take_seat(&self, younger_than: Option<Instant>) -> Result<Seat, Error> {
        self.pool().await.take_seat(younger_than).await
    }

    /// How many connections take calls.
    pub(crate) fn count(&self) -> usize {
        self.pools.all().iter().map(|pool| pool.count()).sum()
    }

    /// Takes no further calls on the connections that stand or are being dialled. Those that wait
    /// for one of them still get it.
    pub(crate) fn forget(&self) {
        self.pools.clear();
    }

    /// How failures name the service, as the network is now.
    pub(crate) fn hop(&self) -> String {
        self.network.hop(&self.origin)
    }

    /// That of the runtime which drives the caller.
    async fn pool(&self) -> Arc<Pool> {
        let make = || Pool::new(self.network.clone(), self.origin.clone(), self.settings.clone());
        self.pools.up_to_date(make).await
    }
}

impl Pool {
    fn new(network: Network, origin: Origin, settings: Http2Settings) -> Self {
        let (list, changed) = Default::default();
        Self { network, origin, settings, list, changed }
    }

    async fn connect(self: &Arc<Self>) -> Result<(), Error> {
        let pending = {
            let mut list = self.list();
            if list.open.iter().any(|connection| !connection.is_closing()) {
                return Ok(());
            }
            self.join_dial(&mut list)
        };
        match pending.wait().await {
            Ok(connection) if connection.is_closing() => Err(connection.fault_before_use()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.repeat()),
        }
    }

    async fn take_seat(self: &Arc<Self>, younger_than: Option<Instant>) -> Result<Seat, Error> {
        let limit = self.settings.calls_per_connection;
        loop {
            let found = {
                let mut list = self.list();
                let seat = list.take_seat(limit, younger_than);
                seat.ok_or_else(|| self.join_dial(&mut list))
            };
            let pending = match found {
                Ok(seat) => {
                    if seat.is_trusted().await {
                        return Ok(seat);
                    }
                    continue;
                }
                Err(pending) => pending,
            };
            match pending.wait().await {
                Ok(connection) if connection.is_closing() => {
                    return Err(connection.fault_before_use());
                }
                Ok(connection) => {
                    if let Some(seat) = connection.take_seat(limit) {
                        return Ok(seat);
                    }
                }
                Err(error) => return self.crowd(error, younger_than),
            }
        }
    }

    fn count(&self) -> usize {
        self.list().open.iter().filter(|connection| !connection.is_closing()).count()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins a dial that still has room for this call, or starts one.
    fn join_dial(self: &Arc<Self>, list: &mut List) -> Outcome {
        while list.tasks.try_join_next().is_some() {}
        // The task of one may have died with its runtime.
        list.dials.retain(|dial| !dial.outcome.initialized());
        let limit = self.settings.calls_per_connection;
        if let Some(dial) = list.dials.iter_mut().find(|dial| dial.joined < limit) {
            dial.joined += 1;
            return Arc::clone(&dial.outcome);
        }
        let outcome = Outcome::default();
        let tell = Dial(Arc::clone(&outcome));
        list.dials_started += 1;
        let number = list.dials_started;
        list.dials.push(PendingDial { number, joined: 1, outcome: Arc::clone(&outcome) });
        let dialled = open(self);
        let pool = Arc::downgrade(self);
        list.tasks.spawn(async move {
            let dialled = dialled.await.map_err(Arc::new);
            if let Some(pool) = pool.upgrade() {
                pool.end_dial(number, &dialled);
            }
            // It is told once.
            let _ = tell.0.set(dialled);
        });
        outcome
    }

    fn end_dial(self: &Arc<Self>, number: u64, dialled: &Dialled) {
        let mut list = self.list();
        list.dials.retain(|dial| dial.number != number);
        let Ok(connection) = dialled else { return };
        list.open.push(Arc::clone(connection));
        if list.keeper.as_ref().is_none_or(AbortHandle::is_finished) {
            let keeper = keep(Arc::downgrade(self), Arc::clone(&self.changed));
            list.keeper = Some(list.tasks.spawn(keeper));
        }
    }

    /// No further connection could be had: shares a full one, where the call waits its turn, and
    /// fails only when none is left.
    fn crowd(&self, error: &Arc<Error>, younger_than: Option<Instant>) -> Result<Seat, Error> {
        let list = self.list();
        let emptiest = list
            .open
            .iter()
            .filter(|connection| !connection.is_closing() && connection.is_younger(younger_than))
            .min_by_key(|connection| connection.in_flight());
        emptiest.map(Connection::take_any_seat).ok_or_else(|| error.repeat())
    }

    /// Lets go of connections that are closing or idle too long; tells when to look again.
    fn sweep(&self) -> Option<Instant> {
        let now = Instant::now();
        let idle_limit = self.settings.idle_limit;
        let mut list = self.list();
        let mut next: Option<Instant> = None;
        list.open.retain(|connection| {
            let expiry = connection.idle_since().unwrap_or(now) + idle_limit;
            let stays = !connection.is_closing() && expiry > now;
            if stays {
                next = Some(next.map_or(expiry, |earliest| earliest.min(expiry)));
            }
            stays
        });
        if next.is_none() {
            list.keeper = None;
        }
        next
    }
}

impl List {
    /// The fullest connection with room, so that the others fall idle and are retired.
    fn take_seat(&self, limit: usize, younger_than: Option<Instant>) -> Option<Seat> {
        self.open
            .iter()
            .filter(|connection| connection.has_room(limit) && connection.is_younger(younger_than))
            .max_by_key(|connection| connection.in_flight())
            .and_then(|connection| connection.take_seat(limit))
    }
}

/// Dials and opens one connection, holding nothing of the list.
fn open(pool: &Pool) -> impl Future<Output = Result<Arc<Connection>, Error>> + use<> {
    let (network, origin) = (pool.network.clone(), pool.origin.clone());
    let settings = pool.settings.clone();
    let changed = Arc::clone(&pool.changed);
    async move {
        let started = Instant::now();
        let dialled = network.connect(&origin, Alpn::Http2).await?;
        let limit = settings.wait_for_settings(started.elapsed());
        Connection::open(dialled, limit, &settings, changed, network.drivers()).await
    }
}

/// Sweeps the list until no connection is left in it.
async fn keep(pool: Weak<Pool>, changed: Arc<Notify>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.sweep()) {
        tokio::select! {
            biased;
            () = changed.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}
