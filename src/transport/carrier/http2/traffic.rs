//! Traffic: what passes on a connection, both ways, and what it tells about a peer that is silent.
//!
//! A silent peer may be dead. But it may also still receive what was sent: the bytes stand in the
//! socket, in a proxy or on a slow link, and whatever is asked stands behind them. Or it may have
//! to wait until its answers are read.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::frames::{DATA, Frame, FrameWalk, HEADERS, Head, RST_STREAM};

/// Both directions of one connection.
#[derive(Debug)]
pub(super) struct Traffic {
    up: FrameWalk,
    down: FrameWalk,
    ledger: Ledger,
    heard: Instant,
    wrote: Instant,
    is_drained: bool,
    /// The stream that asks whether the peer lives: its answer alone is no sign that others are
    /// answered.
    question: Option<u32>,
}

/// How a connection stands at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    /// When the peer was last heard; the answer to a question about it does not count.
    pub(crate) heard: Instant,
    /// Since when calls have been on it.
    pub(crate) busy_since: Option<Instant>,
    /// When bytes last went out.
    pub(crate) wrote: Instant,
    /// Nothing waits for the socket.
    pub(crate) is_drained: bool,
    /// The time that the bytes sent still need, as far as the peer's answers tell.
    pub(crate) delay: Duration,
    /// The peer has sent all that it may: the callers do not read.
    pub(crate) is_held_back: bool,
    /// A small request can be sent: the peer has room for it.
    pub(crate) has_room: bool,
}

impl Traffic {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            up: FrameWalk::of_client(),
            down: FrameWalk::new(),
            ledger: Ledger::default(),
            heard: now,
            wrote: now,
            is_drained: true,
            question: None,
        }
    }

    /// The peer says something.
    pub(super) fn read(&mut self, bytes: &[u8], now: Instant, mut tell: impl FnMut(Frame)) {
        let Self { down, ledger, question, .. } = self;
        let is_other = |stream| Some(stream) != *question;
        let mut is_heard = down.open_stream().is_some_and(is_other);
        down.feed(bytes, |frame| {
            if let Frame::Head(head) = &frame {
                is_heard |= is_other(head.stream);
            }
            ledger.hear(&frame, now);
            tell(frame);
        });
        if is_heard {
            self.heard = now;
        }
    }

    /// The socket takes something.
    pub(super) fn write(&mut self, bytes: &[u8], now: Instant) {
        self.wrote = now;
        let ledger = &mut self.ledger;
        self.up.feed(bytes, |frame| ledger.send(&frame, now));
    }

    /// Whether the last answer that began is that of this stream, and its request had been taken
    /// whole before.
    pub(super) fn is_sent_whole(&self, stream: u32) -> bool {
        self.ledger.answered == Some(stream)
    }

    /// Whether all that is to be sent has been taken.
    pub(super) fn set_drained(&mut self, is_drained: bool) {
        self.is_drained = is_drained;
    }

    /// Which stream asks.
    pub(super) fn set_question(&mut self, stream: Option<u32>) {
        self.question = stream;
    }

    pub(super) fn sight(&self, busy_since: Option<Instant>) -> Sight {
        Sight {
            heard: self.heard,
            busy_since,
            wrote: self.wrote,
            is_drained: self.is_drained,
            delay: self.ledger.time_for(self.up.walked().saturating_sub(self.ledger.arrived)),
            is_held_back: self.ledger.may_receive < FULL_FRAME,
            has_room: self.ledger.may_send >= LITTLE,
        }
    }
}

impl Sight {
    /// Since when the peer could have said something, and did not.
    pub(crate) fn silent_since(&self) -> Instant {
        self.busy_since.map_or(self.heard, |busy_since| busy_since.max(self.heard))
    }

    /// When the answer to what was asked at `asked` is late, if the peer takes no longer than
    /// `limit`. `None` while it waits for the socket, unless the socket takes nothing any more.
    pub(crate) fn late_at(&self, asked: Instant, limit: Duration, now: Instant) -> Option<Instant> {
        let is_stuck = self.wrote.max(asked) + STUCK <= now;
        (self.is_drained || is_stuck).then(|| now + self.delay + limit)
    }
}

