//! Calls that share one write. The commands of one turn of the event loop are gathered into a batch;
//! each call holds its place in it and is answered when the batch is. Knows nothing of connections.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use redis::{ServerError, Value};
use tokio::time::Instant;

use super::{
    command::Command,
    failure::Failure,
    frames::Frames,
    packed::{Kept, Packed},
    reply::{Reply, misunderstood},
};

/// Commands that wait to be sent together.
pub struct Batch {
    pub commands: Packed,
    pub answers: Arc<Answers>,
    /// When the first of them was asked for.
    pub since: Instant,
}

impl Batch {
    /// With room for so many commands and bytes.
    pub fn new((commands, bytes): (usize, usize)) -> Batch {
        Batch {
            commands: Packed::with_capacity(commands, bytes),
            answers: Arc::default(),
            since: Instant::now(),
        }
    }

    /// Adds a command; its answer is the call's.
    pub fn add(&mut self, command: &Command<'_>) -> Call {
        let index = self.commands.len();
        self.commands.push(command);
        Call::Sent { answers: self.answers.clone(), index }
    }
}

/// What [`Answers::take`] has taken.
#[derive(Default)]
pub struct Taken {
    /// All answers of the batch are there.
    pub is_whole: bool,
    /// One of them says that the server is no master any more.
    pub is_from_replica: bool,
}

/// A master that became a replica has to be left.
pub fn is_from_replica(error: &ServerError) -> bool {
    error.code() == "READONLY"
}

/// Where the answers of a batch arrive.
#[derive(Default)]
pub struct Answers(Mutex<State>);

#[derive(Default)]
struct State {
    /// The answers that are there, in the order of the commands.
    replies: Vec<Reply>,
    /// Why there will be no more.
    failure: Option<Failure>,
    /// The commands: until all were answered, and longer if one of them with an error.
    sent: Option<Packed>,
    is_refused: bool,
    /// Whoever waits is usually one and the same, and then is woken once.
    waker: Option<Waker>,
    /// The wakers of calls that are waited for by somebody else, by their place.
    others: Vec<Option<Waker>>,
}

impl Answers {
    /// The commands were sent; their answers are to be [taken](Answers::take) as they come.
    pub fn expect(&self, sent: Packed) {
        let mut state = self.0.lock();
        state.replies.reserve_exact(sent.len());
        state.sent = Some(sent);
    }

    /// Takes the next answers, as far as they are there, and wakes those who wait for them.
    pub fn take(&self, frames: &mut Frames) -> Result<Taken, Failure> {
        let mut state = self.0.lock();
        let State { replies, sent, is_refused, .. } = &mut *state;
        let (before, count) = (replies.len(), sent.as_ref().map_or(0, Packed::len));
        let mut taken = Taken::default();
        while replies.len() < count
            && let Some(reply) = frames.next()?
        {
            if let Reply::Error(error) = &reply {
                *is_refused = true;
                taken.is_from_replica |= is_from_replica(error);
            }
            replies.push(reply);
        }
        taken.is_whole = replies.len() == count;
        if taken.is_whole && !*is_refused {
            *sent = None;
        }
        let is_news = replies.len() > before;
        drop(state);
        if is_news {
            self.wake();
        }
        Ok(taken)
    }

    /// Delivers the server's answers, one for each command.
    pub fn deliver(&self, replies: Vec<Value>, sent: Packed) {
        let mut state = self.0.lock();
        state.replies = replies.into_iter().map(Reply::from).collect();
        state.is_refused = state.replies.iter().any(|reply| matches!(reply, Reply::Error(_)));
        state.sent = state.is_refused.then_some(sent);
        // A call whose answer is not among them must not wait for it.
        state.failure = Some(misunderstood());
        drop(state);
        self.wake();
    }

    /// Fails every call of the batch that was not answered.
    pub fn fail(&self, failure: Failure) {
        self.0.lock().failure = Some(failure);
        self.wake();
    }

    /// Wakes those who wait.
    fn wake(&self) {
        let mut state = self.0.lock();
        let (waker, others) = (state.waker.take(), std::mem::take(&mut state.others));
        drop(state);
        waker.into_iter().chain(others.into_iter().flatten()).for_each(Waker::wake);
    }
}

impl State {
    fn wait(&mut self, index: usize, waker: &Waker) {
        match &self.waker {
            Some(known) if known.will_wake(waker) => {}
            None => self.waker = Some(waker.clone()),
            Some(_) => {
                if self.others.len() <= index {
                    self.others.resize(index + 1, None);
                }
                self.others[index] = Some(waker.clone());
            }
        }
    }
}

/// The answer to one command: the value, or why there is none.
pub enum Call {
    /// Waits for its place in a batch.
    Sent { answers: Arc<Answers>, index: usize },
    /// Failed before it was sent. Boxed: a call is made for each operation.
    Failed(Box<Failure>),
}

impl From<Failure> for Call {
    fn from(failure: Failure) -> Call {
        Call::Failed(failure.into())
    }
}

impl Call {
    /// The command itself, once the server has answered it with an error.
    pub fn command(&self) -> Option<Kept> {
        let Call::Sent { answers, index } = self else { return None };
        answers.0.lock().sent.as_ref()?.get(*index)
    }
}

impl Future for Call {
    type Output = Result<Reply, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (answers, index) = match &*self {
            Call::Sent { answers, index } => (answers, *index),
            Call::Failed(failure) => return Poll::Ready(Err((**failure).clone())),
        };
        let mut state = answers.0.lock();
        let answer = state.replies.get_mut(index).map(std::mem::take);
        match (answer, &state.failure) {
            (Some(Reply::Error(error)), _) => Poll::Ready(Err(error.into())),
            (Some(reply), _) => Poll::Ready(Ok(reply)),
            (None, Some(failure)) => Poll::Ready(Err(failure.clone())),
            (None, None) => {
                state.wait(index, cx.waker());
                Poll::Pending
            }
        }
    }
}
