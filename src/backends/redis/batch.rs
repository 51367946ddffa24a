//! Calls that share one write. The commands of one turn of the event loop are gathered into a batch;
//! each call holds its place in it and is answered when the batch is. Knows nothing of connections.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use redis::{Cmd, Pipeline, Value};
use tokio::time::Instant;

use super::failure::Failure;

/// Commands that wait to be sent together.
pub struct Batch {
    pub commands: Pipeline,
    pub answers: Arc<Answers>,
    /// When the first of them was asked for.
    pub since: Instant,
}

impl Batch {
    pub fn new(capacity: usize) -> Batch {
        Batch {
            commands: Pipeline::with_capacity(capacity),
            answers: Arc::default(),
            since: Instant::now(),
        }
    }

    /// Adds a command; its answer is the call's.
    pub fn add(&mut self, command: Cmd) -> Call {
        let index = self.commands.len();
        self.commands.add_command(command);
        Call::Sent { answers: self.answers.clone(), index }
    }
}

/// Where the answers of a batch arrive.
#[derive(Default)]
pub struct Answers(Mutex<State>);

#[derive(Default)]
struct State {
    /// The answers that are there, in the order of the commands.
    replies: Vec<Value>,
    /// Why there will be no more.
    failure: Option<Failure>,
    /// The commands: until all were answered, and longer if one of them with an error.
    sent: Option<Pipeline>,
    is_refused: bool,
    /// Whoever waits is usually one and the same, and then is woken once.
    waker: Option<Waker>,
    /// The wakers of calls that are waited for by somebody else, by their place.
    others: Vec<Option<Waker>>,
}

impl Answers {
    /// The commands were sent; their answers are to be [added](Answers::add) as they come.
    pub fn expect(&self, sent: Pipeline) {
        let mut state = self.0.lock();
        state.replies.reserve_exact(sent.len());
        state.sent = Some(sent);
    }

    /// Adds the next answer, and says whether it was the last. The calls learn of it by
    /// [`Answers::wake`].
    pub fn add(&self, reply: Value) -> bool {
        let mut state = self.0.lock();
        state.is_refused |= matches!(reply, Value::ServerError(_));
        state.replies.push(reply);
        let is_last = state.sent.as_ref().is_none_or(|sent| sent.len() == state.replies.len());
        if is_last && !state.is_refused {
            state.sent = None;
        }
        is_last
    }

    /// Delivers the server's answers, one for each command.
    pub fn deliver(&self, replies: Vec<Value>, sent: Pipeline) {
        let mut state = self.0.lock();
        state.is_refused = replies.iter().any(|reply| matches!(reply, Value::ServerError(_)));
        state.sent = state.is_refused.then_some(sent);
        state.replies = replies;
        // A call whose answer is not among them must not wait for it.
        state.failure = Some(super::reply::misunderstood());
        drop(state);
        self.wake();
    }

    /// Fails every call of the batch that was not answered.
    pub fn fail(&self, failure: Failure) {
        self.0.lock().failure = Some(failure);
        self.wake();
    }

    /// Wakes those who wait.
    pub fn wake(&self) {
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
    pub fn command(&self) -> Option<Cmd> {
        let Call::Sent { answers, index } = self else { return None };
        answers.0.lock().sent.as_ref()?.cmd_iter().nth(*index).cloned()
    }
}

impl Future for Call {
    type Output = Result<Value, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (answers, index) = match &*self {
            Call::Sent { answers, index } => (answers, *index),
            Call::Failed(failure) => return Poll::Ready(Err((**failure).clone())),
        };
        let mut state = answers.0.lock();
        let answer = state.replies.get_mut(index).map(std::mem::take);
        match (answer, &state.failure) {
            (Some(Value::ServerError(error)), _) => Poll::Ready(Err(error.into())),
            (Some(value), _) => Poll::Ready(Ok(value)),
            (None, Some(failure)) => Poll::Ready(Err(failure.clone())),
            (None, None) => {
                state.wait(index, cx.waker());
                Poll::Pending
            }
        }
    }
}
