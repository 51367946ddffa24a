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
    outcome: Option<Outcome>,
    /// Whoever waits is usually one and the same, and then is woken once.
    waker: Option<Waker>,
    /// The wakers of calls that are waited for by somebody else, by their place.
    others: Vec<Option<Waker>>,
}

enum Outcome {
    /// A value for each command, and the commands, if one of them has failed.
    Replies(Vec<Value>, Option<Pipeline>),
    /// No command was answered.
    Failed(Failure),
}

impl Answers {
    /// Delivers the server's answers, one for each command.
    pub fn deliver(&self, replies: Vec<Value>, sent: Pipeline) {
        let failed = replies.iter().any(|reply| matches!(reply, Value::ServerError(_)));
        self.finish(Outcome::Replies(replies, failed.then_some(sent)));
    }

    /// Fails every call of the batch.
    pub fn fail(&self, failure: Failure) {
        self.finish(Outcome::Failed(failure));
    }

    fn finish(&self, outcome: Outcome) {
        let mut state = self.0.lock();
        state.outcome = Some(outcome);
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
        match &answers.0.lock().outcome {
            Some(Outcome::Replies(_, Some(sent))) => sent.cmd_iter().nth(*index).cloned(),
            _ => None,
        }
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
        Poll::Ready(match &mut state.outcome {
            None => {
                state.wait(index, cx.waker());
                return Poll::Pending;
            }
            Some(Outcome::Failed(failure)) => Err(failure.clone()),
            Some(Outcome::Replies(replies, _)) => {
                match replies.get_mut(index).map(std::mem::take) {
                    Some(Value::ServerError(error)) => Err(error.into()),
                    Some(value) => Ok(value),
                    None => Err(super::reply::misunderstood()),
                }
            }
        })
    }
}
