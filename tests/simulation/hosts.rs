//! Hosts: where the service's name leads: to one host, and each time that it moves, to the other.

use std::sync::{Arc, Mutex};

use genai_bridge::emulator::{Emulator, Received};
use tokio::time::Instant;

use crate::wire::End;

/// Two hosts of one service.
pub(crate) struct Hosts {
    hosts: [Emulator; 2],
    /// From when on the name leads to the other one.
    moves: Mutex<Vec<Instant>>,
}

impl Hosts {
    pub(crate) fn new(begin: impl Fn() -> Emulator) -> Arc<Self> {
        Arc::new(Self { hosts: [begin(), begin()], moves: Mutex::default() })
    }

    pub(crate) fn all(&self) -> &[Emulator] {
        &self.hosts
    }

    /// The name leads to the other host from then on; open connections stay where they are.
    pub(crate) fn move_at(&self, at: Instant) {
        self.moves.lock().expect("no panic").push(at);
    }

    /// Takes a connection to whom the name leads now.
    pub(crate) fn serve(&self, stream: End) {
        let now = Instant::now();
        let moves = self.moves.lock().expect("no panic").iter().filter(|at| **at <= now).count();
        self.hosts[moves % 2].serve(stream);
    }

    /// What reached both, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        let mut received: Vec<Received> = self.hosts.iter().flat_map(Emulator::received).collect();
        received.sort_by_key(Received::at);
        received
    }
}