/// What was sent, and what of it has arrived.
#[derive(Debug)]
struct Ledger {
    /// Requests without an answer, by stream.
    requests: VecDeque<Request>,
    /// So many bytes have reached the peer, since it has answered what came with them.
    arrived: u64,
    /// The stream whose answer was the last to begin, after the end of its request.
    answered: Option<u32>,
    /// Bytes a second, at least.
    rate: u64,
    /// What HTTP/2 allows each side to send on all streams together.
    may_send: i64,
    may_receive: i64,
}

#[derive(Debug)]
struct Request {
    stream: u32,
    began: Instant,
    start: u64,
    /// `None` as long as there is more to come.
    end: Option<u64>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            requests: VecDeque::new(),
            arrived: 0,
            answered: None,
            rate: SLOWEST,
            may_send: FIRST_WINDOW,
            may_receive: FIRST_WINDOW,
        }
    }
}

impl Ledger {
    fn send(&mut self, frame: &Frame, now: Instant) {
        match frame {
            Frame::Head(head) => self.send_frame(*head, now),
            Frame::Window { increment } => self.may_receive += i64::from(*increment),
            Frame::Settings(_) | Frame::GoAway(_) => {}
        }
    }

    fn hear(&mut self, frame: &Frame, now: Instant) {
        match frame {
            Frame::Head(head) => self.hear_frame(*head, now),
            Frame::Window { increment } => self.may_send += i64::from(*increment),
            Frame::Settings(_) | Frame::GoAway(_) => {}
        }
    }

    fn send_frame(&mut self, head: Head, now: Instant) {
        let is_new = self.requests.back().is_none_or(|last| last.stream < head.stream);
        match head.kind {
            HEADERS if is_new => {
                let start = head.end.saturating_sub(u64::from(head.length));
                let request = Request { stream: head.stream, began: now, start, end: None };
                self.requests.push_back(request);
            }
            DATA => self.may_send -= i64::from(head.length),
            RST_STREAM => drop(self.take(head.stream)),
            _ => {}
        }
        if head.ends_stream()
            && let Some(place) = self.place(head.stream)
            && let Some(request) = self.requests.get_mut(place)
        {
            request.end = Some(head.end);
        }
    }

    fn hear_frame(&mut self, head: Head, now: Instant) {
        match head.kind {
            HEADERS => {
                if let Some(request) = self.take(head.stream)
                    && let Some(end) = request.end
                {
                    self.arrived = self.arrived.max(end);
                    self.answered = Some(head.stream);
                    self.measure(end - request.start, now - request.began);
                }
            }
            DATA => self.may_receive -= i64::from(head.length),
            RST_STREAM => drop(self.take(head.stream)),
            _ => {}
        }
    }

    /// So many bytes arrived within this time, the service's own included.
    fn measure(&mut self, bytes: u64, time: Duration) {
        if bytes < SAMPLE {
            return;
        }
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = bytes.saturating_mul(1_000) / millis;
        // A long thought says little of the network, but a network that became slow says it again.
        self.rate = rate.max(self.rate - self.rate / 4).max(SLOWEST);
    }

    /// At half the rate: others may have come to share the way since.
    fn time_for(&self, bytes: u64) -> Duration {
        let rate = (self.rate / 2).max(SLOWEST);
        Duration::from_millis(bytes.saturating_mul(1_000) / rate)
    }

    fn take(&mut self, stream: u32) -> Option<Request> {
        self.place(stream).and_then(|place| self.requests.remove(place))
    }

    fn place(&self, stream: u32) -> Option<usize> {
        self.requests.binary_search_by_key(&stream, |request| request.stream).ok()
    }
}

