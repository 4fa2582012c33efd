//! Wire: one connection of the simulated network: two lanes of bytes that take time, and may be
//! lost.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use genai_bridge::emulator::hostile::Wire;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::log::Log;
use crate::weather::Weather;
use crate::world::{Break, How};

/// One end of a connection.
pub(crate) struct End {
    link: Arc<Link>,
    side: usize,
    /// For the next arrival.
    timer: Option<Pin<Box<Sleep>>>,
    resets: bool,
}

/// A connection as the network sees it.
pub(crate) struct Link {
    weather: Arc<Weather>,
    state: Mutex<State>,
    log: Log,
    number: usize,
}

struct State {
    /// What each side has sent: the client's is the first.
    lanes: [Lane; 2],
    /// From when on nothing passes, and nobody says so.
    dead_since: Option<Instant>,
    /// The end, as each side learns it.
    failed: [Option<io::ErrorKind>; 2],
    /// Where the connection breaks.
    breaks: Vec<Break>,
    dropped: [bool; 2],
}

#[derive(Default)]
struct Lane {
    under_way: VecDeque<(Instant, Bytes)>,
    /// Not read yet, or lost.
    unread: usize,
    sent: usize,
    free_at: Option<Instant>,
    /// When its end arrives, and whether that is a reset.
    end: Option<(Instant, bool)>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Bytes that the buffers of the sockets and of the network hold.
const WINDOW: usize = 256 * 1024;
/// As much as is sent at once.
const PACKET: usize = 16 * 1024;
/// What a narrow network carries.
const PACKET_ON_THE_LINE: usize = 1_400;
/// What nobody acknowledges, or whose keepalive nobody answers, ends a connection after this: the
/// options of the bridge's sockets.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// The two ends of a new connection: the client's, and the server's.
pub(crate) fn connection(
    weather: &Arc<Weather>,
    breaks: Vec<Break>,
    log: Log,
    number: usize,
) -> (End, End, Arc<Link>) {
    let state = State {
        lanes: <[Lane; 2]>::default(),
        dead_since: None,
        failed: [None; 2],
        breaks,
        dropped: [false; 2],
    };
    let weather = Arc::clone(weather);
    let link = Arc::new(Link { weather, state: Mutex::new(state), log, number });
    let end = |side| End { link: Arc::clone(&link), side, timer: None, resets: false };
    (end(CLIENT), end(SERVER), Arc::clone(&link))
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// The connection carries nothing any more, and nobody is told.
    pub(crate) fn forget(&self) {
        self.state().die(Instant::now());
    }

    /// Both ends learn of it at once.
    pub(crate) fn cut(&self, how: How) {
        self.state().cut(how, Instant::now());
    }

    pub(crate) fn is_open(&self) -> bool {
        let state = self.state();
        !(state.dropped[CLIENT] || state.dropped[SERVER])
    }
}

impl State {
    fn die(&mut self, now: Instant) {
        self.dead_since.get_or_insert(now);
        for lane in &mut self.lanes {
            // What has not arrived never does.
            lane.under_way.retain(|(arrival, _)| *arrival <= now);
            lane.wake();
        }
    }

    fn cut(&mut self, how: How, now: Instant) {
        match how {
            How::Stall => self.die(now),
            How::Pause(length) => {
                for lane in &mut self.lanes {
                    lane.free_at = Some(lane.free_at.map_or(now, |at| at.max(now)) + length);
                }
            }
            How::Reset => {
                self.failed = [Some(io::ErrorKind::ConnectionReset); 2];
                self.lanes.iter_mut().for_each(Lane::wake);
            }
            How::Close => {
                for lane in &mut self.lanes {
                    lane.end.get_or_insert((now, false));
                    lane.wake();
                }
            }
        }
    }

    /// Sends so many bytes at most; says how many.
    fn send(&mut self, side: usize, bytes: &[u8], weather: &Weather) -> usize {
        let now = Instant::now();
        let mut length = bytes.len().min(PACKET).min(WINDOW - self.lanes[side].unread);
        let sent = self.lanes[side].sent;
        let at = |of: &Break| of.lane == side && (sent..sent + length).contains(&of.at);
        let broken = self.breaks.iter().filter(|of| at(of)).min_by_key(|of| of.at).copied();
        if let Some(broken) = broken {
            length = (broken.at - sent).max(1);
        }
        let lane = &mut self.lanes[side];
        lane.sent += length;
        lane.unread += length;
        if side == CLIENT && length > PACKET_ON_THE_LINE && weather.is_narrow(now) {
            self.die(now);
        }
        let lane = &mut self.lanes[side];
        if self.dead_since.is_none() {
            let arrival = weather.arrival(now, lane.free_at, length);
            lane.free_at = Some(arrival.passed);
            lane.under_way.push_back((arrival.at, Bytes::copy_from_slice(&bytes[..length])));
            lane.wake();
            if arrival.at > now + UNACKNOWLEDGED && arrival.is_late {
                // It is sent again and again; nobody hears it before the sender gives up.
                self.die(now);
            }
        }
        if let Some(broken) = broken {
            self.breaks.retain(|of| of.at != broken.at || of.lane != side);
            self.cut(broken.how, now);
        }
        length
    }

