//! Operations of one store whose answers come later. They are polled here, on the JavaScript thread:
//! what a backend's own threads do is wake. Knows nothing of what an operation does.
//!
//! Operations that begin in one turn of the event loop are a group with one waker, since a backend
//! sends them together and mostly gets their answers together: one wake-up, and one call into
//! JavaScript, for all of them. There lib/waiting.js takes one answer after the other.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Release},
        },
    },
    task::{Poll, Wake, Waker},
    vec::IntoIter,
};

use napi::{Result, sys};
use parking_lot::Mutex;

use super::{answer::Outcome, bell::Bell, operate::Running};
use crate::backend::Event;

/// How an operation began.
pub enum Begun {
    /// It has ended already.
    Ended(crate::error::Result<Outcome>),
    /// It waits under this number.
    Waits(u64),
}

struct Operation {
    id: u64,
    running: Running,
}

struct Group {
    waker: Waker,
    bell: Arc<GroupBell>,
    operations: Vec<Operation>,
}

/// A woken group whose operations are being polled.
struct Drained {
    id: u64,
    waker: Waker,
    bell: Arc<GroupBell>,
    left: IntoIter<Operation>,
    /// Those that go on waiting.
    waiting: Vec<Operation>,
}

/// What other threads see of this.
pub struct Mailbox {
    bell: Bell,
    ready: Mutex<VecDeque<u64>>,
    events: Mutex<Vec<Event>>,
}

impl Mailbox {
    /// Leaves an event for JavaScript.
    pub fn post(&self, event: Event) {
        self.events.lock().push(event);
        self.bell.ring();
    }
}

struct GroupBell {
    id: u64,
    /// It was woken, and not polled since.
    awake: AtomicBool,
    mailbox: Arc<Mailbox>,
}

impl Wake for GroupBell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.awake.swap(true, AcqRel) {
            self.mailbox.ready.lock().push_back(self.id);
            self.mailbox.bell.ring();
        }
    }
}

/// See the top of the file.
pub struct Waiting {
    mailbox: Arc<Mailbox>,
    groups: RefCell<HashMap<u64, Group>>,
    /// The group of this turn, until it is sent.
    beginning: Cell<Option<u64>>,
    drained: RefCell<Option<Drained>>,
    next_id: Cell<u64>,
}

impl Waiting {
    /// `ready` is a JavaScript function that takes all answers there are.
    pub fn new(env: sys::napi_env, ready: sys::napi_value) -> Result<Waiting> {
        Ok(Waiting {
            mailbox: Arc::new(Mailbox {
                bell: Bell::new(env, ready)?,
                ready: Mutex::default(),
                events: Mutex::default(),
            }),
            groups: RefCell::default(),
            beginning: Cell::new(None),
            drained: RefCell::new(None),
            next_id: Cell::new(1),
        })
    }

    /// See [`Mailbox`].
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    fn new_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    /// Begins an operation, as one of this turn's.
    pub fn begin(&self, mut running: Running) -> Begun {
        let group = self.beginning.get().unwrap_or_else(|| {
            let id = self.new_id();
            self.beginning.set(Some(id));
            id
        });
        let mut groups = self.groups.borrow_mut();
        let group = groups.entry(group).or_insert_with(|| {
            let mailbox = self.mailbox.clone();
            let bell = Arc::new(GroupBell { id: group, awake: AtomicBool::new(false), mailbox });
            Group { waker: bell.clone().into(), bell, operations: Vec::new() }
        });
        match running.poll(&group.waker) {
            Poll::Ready(result) => Begun::Ended(result),
            Poll::Pending => {
                let id = self.new_id();
                group.operations.push(Operation { id, running });
                Begun::Waits(id)
            }
        }
    }

    /// Ends the turn: what begins from now on is of the next group.
    pub fn end_turn(&self) {
        if let Some(id) = self.beginning.take() {
            let mut groups = self.groups.borrow_mut();
            if groups.get(&id).is_some_and(|group| group.operations.is_empty()) {
                groups.remove(&id);
            }
        }
    }

    /// The next answer that is there, and which operation it is of.
    pub fn next(&self) -> Option<(u64, crate::error::Result<Outcome>)> {
        loop {
            let mut place = self.drained.borrow_mut();
            if place.is_none() {
                *place = Some(self.next_group()?);
            }
            let drained = place.as_mut()?;
            for mut operation in drained.left.by_ref() {
                match operation.running.poll(&drained.waker) {
                    Poll::Ready(result) => return Some((operation.id, result)),
                    Poll::Pending => drained.waiting.push(operation),
                }
            }
            let Drained { id, waker, bell, waiting, .. } = place.take()?;
            let mut groups = self.groups.borrow_mut();
            match groups.get_mut(&id) {
                // Operations have begun in this group while it was polled.
                Some(group) => group.operations.extend(waiting),
                None if waiting.is_empty() => {}
                None => {
                    groups.insert(id, Group { waker, bell, operations: waiting });
                }
            }
        }
    }

    fn next_group(&self) -> Option<Drained> {
        loop {
            let Some(id) = self.mailbox.ready.lock().pop_front() else {
                self.mailbox.bell.answered();
                // One may have been woken before the bell was told, and then did not ring it.
                if self.mailbox.ready.lock().is_empty() {
                    return None;
                }
                continue;
            };
            let Some(group) = self.groups.borrow_mut().remove(&id) else { continue };
            let Group { waker, bell, operations } = group;
            // Before its operations are polled: what wakes it from now on is news.
            bell.awake.store(false, Release);
            let left = operations.into_iter();
            return Some(Drained { id, waker, bell, left, waiting: Vec::new() });
        }
    }

    /// Gives an operation up.
    pub fn cancel(&self, id: u64) {
        let mut groups = self.groups.borrow_mut();
        let mut given_up = None;
        for group in groups.values_mut() {
            if let Some(index) = group.operations.iter().position(|operation| operation.id == id) {
                given_up = Some(group.operations.remove(index));
                break;
            }
        }
        groups
            .retain(|id, group| !group.operations.is_empty() || self.beginning.get() == Some(*id));
        drop(groups);
        drop(given_up);
    }

    /// What the backend had to say since the last time.
    pub fn events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.mailbox.events.lock())
    }

    /// No call reaches JavaScript from here on.
    pub fn close(&self, env: sys::napi_env) {
        self.mailbox.bell.close(env);
        self.groups.borrow_mut().clear();
        self.drained.borrow_mut().take();
    }
}
