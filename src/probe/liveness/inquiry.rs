//! Inquiry: what to do about a connection that is silent: wait, ask, ask elsewhere, or take it for
//! lost.
//!
//! A dead connection looks like a model that thinks, and like a network that is away for a while.
//! So silence alone never decides, nor does an unanswered question: the service must have answered
//! on another way, and after that the connection gets as much time again as it was silent. For so
//! long, at most, TCP waits before it sends once more what was lost: its waits double ([RFC 6298,
//! section 5.5](https://www.rfc-editor.org/rfc/rfc6298#section-5)), so the next one is about as
//! long as all before it, on our side as on the peer's.

use std::time::Duration;

use tokio::time::Instant;

use crate::symptom::SymptomKind;
use crate::transport::carrier::http2::traffic::Sight;

/// How long silence is borne.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Silence before the first question; all other times follow from it.
    silence: Duration,
}

impl Patience {
    pub(crate) const fn new(silence: Duration) -> Self {
        Self { silence }
    }

    /// For the answer on a connection that nothing stands on before it.
    pub(crate) fn answer(self) -> Duration {
        self.silence
    }

    /// For the answer to a question, before others are asked.
    fn first_answer(self) -> Duration {
        self.silence * 5 / 12
    }

    /// For what TCP's waits do not follow exactly: their first one, and the way there and back.
    fn slack(self) -> Duration {
        self.silence / 6
    }

    /// Between two looks at a queue that empties.
    fn glance(self) -> Duration {
        self.silence / 30
    }

    /// Between two questions, and before TCP sends again: Linux waits two minutes at most, and few
    /// peers longer than one.
    fn longest(self) -> Duration {
        self.silence * 20
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::new(Duration::from_secs(3))
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look again then, or when a question is answered.
    Wait(Instant),
    /// Ask on the connection, in place of what was asked before.
    Ask,
    /// Ask on other ways; the question stays.
    AskElsewhere,
    /// End the connection.
    Lose(SymptomKind),
}

/// An answer on another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// How the silence is to be called, if it lasts.
    pub(crate) kind: SymptomKind,
    pub(crate) at: Instant,
}

/// What is known of one connection's silence.
#[derive(Debug)]
pub(crate) struct Inquiry {
    patience: Patience,
    stage: Stage,
    /// The first question since the peer was last heard.
    asked: Option<Instant>,
    /// No further question before.
    next: Instant,
    /// From one question to the next.
    pause: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The peer speaks, or may think.
    Quiet,
    /// The answer is late then; `None` while the question waits for the socket.
    Asked { at: Instant, late: Option<Instant> },
    /// The answer is late, and others are asked.
    Doubted,
    /// Another way was answered: one more question, until then.
    Contradicted { kind: SymptomKind, until: Instant, is_asked: bool },
}

impl Inquiry {
    pub(crate) fn new(patience: Patience, now: Instant) -> Self {
        let pause = patience.silence;
        Self { patience, stage: Stage::Quiet, asked: None, next: now, pause }
    }

    /// What to do now, the connection standing as in `sight`.
    pub(crate) fn step(&mut self, sight: &Sight, now: Instant) -> Step {
        if self.asked.is_some_and(|asked| sight.heard > asked) {
            // Any -> Quiet: the peer speaks.
            *self = Self::new(self.patience, now);
        }
        if sight.is_held_back && !self.is_quiet() {
            // Any -> Quiet: the peer may say nothing before its answers are read.
            self.rest(now);
        }
        match self.stage {
            Stage::Quiet => self.ask_if_due(sight, now),
            Stage::Asked { at, late: None } if now < at + self.patience.glance() => {
                Step::Wait(at + self.patience.glance())
            }
            Stage::Asked { at, late: None } => {
                let late = sight.late_at(at, self.patience.first_answer(), now);
                self.stage = Stage::Asked { at, late };
                Step::Wait(late.unwrap_or(now + self.patience.glance()))
            }
            Stage::Asked { late: Some(late), .. } if now < late => Step::Wait(late),
            Stage::Asked { .. } => {
                // Asked -> Doubted: the service may be slow, or everything away.
                self.stage = Stage::Doubted;
                Step::AskElsewhere
            }
            Stage::Doubted => Step::Wait(now + self.patience.longest()),
            Stage::Contradicted { kind, until, is_asked: false } => {
                self.stage = Stage::Contradicted { kind, until, is_asked: true };
                Step::Ask
            }
            Stage::Contradicted { until, .. } if now < until => Step::Wait(until),
            Stage::Contradicted { kind, .. } => Step::Lose(kind),
        }
    }

    /// The question was answered, or could not be asked.
    pub(crate) fn take_answer(&mut self, now: Instant) {
        self.rest(now);
    }

    /// What was asked elsewhere has ended.
    pub(crate) fn take_elsewhere(&mut self, found: Option<Elsewhere>, sight: &Sight, now: Instant) {
        let Some(Elsewhere { kind, at }) = found else {
            // Doubted -> Quiet: nobody answers, so nothing is the connection's own fault.
            return self.rest(now);
        };
        let silence = at.saturating_duration_since(sight.silent_since());
        let until = at + silence.min(self.patience.longest()) + self.patience.slack();
        let until = until.max(now + self.patience.first_answer());
        // Doubted -> Contradicted: now only the connection is left to blame.
        self.stage = Stage::Contradicted { kind, until, is_asked: false };
    }

