//! One connection whose bytes a [`Transport`] moves: batches go out, and their answers are told where they
//! are read. Knows nothing of how the connection was made, and of no retry.

use std::{collections::VecDeque, io, net::Shutdown, sync::Arc, time::Duration};

use parking_lot::Mutex;
use redis::RedisError;
use socket2::Socket;
use tokio::{sync::Notify, time::Instant};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    batch::{Answers, Batch},
    connection::is_steady,
    failure::Failure,
    frames::Frames,
    reply::misunderstood,
};
use crate::transport::{Protocol, Transport};

/// Room that is kept for the next commands, in bytes.
const KEPT: usize = 1 << 20;

/// See the top of the file.
pub struct Lane {
    /// The connection, to end it: whoever carries it reads and writes.
    socket: Socket,
    transport: Arc<dyn Transport>,
    since: Instant,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    output: Vec<u8>,
    /// How much of the output was handed over.
    taken: usize,
    frames: Frames,
    under_way: VecDeque<UnderWay>,
    /// When the server last said something.
    heard: Option<Instant>,
    is_over: bool,
    was_silent: bool,
}

/// A batch whose answers are not all there.
struct UnderWay {
    answers: Arc<Answers>,
    /// When it was handed over to be written.
    sent: Option<Instant>,
    _token: TaskTrackerToken,
}

impl Lane {
    #[cfg_attr(not(unix), allow(dead_code))]
    pub fn new(socket: Socket, transport: Arc<dyn Transport>) -> Lane {
        let since = Instant::now();
        Lane { socket, transport, since, state: Mutex::default(), ended: Notify::new() }
    }

    /// Sends a batch after those before it. The token is held until it was answered.
    pub fn send(&self, batch: Batch, token: TaskTrackerToken) {
        let Batch { commands, answers, .. } = batch;
        let mut state = self.state.lock();
        if state.is_over {
            drop(state);
            answers.fail(gone());
            return;
        }
        state.output.extend_from_slice(commands.bytes());
        answers.expect(commands);
        state.under_way.push_back(UnderWay { answers, sent: None, _token: token });
        drop(state);
        self.transport.wake();
    }

    /// Calls have been waiting for long. Where nothing at all came for as long since the oldest of them
    /// was sent, the server is silent and not slow, and the connection is given up.
    pub fn late(&self, patience: Duration) {
        let mut state = self.state.lock();
        let sent = state.under_way.front().and_then(|batch| batch.sent);
        let is_silent = sent.is_some_and(|sent| {
            state.heard.map_or(sent, |heard| heard.max(sent)).elapsed() >= patience
        });
        state.was_silent |= is_silent;
        drop(state);
        if is_silent {
            self.end();
        }
    }

    /// Resolves once it has ended, to whether that was because the server was silent.
    pub async fn ended(&self) -> bool {
        self.ended.notified().await;
        self.state.lock().was_silent
    }

    /// Ends the connection. What is under way fails.
    pub fn end(&self) {
        let mut state = self.state.lock();
        let was_over = std::mem::replace(&mut state.is_over, true);
        let under_way = std::mem::take(&mut state.under_way);
        drop(state);
        if was_over {
            return;
        }
        // Whoever carries it reads the end, and lets go of it.
        let _ = self.socket.shutdown(Shutdown::Both);
        under_way.into_iter().for_each(|batch| batch.answers.fail(gone()));
        self.ended.notify_one();
    }
}

impl State {
    /// Tells the calls of one batch after the other what has come, and whether the connection is of use
    /// still.
    fn answer(&mut self, since: Instant) -> Result<bool, Failure> {
        let mut is_left = false;
        while let Some(batch) = self.under_way.front() {
            let taken = batch.answers.take(&mut self.frames)?;
            is_left |= taken.is_from_replica;
            if !taken.is_whole {
                return Ok(!is_left || !is_steady(since));
            }
            self.under_way.pop_front();
        }
        // An answer that nobody has asked for.
        match self.frames.next()? {
            Some(_) => Err(misunderstood()),
            None => Ok(!is_left || !is_steady(since)),
        }
    }
}

impl Protocol for Lane {
    fn has_output(&self) -> bool {
        !self.state.lock().output.is_empty()
    }

    fn output(&self, room: &mut [u8]) -> usize {
        let mut state = self.state.lock();
        let State { output, taken, under_way, .. } = &mut *state;
        let next = &output[*taken..];
        let length = next.len().min(room.len());
        room[..length].copy_from_slice(&next[..length]);
        *taken += length;
        if *taken == output.len() {
            output.clear();
            output.shrink_to(KEPT);
            *taken = 0;
            let now = Instant::now();
            let unsent = under_way.iter_mut().rev().take_while(|batch| batch.sent.is_none());
            unsent.for_each(|batch| batch.sent = Some(now));
        }
        length
    }

    fn received(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        state.heard = Some(Instant::now());
        state.frames.add(bytes);
        let is_of_use = state.answer(self.since).unwrap_or(false);
        drop(state);
        if !is_of_use {
            self.end();
        }
    }

    fn lost(&self) {
        self.end();
    }
}

/// As a connection that ends says it.
fn gone() -> Failure {
    RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe)).into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use socket2::{Domain, Type};
    use tokio_util::task::TaskTracker;

    use super::{super::command::Command, *};
    use crate::transport::Socket as Carried;

    const AT_ONCE: Duration = Duration::ZERO;
    const NEVER: Duration = Duration::from_secs(3_600);

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Transport for Counting {
        fn carry(&self, _: Carried, _: Arc<dyn Protocol>) {}

        fn wake(&self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn lane() -> Lane {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        Lane::new(socket, Arc::<Counting>::default())
    }

    /// Sends a batch of one command, and has it written.
    fn send(lane: &Lane) -> Arc<Answers> {
        let mut batch = Batch::new((1, 0));
        drop(batch.add(&Command::new("PING")));
        let answers = batch.answers.clone();
        lane.send(batch, TaskTracker::new().token());
        assert!(lane.has_output());
        assert!(lane.output(&mut [0; 64]) > 0 && !lane.has_output());
        answers
    }

    fn is_over(lane: &Lane) -> bool {
        lane.state.lock().is_over
    }

    #[test]
    fn who_owes_no_answer_is_not_silent() {
        let lane = lane();
        lane.late(AT_ONCE);
        send(&lane);
        lane.received(b"+PONG\r\n");
        lane.late(AT_ONCE);
        assert!(!is_over(&lane));
    }

    #[test]
    fn silence_is_noticed_also_after_an_answer_and_a_part_of_the_next() {
        let lane = lane();
        send(&lane);
        send(&lane);
        lane.received(b"+PONG\r\n+PO");
        lane.late(NEVER);
        assert!(!is_over(&lane));
        lane.late(AT_ONCE);
        assert!(is_over(&lane));
    }

    #[test]
    fn what_is_not_written_yet_is_no_silence_of_the_server() {
        let lane = lane();
        let mut batch = Batch::new((1, 0));
        drop(batch.add(&Command::new("PING")));
        lane.send(batch, TaskTracker::new().token());
        lane.late(AT_ONCE);
        assert!(!is_over(&lane));
    }

    #[test]
    fn an_answer_that_nobody_asked_for_ends_it() {
        let lane = lane();
        lane.received(b"+PONG\r\n");
        assert!(is_over(&lane));
    }
}
