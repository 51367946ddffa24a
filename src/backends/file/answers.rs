//! How the writer answers: each change has a place for its answer, and those of one transaction are all
//! filled before anybody is woken. Channels wake at each answer: whoever waits on another core then begins
//! with the first, and is woken again for every other. Knows nothing of changes.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

enum Place<T> {
    Empty(Option<Waker>),
    Filled(T),
    /// There will be no answer.
    Lost,
}

/// Where the writer puts an answer. Dropped without one, it tells that there will be none.
pub struct Sender<T>(Option<Arc<Mutex<Place<T>>>>);

/// The answer, or `None` where there will be none.
pub struct Receiver<T>(Arc<Mutex<Place<T>>>);

/// A place for one answer.
pub fn place<T>() -> (Sender<T>, Receiver<T>) {
    let place = Arc::new(Mutex::new(Place::Empty(None)));
    (Sender(Some(place.clone())), Receiver(place))
}

/// Wakes those whose places were filled.
#[derive(Default)]
pub struct Wakers(Vec<Waker>);

impl Wakers {
    fn add(&mut self, waker: Option<Waker>) {
        // Those that were asked for together wait together.
        if let Some(waker) = waker
            && self.0.last().is_none_or(|last| !last.will_wake(&waker))
        {
            self.0.push(waker);
        }
    }
}

impl Drop for Wakers {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

impl<T> Sender<T> {
    /// Fills the place; who waits is woken when `wakers` is dropped.
    pub fn fill(mut self, answer: T, wakers: &mut Wakers) {
        wakers.add(self.leave(Place::Filled(answer)));
    }

    fn leave(&mut self, left: Place<T>) -> Option<Waker> {
        match std::mem::replace(&mut *self.0.take()?.lock(), left) {
            Place::Empty(waker) => waker,
            Place::Filled(_) | Place::Lost => None,
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(waker) = self.leave(Place::Lost) {
            waker.wake();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut place = self.0.lock();
        if let Place::Empty(waker) = &mut *place {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        Poll::Ready(match std::mem::replace(&mut *place, Place::Lost) {
            Place::Filled(answer) => Some(answer),
            Place::Empty(_) | Place::Lost => None,
        })
    }
}