/// A socket that takes nothing for so long leads nowhere.
const STUCK: Duration = Duration::from_secs(60);
/// Bytes a second that any link is trusted with, and no less: 128 kbit/s.
const SLOWEST: u64 = 16 * 1024;
/// Fewer bytes tell nothing of the rate.
const SAMPLE: u64 = 16 * 1024;
/// RFC 9113, section 6.9.2.
const FIRST_WINDOW: i64 = 65_535;
/// Below it a window is as good as closed.
const LITTLE: i64 = 1_024;
/// A peer may wait until as much as it sends at once has room: `SETTINGS_MAX_FRAME_SIZE` as it
/// stands without another.
const FULL_FRAME: i64 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&[a, b, c, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    fn data(stream: u8, length: usize) -> Vec<u8> {
        frame(DATA, 0, stream, &vec![0; length])
    }

    fn last(stream: u8) -> Vec<u8> {
        frame(DATA, 1, stream, &[])
    }

    fn headers(stream: u8) -> Vec<u8> {
        frame(HEADERS, 4, stream, &[0; 32])
    }

    fn window(increment: u32) -> Vec<u8> {
        frame(8, 0, 0, &increment.to_be_bytes())
    }

    /// A connection, and its time.
    struct Story {
        traffic: Traffic,
        now: Instant,
    }

    impl Story {
        fn new() -> Self {
            let now = Instant::now();
            let mut traffic = Traffic::new(now);
            traffic.write(PREFACE, now);
            Self { traffic, now }
        }

        fn wait(&mut self, millis: u64) {
            self.now += Duration::from_millis(millis);
        }

        fn send(&mut self, frames: &[Vec<u8>]) {
            self.traffic.write(&frames.concat(), self.now);
        }

        fn hear(&mut self, frames: &[Vec<u8>]) {
            self.traffic.read(&frames.concat(), self.now, |_| {});
        }

        fn sight(&self) -> Sight {
            self.traffic.sight(None)
        }

        /// The delay in milliseconds.
        fn delay(&self) -> u128 {
            self.sight().delay.as_millis()
        }
    }

    #[test]
    fn what_was_sent_needs_time_until_something_that_came_with_it_is_answered() {
        let mut story = Story::new();
        story.send(&[headers(1), data(1, 16_000), data(1, 16_000), last(1)]);
        let bytes = (PREFACE.len() + 41 + 2 * 16_009 + 9) as u128;
        assert_eq!(story.delay(), bytes * 1_000 / u128::from(SLOWEST));
        // Another request, answered first, stood behind a part of it.
        story.send(&[headers(3), last(3), data(1, 1_600)]);
        story.wait(100);
        story.hear(&[headers(3)]);
        assert_eq!(story.delay(), 1_609 * 1_000 / u128::from(SLOWEST));
    }

    #[test]
    fn an_answer_to_a_request_that_still_goes_on_proves_nothing() {
        let mut story = Story::new();
        story.send(&[headers(1), data(1, 1_000)]);
        let before = story.delay();
        story.hear(&[headers(1)]);
        assert_eq!(story.delay(), before);
    }

    #[test]
    fn a_request_is_known_to_be_whole_where_its_end_went_out_before_the_answer_came() {
        let mut story = Story::new();
        let known = |story: &Story| [1, 3, 5].map(|stream| story.traffic.is_sent_whole(stream));
        story.send(&[headers(1), last(1), headers(3), data(3, 10)]);
        assert_eq!(known(&story), [false, false, false]);
        story.hear(&[headers(1)]);
        assert_eq!(known(&story), [true, false, false]);
        // Its trailers change nothing, nor does an answer that comes before the end of its request.
        story.hear(&[headers(1), headers(3)]);
        story.send(&[last(3)]);
        assert_eq!(known(&story), [true, false, false]);
        story.send(&[headers(5), last(5)]);
        story.hear(&[headers(5)]);
        assert_eq!(known(&story), [false, false, true]);
    }

    #[test]
    fn a_cancelled_request_still_stands_before_others() {
        for cancel in [true, false] {
            let mut story = Story::new();
            story.send(&[headers(1), data(1, 16_000), last(1)]);
            let before = story.delay();
            let reset = [frame(RST_STREAM, 0, 1, &[0; 4])];
            if cancel {
                story.send(&reset);
            } else {
                story.hear(&reset);
            }
            assert!(story.delay() >= before && before > 900, "{before}");
        }
    }

    #[test]
    fn the_rate_is_what_answers_show_and_never_taken_whole() {
        let mut story = Story::new();
        let large = |stream| [headers(stream), data(stream, 100_000), last(stream)];
        story.send(&large(1));
        story.wait(1_000);
        story.hear(&[headers(1)]);
        story.send(&large(3));
        // Some 100 KB/s were shown, and half of it is counted on.
        assert!((1_990..2_010).contains(&story.delay()), "{}", story.delay());
        // A long thought, or a link that became slow.
        story.wait(60_000);
        story.hear(&[headers(3)]);
        story.send(&large(5));
        assert!((2_600..2_700).contains(&story.delay()), "{}", story.delay());
        // A small request is answered as fast as the service thinks.
        story.send(&[headers(7), last(7)]);
        story.wait(1);
        story.hear(&[headers(7)]);
        assert_eq!(story.delay(), 0);
        story.send(&large(9));
        assert!((2_600..2_700).contains(&story.delay()), "{}", story.delay());
    }

    #[test]
    fn the_answer_to_the_question_is_no_sign_of_life_for_others() {
        let mut story = Story::new();
        story.hear(&[frame(4, 0, 0, &[])]);
        story.send(&[headers(1), last(1), headers(3), last(3)]);
        story.traffic.set_question(Some(3));
        let heard = story.sight().heard;
        story.wait(1_000);
        let answer = [headers(3), data(3, 100)].concat();
        // However its bytes are cut.
        for part in answer.chunks(7) {
            story.traffic.read(part, story.now, |_| {});
        }
        assert_eq!(story.sight().heard, heard);
        story.hear(&[frame(6, 1, 0, &[0; 8])]);
        assert_eq!(story.sight().heard, story.now);
        story.wait(1_000);
        story.hear(&[data(1, 1)]);
        assert_eq!(story.sight().heard, story.now);
    }

    #[test]
    fn callers_that_do_not_read_hold_the_peer_back() {
        let mut story = Story::new();
        story.send(&[window(100_000)]);
        story.hear(&[headers(1), data(1, 65_535), data(1, 99_000)]);
        assert!(story.sight().is_held_back);
        story.send(&[window(50_000)]);
        assert!(!story.sight().is_held_back);
        // The window of one stream is not the connection's.
        story.hear(&[data(1, 50_500)]);
        story.send(&[frame(8, 0, 1, &50_000_u32.to_be_bytes())]);
        assert!(story.sight().is_held_back);
    }

    #[test]
    fn a_peer_that_takes_no_more_cannot_be_asked() {
        let mut story = Story::new();
        story.send(&[headers(1), data(1, 65_000)]);
        assert!(!story.sight().has_room);
        story.hear(&[window(1_000)]);
        assert!(story.sight().has_room);
    }

    #[test]
    fn an_answer_is_late_only_once_its_question_has_gone_out_and_had_time_to_arrive() {
        let mut story = Story::new();
        story.send(&[headers(1), data(1, 16_000)]);
        let (asked, limit) = (story.now, Duration::from_secs(1));
        let late = |story: &Story| story.sight().late_at(asked, limit, story.now);
        assert_eq!(late(&story), Some(asked + story.sight().delay + limit));
        story.traffic.set_drained(false);
        story.wait(59_000);
        assert_eq!(late(&story), None);
        story.send(&[data(1, 100)]);
        story.wait(59_000);
        assert_eq!(late(&story), None);
        story.wait(1_000);
        assert!(late(&story).is_some());
    }

    #[test]
    fn silence_counts_from_the_first_call_at_the_earliest() {
        let heard = Instant::now();
        let (before, after) = (heard - Duration::from_secs(1), heard + Duration::from_secs(1));
        let traffic = Traffic::new(heard);
        let cases = [(None, heard), (Some(before), heard), (Some(after), after)];
        for (busy_since, expected) in cases {
            assert_eq!(traffic.sight(busy_since).silent_since(), expected);
        }
    }
}
