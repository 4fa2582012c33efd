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
use crate::bridge::options::ActiveTransport;
use crate::call::Call;
use crate::error::Error;
use crate::probe::ANSWER_LIMIT;
use crate::symptom::{Evidence, Symptom, SymptomKind};
use crate::transport::carrier::http2::connection::Line;

/// Ends only if the network has lost the call.
pub(crate) type Vigil = Pin<Box<dyn Future<Output = Loss> + Send>>;

/// How the network lost a call.
#[derive(Debug, Clone)]
pub(crate) struct Loss(Symptom);

/// Silence on a connection before it is asked whether it lives. Doubles each time it does.
const FIRST_SILENCE: Duration = Duration::from_secs(3);
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Begins to watch over a call; not where the service has no free call to ask with.
pub(crate) fn keep_vigil(bridge: &Arc<Inner>, call: &Call, line: Line) -> Option<Vigil> {
    let metadata = bridge.proof.credentials(&call.metadata)?;
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
            if !self.is_answered().await
                && let Some(symptom) = self.confirm().await
            {
                return Loss(loss.insert(symptom).clone());
            }
            patience = (patience * 2).min(LONGEST_SILENCE);
        }
    }

    /// Whether the proof on the call's own connection gets any answer, as far as that can be asked.
    async fn is_answered(&self) -> bool {
        let Some(mut call) = self.bridge.proof.call(&self.metadata) else { return true };
        // Without a stream to ask on, nothing is known; the connection's PINGs remain.
        let Some(seat) = self.line.take_seat() else { return true };
        let asking = self.bridge.grpc.send_unary(&mut call, seat);
        match timeout(ANSWER_LIMIT, asking).await {
            Ok(Ok(_)) => true,
            // The connection speaks, or has ended, and the call in hand learns that by itself.
            Ok(Err(error)) => {
                self.bridge.record(ActiveTransport::Grpc, Some(&error));
                true
            }
            Err(_) => false,
        }
    }

    /// The service may only be slow: the call is lost if the service answers on another way.
    async fn confirm(&self) -> Option<Symptom> {
        let unanswered = Error::from(self.line.symptom(SymptomKind::Unanswered));
        self.bridge.record(ActiveTransport::Grpc, Some(&unanswered));
        self.line.give_up();
        let kind = match self.bridge.settle(&self.metadata).await {
            Ok(ActiveTransport::Grpc) => SymptomKind::KeepAliveTimeout,
            Ok(ActiveTransport::Rest) => SymptomKind::Unanswered,
            Err(_) => return None,
        };
        Some(self.line.symptom(kind))
    }
}

impl Loss {
    /// The failure of a call that had no answer yet.
    pub(crate) fn before_answer(self) -> Symptom {
        self.0
    }

    /// The failure of a call whose answer had begun, and had this many messages.
    pub(crate) fn in_body(self, messages: u64) -> Symptom {
        let (kind, evidence) = match self.0.kind() {
            SymptomKind::KeepAliveTimeout => {
                (SymptomKind::BodyLost, Evidence::new().with_io(io::ErrorKind::TimedOut))
            }
            _ => (SymptomKind::BodyStalled, Evidence::new()),
        };
        Symptom::new(kind, self.0.hop()).with_evidence(evidence.with_messages(messages))
    }
}