    /// When this side finds by itself that the connection is dead.
    fn given_up_at(&self, side: usize) -> Option<Instant> {
        let noticed = self.dead_since.filter(|_| side == CLIENT)?;
        Some(noticed + UNACKNOWLEDGED)
    }
}

impl Lane {
    fn wake(&mut self) {
        let wakers = [self.reader.take(), self.writer.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl End {
    /// Looks again then.
    fn wait_until(&mut self, when: Instant, context: &mut Context<'_>) {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(when)));
        if timer.deadline() != when {
            timer.as_mut().reset(when);
        }
        if timer.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }

    /// The end of the connection, as this side knows it.
    fn failure(&self, state: &mut State) -> Option<io::Error> {
        if state.given_up_at(self.side).is_some_and(|at| at <= Instant::now()) {
            state.failed[self.side].get_or_insert(io::ErrorKind::TimedOut);
        }
        state.failed[self.side].map(io::Error::from)
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let link = Arc::clone(&self.link);
        let mut state = link.state();
        let now = Instant::now();
        if let Some(error) = self.failure(&mut state) {
            return Poll::Ready(Err(error));
        }
        let lane = &mut state.lanes[1 - self.side];
        let arrived = lane.under_way.front_mut().filter(|(arrival, _)| *arrival <= now);
        if let Some((_, bytes)) = arrived {
            let length = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..length]);
            bytes.advance(length);
            if bytes.is_empty() {
                lane.under_way.pop_front();
            }
            lane.unread -= length;
            lane.writer.take().into_iter().for_each(Waker::wake);
            return Poll::Ready(Ok(()));
        }
        match lane.end {
            Some((at, is_reset)) if at <= now && lane.under_way.is_empty() => {
                let reset = || Err(io::ErrorKind::ConnectionReset.into());
                return Poll::Ready(if is_reset { reset() } else { Ok(()) });
            }
            _ => {}
        }
        lane.reader = Some(context.waker().clone());
        let next =
            lane.under_way.front().map(|(arrival, _)| *arrival).or(lane.end.map(|end| end.0));
        let next = [next, state.given_up_at(self.side)].into_iter().flatten().min();
        drop(state);
        if let Some(next) = next {
            self.wait_until(next, context);
        }
        Poll::Pending
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.link.state();
        if let Some(error) = self.failure(&mut state) {
            return Poll::Ready(Err(error));
        }
        let other = &state.lanes[1 - self.side];
        let now = Instant::now();
        if state.dropped[1 - self.side] && other.end.is_some_and(|(at, _)| at <= now) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if state.lanes[self.side].unread >= WINDOW {
            state.lanes[self.side].writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let length = state.send(self.side, bytes, &self.link.weather);
        drop(state);
        let (number, side) = (self.link.number, self.side);
        self.link.log.note(format_args!("connection {number} {} {length}", ["up", "down"][side]));
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close(false);
        Poll::Ready(Ok(()))
    }
}

impl End {
    /// Tells the other side, if the network carries it.
    fn close(&self, is_reset: bool) {
        let mut state = self.link.state();
        let (now, is_dead) = (Instant::now(), state.dead_since.is_some());
        let lane = &mut state.lanes[self.side];
        if !is_dead && lane.end.is_none() {
            let at = self.link.weather.arrival(now, lane.free_at, 0).at;
            lane.end = Some((at, is_reset));
        }
        lane.wake();
    }
}

impl Wire for End {
    fn reset_when_dropped(&mut self) {
        self.resets = true;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // A socket that is closed with unread bytes sends a reset.
        let has_unread = !self.link.state().lanes[1 - self.side].under_way.is_empty();
        self.close(self.resets || has_unread);
        let mut state = self.link.state();
        state.dropped[self.side] = true;
        state.lanes.iter_mut().for_each(Lane::wake);
    }
}
