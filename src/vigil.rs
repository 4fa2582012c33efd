//! Vigil: beside a call on a silent connection, a proof call shows whether gRPC still carries anything.
//!
//! A dead connection looks like a model that thinks. Waiting for the call's deadline would take minutes, and
//! PINGs close together are punished by servers
//! ([gRFC A8](https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md)); a free call is not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, timeout};

use crate::bridge::Inner;
use crate::call::Call;
use crate::error::Error;
use crate::grpc::Line;
use crate::policy::ActiveTransport;
use crate::symptom::{Evidence, Symptom, SymptomKind};

/// Ends only if the network has lost the call.
pub(crate) type Vigil = Pin<Box<dyn Future<Output = Loss> + Send>>;

/// How the network lost a call.
#[derive(Debug, Clone)]
pub(crate) struct Loss(Symptom);

/// Silence on a connection before it is asked whether it lives. Doubles each time it does.
const FIRST_SILENCE: Duration = Duration::from_secs(4);
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// Time for the answer to that.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// Begins to watch over a call; not where the service has no free call to ask with.
pub(crate) fn keep_vigil(bridge: &Arc<Inner>, call: &Call, line: Line) -> Option<Vigil> {
    let metadata = bridge.proof.call(&call.metadata)?.metadata;
    let watch = Watch { bridge: Arc::clone(bridge), line, metadata };
    Some(Box::pin(watch.until_lost()))
}

struct Watch {
    bridge: Arc<Inner>,
    line: Line,
    /// The credentials to ask with.
    metadata: HeaderMap,
}

impl Watch {
    async fn until_lost(self) -> Loss {
        let began = Instant::now();
        let mut patience = FIRST_SILENCE;
        loop {
            self.line.silent_for(patience, began).await;
            // All calls on the connection ask together.
            let mut loss = self.line.loss().await;
            if let Some(symptom) = &*loss {
                return Loss(symptom.clone());
            }
            if let Some(kind) = self.ask().await {
                self.mark(kind);
                if kind == SymptomKind::KeepAliveTimeout || self.confirm().await {
                    return Loss(loss.insert(self.bury(kind)).clone());
                }
            }
            patience = (patience * 2).min(LONGEST_SILENCE);
        }
    }

    /// What the silence of the proof shows; `None` if it does not stay silent.
    async fn ask(&self) -> Option<SymptomKind> {
        let mut call = self.bridge.proof.call(&self.metadata)?;
        let asked = Instant::now();
        let asking = self.bridge.grpc.send(&mut call, self.line.take_seat());
        match timeout(ANSWER_LIMIT, asking).await {
            Ok(Ok(_)) => None,
            // The connection speaks, or has ended, and the call in hand learns that by itself.
            Ok(Err(error)) => {
                self.bridge.record(ActiveTransport::Grpc, Some(&error));
                None
            }
            Err(_) if self.line.is_heard_since(asked) => Some(SymptomKind::Unanswered),
            Err(_) => Some(SymptomKind::KeepAliveTimeout),
        }
    }

    /// Whether gRPC as a whole is dead, a proof on another connection decides.
    fn bury(&self, kind: SymptomKind) -> Symptom {
        self.line.give_up();
        self.line.symptom(kind)
    }

    /// The service may only be slow: gRPC has lost the call if REST answers where gRPC does not.
    async fn confirm(&self) -> bool {
        matches!(self.bridge.settle(&self.metadata).await, Ok(ActiveTransport::Rest))
    }

    /// The call and the proof beside it are two signs of the same fault.
    fn mark(&self, kind: SymptomKind) {
        let error = Error::from(self.line.symptom(kind));
        self.bridge.record(ActiveTransport::Grpc, Some(&error));
        self.bridge.record(ActiveTransport::Grpc, Some(&error));
    }
}

impl Loss {
    /// The failure of a call that had no answer yet.
    pub(crate) fn before_answer(self) -> Symptom {
        self.0
    }

    /// The failure of a call whose answer had begun.
    pub(crate) fn in_body(self) -> Symptom {
        let (kind, evidence) = match self.0.kind() {
            SymptomKind::KeepAliveTimeout => {
                (SymptomKind::BodyLost, Evidence::new().with_io(io::ErrorKind::TimedOut))
            }
            _ => (SymptomKind::BodyStalled, Evidence::new()),
        };
        Symptom::new(kind, self.0.hop()).with_evidence(evidence)
    }
}
