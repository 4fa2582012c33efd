//! Probe: the free call that shows whether gRPC works here, before it carries paid calls.

pub(crate) mod liveness;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName};
use http::uri::PathAndQuery;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{Instrument, debug_span};

use crate::bridge::options::{ActiveTransport, ResendPolicy};
use crate::call::Call;
use crate::call::author::Author;
use crate::call::frame::Frame;
use crate::credentials::API_KEY;
use crate::error::Error;
use crate::fallback::{Event, Fallback, OtherTransport, ResendState, RunningProbe};
use crate::network::Tasks;
use crate::schema::Method;
use crate::symptom::{Evidence, SymptomKind};
use crate::transport::grpc::GrpcTransport;

/// What is called to prove gRPC.
pub(crate) struct Probe {
    request: Option<ProbeRequest>,
}

/// A unary call that costs nothing and changes nothing.
pub(crate) struct ProbeRequest {
    pub(crate) path: PathAndQuery,
    pub(crate) method: Option<Arc<Method>>,
    pub(crate) message: Frame,
}

/// Longest wait for the answer to the probe, once there is a connection.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// The time for a carrier of the program's own to connect: ours has connected before.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

impl Probe {
    /// Without a request, the peer's HTTP/2 SETTINGS are the whole probe.
    pub(crate) fn new(request: Option<ProbeRequest>) -> Self {
        Self { request }
    }

    /// Whether there is a call to ask with.
    pub(crate) fn is_a_call(&self) -> bool {
        self.request.is_some()
    }

    /// The credentials that the probe takes from `metadata`; `None` if this schema has none.
    pub(crate) fn credentials(&self, metadata: &HeaderMap) -> Option<HeaderMap> {
        self.request.as_ref().map(|_| credentials_of(metadata))
    }

    /// The probe as a call, with the credentials found in `metadata`; `None` if this schema has
    /// none.
    pub(crate) fn call(&self, metadata: &HeaderMap) -> Option<Call> {
        let request = self.request.as_ref()?;
        Some(Call::of_message(
            request.path.clone(),
            request.method.clone(),
            credentials_of(metadata),
            request.message.clone(),
        ))
    }

    /// Runs the probe as one of `tasks`, with the credentials of the call that waits for it.
    pub(crate) fn begin(
        &self,
        grpc: &Arc<GrpcTransport>,
        fallback: &Arc<Fallback>,
        running: RunningProbe,
        metadata: &HeaderMap,
        tasks: &Tasks,
    ) {
        let call = self.call(metadata);
        let grpc = Arc::clone(grpc);
        let run = Run { fallback: Arc::clone(fallback), running, ended: false };
        let prove = async move {
            tokio::select! {
                biased;
                // The probe has no result.
                () = until_stalled() => {}
                outcome = prove(&grpc, call) => run.end(outcome),
            }
        };
        tasks.spawn(prove.instrument(debug_span!("probe")));
    }
}

/// Ends once nobody has driven this runtime for a while: what is late then was not late on the
/// network.
async fn until_stalled() {
    loop {
        let due = Instant::now() + BEAT;
        sleep_until(due).await;
        if Instant::now() > due + MOST_STALL {
            return;
        }
    }
}

const BEAT: Duration = Duration::from_millis(500);
const MOST_STALL: Duration = Duration::from_secs(2);

async fn prove(grpc: &GrpcTransport, call: Option<Call>) -> Result<(), Error> {
    grpc.connect().await?;
    let Some(mut call) = call else { return Ok(()) };
    // The program's own carrier may connect only once it has a call.
    let connecting = if grpc.has_foreign_carrier() { CONNECT_LIMIT } else { Duration::ZERO };
    let deadline = Instant::now() + connecting + ANSWER_LIMIT;
    let mut resends = ResendState::new(ActiveTransport::Grpc, ResendPolicy::default(), false);
    loop {
        let sending = async { grpc.send_unary(&mut call, grpc.take_seat().await?).await };
        let sent = timeout_at(deadline, sending).await;
        match sent.unwrap_or_else(|_| Err(grpc.unanswered().into())) {
            Ok(judged) => return judge(grpc, judged.author),
            // A connection that was about to close proves nothing: another one is asked.
            Err(error) => match error.symptom() {
                Some(symptom) if resends.after(symptom, OtherTransport::NONE).is_some() => {}
                Some(_) | None => return Err(error),
            },
        }
    }
}

/// Only what the service says proves that gRPC reaches it: a message, an error with details, the
/// refusal of a key. `UNIMPLEMENTED`, `UNAVAILABLE` and their like are what gateways say who do not
/// reach it.
fn judge(grpc: &GrpcTransport, author: Author) -> Result<(), Error> {
    let (Author::Failure(code) | Author::Forged(code)) = author else { return Ok(()) };
    let evidence = Evidence::new().with_detail(format!("the free call was answered {code:?}"));
    Err(grpc.symptom(SymptomKind::ForgedStatus).with_evidence(evidence).into())
}

fn credentials_of(metadata: &HeaderMap) -> HeaderMap {
    let found =
        CREDENTIALS.iter().filter_map(|name| Some((name.clone(), metadata.get(name)?.clone())));
    found.collect()
}

static CREDENTIALS: [HeaderName; 3] =
    [header::AUTHORIZATION, API_KEY, HeaderName::from_static("x-goog-user-project")];

/// A probe under way; tells the fallback how it ended, even when its task is dropped.
struct Run {
    fallback: Arc<Fallback>,
    running: RunningProbe,
    ended: bool,
}

impl Run {
    fn end(mut self, outcome: Result<(), Error>) {
        self.ended = true;
        let event = match outcome {
            Ok(()) => Event::ProbeSucceeded,
            Err(error) => match error.symptom() {
                Some(symptom) => Event::ProbeFailed(symptom.clone()),
                None => Event::ProbeAbandoned,
            },
        };
        self.fallback.end_probe(&self.running, event);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.ended {
            self.fallback.end_probe(&self.running, Event::ProbeAbandoned);
        }
    }
}
