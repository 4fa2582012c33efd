//! Limits: the deadline and the idle limit of an answer while its body arrives.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::call::deadline::{Deadline, expired};
use crate::error::Error;
use crate::symptom::{Evidence, Symptom};

/// The limits of one answer.
pub(super) struct Limits {
    /// Of the deadline.
    timer: Option<Pin<Box<Sleep>>>,
    silence: Option<Silence>,
}

impl Limits {
    /// `idle` is how long nothing may arrive while the caller waits.
    pub(super) fn new(deadline: Option<Deadline>, idle: Option<Duration>) -> Self {
        let timer = deadline.map(|deadline| Box::pin(sleep_until(deadline.at())));
        Self { timer, silence: idle.map(Silence::new) }
    }

    /// Something arrived.
    pub(super) fn note_arrival(&mut self) {
        if let Some(silence) = &mut self.silence {
            silence.is_broken = true;
        }
    }

    /// How long nothing has arrived, while the caller waited.
    pub(super) fn silent_for(&self) -> Duration {
        self.silence.as_ref().map_or(Duration::ZERO, Silence::so_far)
    }

    /// Ready when the answer has taken too long, after so many `messages`; `stalled` names who was
    /// to send more.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        messages: u64,
        stalled: impl FnOnce(Evidence) -> Symptom,
    ) -> Poll<Error> {
        if let Some(timer) = &mut self.timer
            && timer.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(expired(" in the middle of the answer"));
        }
        let Some(silence) = &mut self.silence else { return Poll::Pending };
        ready!(silence.poll(context));
        let waited = format!("nothing arrived for {:?}", silence.limit);
        let evidence = Evidence::new().with_messages(messages).with_detail(waited);
        Poll::Ready(stalled(evidence).into())
    }
}

/// The time for which nothing arrived although the caller waited.
struct Silence {
    limit: Duration,
    end: Pin<Box<Sleep>>,
    is_broken: bool,
}

impl Silence {
    fn new(limit: Duration) -> Self {
        Self { limit, end: Box::pin(sleep_until(Instant::now())), is_broken: true }
    }

    /// How long it lasts, while the caller waits.
    fn so_far(&self) -> Duration {
        let began = self.end.deadline().checked_sub(self.limit).filter(|_| !self.is_broken);
        began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Ready once it lasts for longer than its limit.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.is_broken) {
            self.end.as_mut().reset(Instant::now() + self.limit);
        }
        self.end.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_wait_after_the_last_piece() {
        let mut silence = Silence::new(Duration::from_secs(10));
        // A reader who comes late has not waited.
        advance(Duration::from_secs(60)).await;
        for _ in 0..3 {
            let now = Instant::now();
            assert!(poll_fn(|context| Poll::Ready(silence.poll(context))).await.is_pending());
            advance(Duration::from_secs(9)).await;
            assert!(poll_fn(|context| Poll::Ready(silence.poll(context))).await.is_pending());
            poll_fn(|context| silence.poll(context)).await;
            assert_eq!(now.elapsed().as_secs(), 10);
            silence.is_broken = true;
        }
    }
}
