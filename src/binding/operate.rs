//! Running an operation: to its end inside the call, or until it has to wait. Knows nothing of what
//! an operation does, or of how its outcome is told.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use napi::{Env, Result};

use super::{
    answer::{ID, Outcome, PENDING, Raw, STATUS, tell, undefined},
    handle::Handle,
    saving::Save,
    waiting::{Begun, Waiting},
};
use crate::{
    backend::{Answer, Touched},
    error::{Error, Kind},
    record::Record,
    store::Store,
};

/// Runs an operation whose backend answers inside the call.
pub fn settle<T>(future: impl Future<Output = crate::error::Result<T>>) -> crate::error::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => {
            Err(Error::new(Kind::Internal, "the backend did not answer inside the call"))
        }
    }
}

/// Runs an operation to its end, and tells how it ended.
pub fn inside(
    env: Env,
    handle: Handle<'_>,
    operation: &'static str,
    run: impl FnOnce(&Store) -> crate::error::Result<Outcome>,
) -> Result<Raw> {
    // Told in here: the results of operations are too large to be handed around.
    let told = catch_unwind(AssertUnwindSafe(|| {
        handle.with(|store| {
            let result = run(store).map_err(|error| error.at(store.backend(), operation));
            tell(env, handle, result).map_err(Box::new)
        })
    }));
    match told {
        Ok(Some(told)) => told.map_err(|error| *error),
        Ok(None) => tell(env, handle, Err(closed(operation))),
        Err(_) => tell(env, handle, Err(panicked(operation))),
    }
}

/// Runs an operation as far as it goes, and tells how it ended, or that it waits. `kind` is
/// [`Work::Any`] or [`Work::Walk`].
pub fn operate<F>(
    env: Env,
    handle: Handle<'_>,
    operation: &'static str,
    kind: fn(Boxed) -> Work,
    start: impl FnOnce(Arc<Store>) -> F,
) -> Result<Raw>
where
    F: Future<Output = crate::error::Result<Outcome>> + 'static,
{
    let Some(store) = handle.store() else { return tell(env, handle, Err(closed(operation))) };
    match handle.waiting() {
        Some(waiting) => {
            let (backend, work) = (store.backend(), kind(Box::pin(start(store))));
            begin(env, handle, waiting, Running { backend, operation, work })
        }
        None => {
            let future = start(store);
            inside(env, handle, operation, |_| settle(future))
        }
    }
}

/// As [`operate`], of what the backend has been asked for already: without a future around its own.
pub fn ask(
    env: Env,
    handle: Handle<'_>,
    operation: &'static str,
    ask: impl FnOnce(&Arc<Store>) -> crate::error::Result<Work>,
) -> Result<Raw> {
    let asked =
        catch_unwind(AssertUnwindSafe(|| handle.with(|store| (store.backend(), ask(store)))));
    match asked {
        Ok(Some((backend, Ok(work)))) => match handle.waiting() {
            Some(waiting) => begin(env, handle, waiting, Running { backend, operation, work }),
            None => inside(env, handle, operation, |_| settle(work)),
        },
        Ok(Some((backend, Err(error)))) => tell(env, handle, Err(error.at(backend, operation))),
        Ok(None) => tell(env, handle, Err(closed(operation))),
        Err(_) => tell(env, handle, Err(panicked(operation))),
    }
}

fn begin(env: Env, handle: Handle<'_>, waiting: &Waiting, running: Running) -> Result<Raw> {
    match waiting.begin(running, handle.number(ID) as u64) {
        Begun::Ended(result) => tell(env, handle, result),
        Begun::Waits => {
            handle.set(STATUS, PENDING);
            Ok(undefined())
        }
    }
}

/// A future of an operation's outcome.
pub type Boxed = Pin<Box<dyn Future<Output = crate::error::Result<Outcome>>>>;

/// What an operation waits for.
pub enum Work {
    /// A read of the backend's.
    Get(Answer<Option<Record>>),
    /// A touch of the backend's.
    Touch(Answer<Touched>),
    /// A save.
    Save(Save),
    /// Whatever else a session takes.
    Any(Boxed),
    /// A step that looks at many sessions, and may take several commands.
    Walk(Boxed),
}

impl Future for Work {
    type Output = crate::error::Result<Outcome>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Work::Get(answer) => Pin::new(answer).poll(cx).map_ok(Outcome::Session),
            Work::Touch(answer) => Pin::new(answer).poll(cx).map_ok(|_| Outcome::Done),
            Work::Save(save) => save.poll(cx),
            Work::Any(future) | Work::Walk(future) => future.as_mut().poll(cx),
        }
    }
}

/// An operation that may have to wait.
pub struct Running {
    backend: &'static str,
    operation: &'static str,
    work: Work,
}

impl Running {
    /// Whether it must not go on before JavaScript has heard of the answers before its own: what that
    /// begins then comes first.
    pub fn is_walk(&self) -> bool {
        matches!(self.work, Work::Walk(_))
    }

    /// Whether it may have asked its backend for something when it was polled.
    pub fn may_ask_for_more(&self) -> bool {
        !matches!(self.work, Work::Get(_))
    }

    /// Goes on with it.
    pub fn poll(&mut self, waker: &Waker) -> Poll<crate::error::Result<Outcome>> {
        let context = &mut Context::from_waker(waker);
        match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.work).poll(context))) {
            Ok(poll) => poll.map_err(|error| error.at(self.backend, self.operation)),
            Err(_) => Poll::Ready(Err(panicked(self.operation))),
        }
    }
}

fn closed(operation: &'static str) -> Error {
    Error::new(Kind::Closed, "the store was closed").at("", operation)
}

fn panicked(operation: &'static str) -> Error {
    Error::new(
        Kind::Internal,
        "a fault of rust-session-store; please report it with the text on stderr",
    )
    .at("", operation)
}
