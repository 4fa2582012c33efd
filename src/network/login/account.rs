//! Account: the login at one proxy: the schemes that may be used, strongest first, and what was
//! learnt.

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

use super::custom::Custom;
use super::digest::Digest;
use super::memory::{Memory, Standing};
use super::negotiate::Negotiate;
use super::password::Password;
use super::scheme::Scheme;

/// The login at one proxy: the schemes that may be used, strongest first, and what was learnt.
#[derive(Debug, Default)]
pub(crate) struct Login {
    pub(super) schemes: Vec<Scheme>,
    pub(super) memory: Memory,
    /// Held by the dial that finds out whether the login is good.
    turn: Mutex<()>,
    /// What a page of the proxy must not repeat.
    pub(super) password: Option<Password>,
}

impl Login {
    /// With these logins: the program's own, then Kerberos at the host of that name, then user and
    /// password.
    pub(crate) fn new(
        custom: Vec<Custom>,
        kerberos: Option<&str>,
        password: Option<Password>,
    ) -> Self {
        let mut schemes: Vec<_> = custom.into_iter().map(Scheme::Custom).collect();
        schemes.extend(kerberos.and_then(Negotiate::new).map(Scheme::Negotiate));
        schemes.extend(password.as_ref().and_then(Digest::new).map(Scheme::Digest));
        schemes.extend(password.as_ref().and_then(Password::basic).map(Scheme::Basic));
        Self { schemes, password, ..Self::default() }
    }

    /// Whether there is anything to log in with.
    pub(crate) fn is_given(&self) -> bool {
        !self.schemes.is_empty()
    }

    /// `None` where the login is known to be good, or none will be sent. Whoever waits until the
    /// deadline goes on without: nothing is left of its time.
    pub(super) async fn turn(&self, deadline: Instant) -> Option<MutexGuard<'_, ()>> {
        if self.is_good() || !self.is_given() || self.memory.holds_back(Instant::now()) {
            return None;
        }
        let turn = timeout_at(deadline, self.turn.lock()).await.ok();
        turn.filter(|_| !self.is_good())
    }

    /// What the last dial met here, for a person; `None` if the proxy asked for nothing.
    pub(crate) async fn describe(&self) -> Option<String> {
        let (offered, passed_over) = self.memory.noted();
        if offered.is_empty() {
            return None;
        }
        let mut told = vec![format!("it offers {}", offered.join(", "))];
        // What keeps the login from coming about is told by its error.
        if let Standing::Opened(Some(place)) = self.memory.standing() {
            told.extend(passed_over.iter().map(|why| format!("not used: {why}")));
            let used = self.schemes.get(place).map_or("", Scheme::name);
            told.push(format!("{used} is the strongest of them that may be used, and is accepted"));
        }
        for scheme in &self.schemes {
            if let Scheme::Negotiate(negotiate) = scheme {
                told.extend(negotiate.describe(&passed_over).await);
            }
        }
        Some(told.join("; "))
    }

    fn is_good(&self) -> bool {
        matches!(self.memory.standing(), Standing::Opened(_))
    }
}