    /// Whether no question is open.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self.stage, Stage::Quiet)
    }

    fn ask_if_due(&mut self, sight: &Sight, now: Instant) -> Step {
        let due = self.next.max(sight.silent_since() + self.patience.silence);
        let can_ask = sight.busy_since.is_some() && sight.has_room && !sight.is_held_back;
        if now < due {
            Step::Wait(due)
        } else if can_ask {
            // Quiet -> Asked
            self.asked.get_or_insert(now);
            self.stage = Stage::Asked { at: now, late: None };
            Step::Ask
        } else {
            Step::Wait(now + self.patience.silence)
        }
    }

    /// Any -> Quiet: the next question comes later than this one did.
    fn rest(&mut self, now: Instant) {
        self.pause = (self.pause * 2).min(self.patience.longest());
        self.next = now + self.pause;
        self.stage = Stage::Quiet;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One connection's silence, told in seconds.
    struct Story {
        inquiry: Inquiry,
        began: Instant,
        now: Instant,
        sight: Sight,
    }

    impl Story {
        /// A call begins.
        fn new() -> Self {
            let now = Instant::now();
            let sight = Sight {
                heard: now,
                busy_since: Some(now),
                wrote: now,
                is_drained: true,
                delay: Duration::ZERO,
                is_held_back: false,
                has_room: true,
            };
            Self { inquiry: Inquiry::new(Patience::default(), now), began: now, now, sight }
        }

        fn at(&self, seconds: f64) -> Instant {
            self.began + Duration::from_secs_f64(seconds)
        }

        /// Lets time pass until there is something to do, at most until then.
        fn step_until(&mut self, seconds: f64) -> Step {
            let end = self.at(seconds);
            loop {
                match self.inquiry.step(&self.sight, self.now) {
                    Step::Wait(until) if until <= end => {
                        assert!(until > self.now, "it spins at {:?}", self.now - self.began);
                        self.now = until;
                    }
                    Step::Wait(_) => {
                        self.now = end;
                        return Step::Wait(end);
                    }
                    step => return step,
                }
            }
        }

        /// The step that comes, and when.
        fn next(&mut self) -> (f64, Step) {
            let step = self.step_until(100_000.0);
            (self.seconds(), step)
        }

        /// Asked, and not answered.
        fn doubt(&mut self) {
            assert_eq!((self.next().1, self.next().1), (Step::Ask, Step::AskElsewhere));
        }

        fn seconds(&self) -> f64 {
            ((self.now - self.began).as_secs_f64() * 100.0).round() / 100.0
        }

        fn wait(&mut self, seconds: f64) {
            self.now += Duration::from_secs_f64(seconds);
        }

        fn hear(&mut self) {
            self.sight.heard = self.now;
        }

        fn answer(&mut self) {
            self.inquiry.take_answer(self.now);
        }

        fn answer_elsewhere(&mut self) {
            let found = Elsewhere { kind: SymptomKind::KeepAliveTimeout, at: self.now };
            self.inquiry.take_elsewhere(Some(found), &self.sight, self.now);
        }
    }

    const LOST: Step = Step::Lose(SymptomKind::KeepAliveTimeout);

    #[test]
    fn a_peer_whose_answers_nobody_reads_is_doubted_no_longer() {
        for doubted in [false, true] {
            let mut story = Story::new();
            assert_eq!(story.next().1, Step::Ask);
            if doubted {
                assert_eq!(story.next().1, Step::AskElsewhere);
                story.answer_elsewhere();
            }
            story.sight.is_held_back = true;
            assert!(matches!(story.step_until(1_000.0), Step::Wait(_)), "{doubted}");
            story.sight.is_held_back = false;
            story.hear();
            assert_eq!(story.next().1, Step::Ask, "{doubted}");
        }
    }

    #[test]
    fn a_dead_connection_is_lost_some_ten_seconds_after_its_last_byte() {
        let mut story = Story::new();
        assert_eq!(story.next(), (3.0, Step::Ask));
        assert_eq!(story.next(), (4.35, Step::AskElsewhere));
        story.wait(0.2);
        story.answer_elsewhere();
        assert_eq!(story.next(), (4.55, Step::Ask));
        assert_eq!(story.next(), (9.6, LOST));
    }

    #[test]
    fn a_model_that_thinks_is_asked_ever_more_rarely() {
        let mut story = Story::new();
        let mut asked = Vec::new();
        while story.seconds() < 400.0 {
            let (seconds, step) = story.next();
            assert_eq!(step, Step::Ask);
            asked.push(seconds);
            story.answer();
        }
        assert_eq!(asked, [3.0, 9.0, 21.0, 45.0, 93.0, 153.0, 213.0, 273.0, 333.0, 393.0, 453.0]);
    }

    #[test]
    fn a_peer_that_was_heard_is_asked_as_soon_as_at_first() {
        let mut story = Story::new();
        for _ in 0..4 {
            story.next();
            story.answer();
        }
        story.wait(30.0);
        story.hear();
        let heard = story.seconds();
        assert_eq!(story.next(), (heard + 3.0, Step::Ask));
    }

    #[test]
    fn an_outage_is_outlived() {
        // The link is away from second 2 to 12; the question at 3 is sent again by TCP at 15.6.
        let mut story = Story::new();
        assert_eq!(story.next(), (3.0, Step::Ask));
        assert_eq!(story.next(), (4.35, Step::AskElsewhere));
        // The dial begun meanwhile succeeds first.
        story.now = story.at(12.5);
        story.answer_elsewhere();
        assert_eq!(story.next(), (12.5, Step::Ask));
        assert_eq!(story.step_until(15.7), Step::Wait(story.at(15.7)));
        story.answer();
        assert!(story.inquiry.is_quiet());
        // Without that answer it is lost after as much time again as all of it took.
        let mut story = Story::new();
        story.doubt();
        story.now = story.at(12.5);
        story.answer_elsewhere();
        story.next();
        assert_eq!(story.next(), (25.5, LOST));
    }

    #[test]
    fn an_outage_is_nobodys_fault() {
        let mut story = Story::new();
        assert_eq!(story.next(), (3.0, Step::Ask));
        for pause in [6.0, 12.0, 24.0, 48.0, 60.0, 60.0] {
            assert_eq!(story.next().1, Step::AskElsewhere);
            story.wait(5.0);
            story.inquiry.take_elsewhere(None, &story.sight, story.now);
            assert!(story.inquiry.is_quiet());
            let due = story.now + Duration::from_secs_f64(pause);
            assert_eq!((story.next().1, story.now), (Step::Ask, due));
        }
    }

    #[test]
    fn any_byte_ends_the_doubt() {
        for steps in 1..=3 {
            let mut story = Story::new();
            for step in 1..=steps {
                if step == 3 {
                    story.answer_elsewhere();
                }
                story.next();
                story.wait(0.1);
            }
            story.hear();
            let heard = story.now;
            assert_eq!((story.next().1, story.now), (Step::Ask, heard + Duration::from_secs(3)));
        }
    }

    #[test]
    fn a_question_behind_queued_bytes_is_given_their_time() {
        // The socket is full for half a minute, and what it took by then needs eight seconds more.
        let mut story = Story::new();
        story.sight.is_drained = false;
        assert_eq!(story.next(), (3.0, Step::Ask));
        assert_eq!(story.step_until(30.0), Step::Wait(story.at(30.0)));
        story.sight.is_drained = true;
        story.sight.delay = Duration::from_secs(8);
        assert_eq!(story.next(), (39.25, Step::AskElsewhere));
        // The verdict waits for as long again.
        story.answer_elsewhere();
        assert_eq!(story.next(), (39.25, Step::Ask));
        assert_eq!(story.next(), (79.0, LOST));
    }

    #[test]
    fn who_cannot_be_asked_is_not_doubted() {
        let hinder: [fn(&mut Sight); 3] = [
            |sight| sight.is_held_back = true,
            |sight| sight.has_room = false,
            |sight| sight.busy_since = None,
        ];
        for hinder in hinder {
            let mut story = Story::new();
            let free = story.sight;
            hinder(&mut story.sight);
            assert_eq!(story.step_until(1_000.0), Step::Wait(story.at(1_000.0)));
            story.sight = free;
            assert_eq!(story.next().1, Step::Ask);
        }
    }

    #[test]
    fn a_swallowed_call_is_called_so() {
        let mut story = Story::new();
        story.doubt();
        // REST answered at once; that gRPC does not is known three seconds later.
        let found = Elsewhere { kind: SymptomKind::Unanswered, at: story.now };
        story.wait(3.0);
        story.inquiry.take_elsewhere(Some(found), &story.sight, story.now);
        assert_eq!(story.next(), (7.35, Step::Ask));
        assert_eq!(story.next(), (9.2, Step::Lose(SymptomKind::Unanswered)));
    }

    #[test]
    fn another_way_has_as_long_to_answer_as_a_connection_may_be_silent() {
        let (silence, _) = Story::new().next();
        assert_eq!(Patience::default().answer(), Duration::from_secs_f64(silence));
    }

    #[test]
    fn the_last_question_has_its_time_however_late_it_comes() {
        let mut story = Story::new();
        story.doubt();
        let found = Elsewhere { kind: SymptomKind::Unanswered, at: story.now };
        story.wait(20.0);
        story.inquiry.take_elsewhere(Some(found), &story.sight, story.now);
        assert_eq!(story.next(), (24.35, Step::Ask));
        assert_eq!(story.next(), (25.6, Step::Lose(SymptomKind::Unanswered)));
    }

    #[test]
    fn a_long_outage_ends_the_wait_for_tcp_after_a_minute() {
        let mut story = Story::new();
        story.doubt();
        story.now = story.at(600.0);
        story.answer_elsewhere();
        story.next();
        assert_eq!(story.next(), (660.5, LOST));
    }
}
