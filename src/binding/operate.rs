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
    waiting::Begun,
};
use crate::{
    error::{Error, Kind},
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
    let done = catch_unwind(AssertUnwindSafe(|| {
        handle.with(|store| run(store).map_err(|error| error.at(store.backend(), operation)))
    }));
    let result = match done {
        Ok(Some(result)) => result,
        Ok(None) => Err(closed(operation)),
        Err(_) => Err(panicked(operation)),
    };
    tell(env, handle, result)
}

/// Runs an operation as far as it goes, and tells how it ended, or that it waits, and as which.
pub fn operate<F>(
    env: Env,
    handle: Handle<'_>,
    operation: &'static str,
    start: impl FnOnce(Arc<Store>) -> F,
) -> Result<Raw>
where
    F: Future<Output = crate::error::Result<Outcome>> + 'static,
{
    let Some(store) = handle.store() else { return tell(env, handle, Err(closed(operation))) };
    let Some(waiting) = handle.waiting() else {
        let future = start(store);
        return inside(env, handle, operation, |_| settle(future));
    };
    let backend = store.backend();
    match waiting.begin(Running { backend, operation, future: Box::pin(start(store)) }) {
        Begun::Ended(result) => tell(env, handle, result),
        Begun::Waits(id) => {
            handle.set(STATUS, PENDING);
            handle.set(ID, id as f64);
            Ok(undefined())
        }
    }
}

/// An operation that may have to wait.
pub struct Running {
    backend: &'static str,
    operation: &'static str,
    future: Pin<Box<dyn Future<Output = crate::error::Result<Outcome>>>>,
}

impl Running {
    /// Goes on with it.
    pub fn poll(&mut self, waker: &Waker) -> Poll<crate::error::Result<Outcome>> {
        let context = &mut Context::from_waker(waker);
        match catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(context))) {
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
