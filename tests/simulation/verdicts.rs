//! Verdicts: what the bridge holds against gRPC, watched while a world runs.

use std::sync::{Arc, Mutex};

use genai_bridge::emulator::Received;
use genai_bridge::{ActiveTransport, Bridge, Symptom, SymptomKind};
use tokio::time::Instant;

use crate::hosts::Hosts;

/// One verdict against all of gRPC.
#[derive(Debug, Clone)]
pub(crate) struct SeenVerdict {
    pub(crate) began: Instant,
    pub(crate) ended: Option<Instant>,
    /// When gRPC carried the calls for the last time before: from, and to.
    pub(crate) grpc: Option<(Instant, Instant)>,
    /// The how manieth in a row it is, as the bridge says when it begins.
    pub(crate) row: u32,
    pub(crate) kind: Option<SymptomKind>,
    pub(crate) text: String,
    /// No request over REST had reached the service.
    pub(crate) is_rash: bool,
}

/// Keeps the verdicts of this bridge, each when it begins and when it ends.
pub(crate) async fn watch(
    bridge: Bridge,
    hosts: Arc<Hosts>,
    verdicts: Arc<Mutex<Vec<SeenVerdict>>>,
) {
    let mut changes = bridge.watch();
    let (mut on_grpc, mut was_on_grpc) = (None, None);
    while changes.changed().await.is_ok() {
        let state = changes.borrow_and_update().clone();
        let is_verdict = state.transport() == Some(ActiveTransport::Rest);
        if let Some(since) = on_grpc.take() {
            was_on_grpc = Some((since, state.since()));
        }
        on_grpc = (state.transport() == Some(ActiveTransport::Grpc)).then(|| state.since());
        let mut verdicts = verdicts.lock().expect("no panic");
        let open = verdicts.last_mut().filter(|verdict| verdict.ended.is_none());
        match (open, is_verdict) {
            (Some(verdict), false) => verdict.ended = Some(state.since()),
            (None, true) => verdicts.push(SeenVerdict {
                began: state.since(),
                ended: None,
                grpc: was_on_grpc,
                row: row(&bridge).unwrap_or_default(),
                kind: state.symptom().map(Symptom::kind),
                text: state.to_string(),
                is_rash: !hosts.received().iter().any(Received::is_rest),
            }),
            (Some(_), true) | (None, false) => {}
        }
    }
}

/// Of the verdict that holds: the last word of its line.
pub(crate) fn row(bridge: &Bridge) -> Option<u32> {
    let text = bridge.verdict()?.to_string();
    let line = text.lines().find(|line| line.starts_with("grpc "))?;
    line.rsplit_once(' ')?.1.parse().ok()
}
