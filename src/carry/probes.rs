//! Probes: the free calls that show whether a silent connection still carries anything.

use std::sync::Arc;

use tokio::time::{Instant, timeout, timeout_at};

use super::core::Core;
use crate::bridge::options::ActiveTransport;
use crate::call::Call;
use crate::error::Error;
use crate::probe::liveness::inquiry::Elsewhere;
use crate::probe::liveness::{Asking, Ways, watch};
use crate::symptom::SymptomKind;
use crate::transport::carrier::http2::connection::Line;
use crate::transport::grpc::Seat;

impl Core {
    /// Has the connection of a call watched over; not where the service has no free call to ask
    /// with, or the program's own carrier shows no connection.
    pub(super) fn watch_over(self: &Arc<Self>, seat: &Seat, call: &Call) {
        let Some(line) = seat.line() else { return };
        if self.credentials.are_none()
            && let Some(credentials) = self.probe.credentials(&call.metadata)
        {
            line.set_credentials(credentials);
        }
        if self.probe.is_a_call() && line.begin_watch() {
            let watching = watch(Arc::downgrade(self), line.loosen(), self.settings.patience);
            self.tasks.spawn(watching);
        }
    }

    /// The free call, with the bridge's credentials or with those of a call on the connection.
    async fn question(&self, line: &Line) -> Option<Call> {
        let mut metadata = line.credentials().unwrap_or_default();
        let authorising = self.credentials.authorise(&mut metadata);
        timeout(self.settings.patience.answer(), authorising).await.ok()?.ok()?;
        self.probe.call(&metadata)
    }

    /// When the service answered on a connection that has not been given up.
    async fn answer_over_grpc(&self, mut call: Call) -> Option<Instant> {
        let seat = self.grpc.take_seat().await.ok()?;
        self.counters.count_probe(ActiveTransport::Grpc);
        let limit = Instant::now() + self.settings.patience.answer();
        let judged = timeout_at(limit, self.grpc.send_unary(&mut call, seat)).await.ok()?.ok()?;
        (!judged.author.is_forged()).then(Instant::now)
    }
}

impl Ways for Core {
    fn ask_on(self: Arc<Self>, line: Line) -> Asking<()> {
        Box::pin(async move {
            let Some(mut call) = self.question(&line).await else { return };
            let Some(seat) = line.take_question_seat() else { return };
            self.counters.count_probe(ActiveTransport::Grpc);
            drop(line);
            // An error is an answer too, or the end of the connection, which the calls learn by
            // themselves.
            if let Err(error) = self.grpc.send_unary(&mut call, seat.into()).await {
                self.record(ActiveTransport::Grpc, Some(&error));
            }
        })
    }

    fn ask_elsewhere(self: Arc<Self>, line: Line) -> Asking<Option<Elsewhere>> {
        Box::pin(async move {
            let question = self.question(&line).await?;
            let metadata = question.metadata.clone();
            drop(line);
            let over_grpc = async {
                let Some(at) = self.answer_over_grpc(question).await else { return Ok(()) };
                Err(Elsewhere { kind: SymptomKind::KeepAliveTimeout, at })
            };
            let over_rest =
                async { Ok(self.connect_rest(&metadata).await.ok().map(|_| Instant::now())) };
            // If gRPC is answered, it does not matter whether REST is.
            match tokio::try_join!(over_grpc, over_rest) {
                Err(found) => Some(found),
                Ok(((), at)) => {
                    let at = at?;
                    let unanswered = Error::from(self.grpc.unanswered());
                    self.record(ActiveTransport::Grpc, Some(&unanswered));
                    // Where the next calls go is settled beside this one.
                    let tasks = self.tasks.clone();
                    tasks.spawn(async move { self.settle(&metadata).await });
                    Some(Elsewhere { kind: SymptomKind::Unanswered, at })
                }
            }
        })
    }
}
