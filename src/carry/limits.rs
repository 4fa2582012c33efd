//! Limits: the deadline and the idle limit of an answer while its body arrives.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::call::deadline::{Deadline, expired};
use crate::error::Error;
use crate::symptom::{Evidence, Symptom};

/// The limits of one answer.
pub(super) struct Limits {
    /// Of the deadline.
    timer: Option<Alarm>,
    silence: Option<Silence>,
}

impl Limits {
    /// `idle` is how long nothing may arrive while the caller waits.
    pub(super) fn new(deadline: Option<Deadline>, idle: Option<Duration>) -> Self {
        let timer = deadline.map(|deadline| Alarm::at(deadline.at()));
        Self { timer, silence: idle.map(Silence::new) }
    }

    /// Something arrived.
    pub(super) fn note_arrival(&mut self) {
        if let Some(silence) = &mut self.silence {
            silence.began = None;
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
            && timer.poll(context).is_ready()
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
    /// `None` until the caller waits for what comes next.
    began: Option<Instant>,
    /// It rings at the end of a wait that has begun, be it an earlier one: to move it with each
    /// piece of an answer would cost more than to hear it too early now and then.
    alarm: Alarm,
}

impl Silence {
    fn new(limit: Duration) -> Self {
        Self { limit, began: None, alarm: Alarm::at(Instant::now()) }
    }

    /// How long it lasts, while the caller waits.
    fn so_far(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Ready once it lasts for longer than its limit.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = *self.began.get_or_insert_with(Instant::now) + self.limit;
        loop {
            ready!(self.alarm.poll(context));
            if self.alarm.sleep.deadline() >= end {
                return Poll::Ready(());
            }
            self.alarm.move_to(end);
        }
    }
}

/// A timer that is asked often, mostly by the task that it wakes already.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    wakes: Option<Waker>,
}

impl Alarm {
    fn at(deadline: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(deadline)), wakes: None }
    }

    fn move_to(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.wakes = None;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let wakes_it = |waker: &Waker| waker.will_wake(context.waker());
        if !self.sleep.is_elapsed() && self.wakes.as_ref().is_some_and(wakes_it) {
            return Poll::Pending;
        }
        let polled = self.sleep.as_mut().poll(context);
        self.wakes = polled.is_pending().then(|| context.waker().clone());
        polled
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
            silence.began = None;
        }
    }

    /// Pieces come faster than the limit; the alarm that was set for the first wait rings in a
    /// later one.
    #[tokio::test(start_paused = true)]
    async fn an_alarm_of_an_earlier_wait_ends_no_later_one() {
        let mut silence = Silence::new(Duration::from_secs(10));
        for _ in 0..7 {
            let polled = poll_fn(|context| Poll::Ready(silence.poll(context))).await;
            assert!(polled.is_pending());
            advance(Duration::from_secs(9)).await;
            let polled = poll_fn(|context| Poll::Ready(silence.poll(context))).await;
            assert!(polled.is_pending());
            silence.began = None;
        }
        let now = Instant::now();
        poll_fn(|context| silence.poll(context)).await;
        assert_eq!(now.elapsed().as_secs(), 10);
    }

    /// Whoever polled last is woken.
    #[tokio::test(start_paused = true)]
    async fn an_alarm_wakes_the_task_that_asked_last() {
        let mut alarm = Alarm::at(Instant::now() + Duration::from_secs(5));
        let polled = alarm.poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        poll_fn(|context| alarm.poll(context)).await;
        assert!(alarm.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
