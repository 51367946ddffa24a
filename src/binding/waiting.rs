//! Operations of one store whose answers come later. They are polled here, on the JavaScript thread:
//! what a backend's own threads do is wake. Knows nothing of what an operation does.
//!
//! Operations that begin in one turn of the event loop are a group with one waker, since a backend
//! sends them together and mostly gets their answers together: one wake-up, and one call into
//! JavaScript, for all of them. There lib/waiting.js takes one answer after the other.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
    task::{Poll, Waker},
    vec::IntoIter,
};

use napi::{Result, sys};

use super::{
    answer::Outcome,
    bell::Bell,
    lines::Lines,
    mailbox::{GroupBell, Mailbox},
    operate::Running,
};
use crate::backend::Event;

/// How an operation began.
pub enum Begun {
    /// It has ended already.
    Ended(crate::error::Result<Outcome>),
    /// It waits.
    Waits,
}

/// See [`Waiting::rest`].
#[derive(Default)]
pub struct ToDo {
    /// To flush.
    pub flush: bool,
    /// To take the events.
    pub hear: bool,
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
    waker: Waker,
    bell: Arc<GroupBell>,
    left: IntoIter<Operation>,
    /// Those that go on waiting.
    waiting: Vec<Operation>,
}

/// See the top of the file.
pub struct Waiting {
    mailbox: Arc<Mailbox>,
    /// The group of this turn, until it is sent.
    beginning: RefCell<Option<Group>>,
    /// Those that were sent.
    groups: RefCell<HashMap<u64, Group>>,
    drained: RefCell<Option<Drained>>,
    /// The connections that JavaScript carries.
    pub lines: Lines,
    /// An operation has gone on, and may have asked its backend for more.
    has_gone_on: Cell<bool>,
    next_id: Cell<u64>,
}

impl Waiting {
    /// `ready` is a JavaScript function that takes all answers there are.
    pub fn new(
        env: sys::napi_env,
        ready: sys::napi_value,
        mailbox: Arc<Mailbox>,
    ) -> Result<Waiting> {
        let _ = mailbox.bell.set(Bell::new(env, ready)?);
        // For what has come before there was a bell.
        mailbox.ring();
        Ok(Waiting {
            mailbox,
            lines: Lines::default(),
            has_gone_on: Cell::new(false),
            beginning: RefCell::new(None),
            groups: RefCell::default(),
            drained: RefCell::new(None),
            next_id: Cell::new(1),
        })
    }

    fn new_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    fn new_group(&self) -> Group {
        let (id, mailbox) = (self.new_id(), self.mailbox.clone());
        let bell = Arc::new(GroupBell::new(id, mailbox));
        Group { waker: bell.clone().into(), bell, operations: Vec::new() }
    }

    /// Begins an operation, as one of this turn's. Where it waits, its answer comes under `id`.
    pub fn begin(&self, mut running: Running, id: u64) -> Begun {
        let mut beginning = self.beginning.borrow_mut();
        let group = beginning.get_or_insert_with(|| self.new_group());
        match running.poll(&group.waker) {
            Poll::Ready(result) => {
                if running.may_ask_for_more() {
                    // JavaScript takes it for ended, and has nothing flushed for it.
                    self.has_gone_on.set(true);
                    self.mailbox.ring();
                }
                Begun::Ended(result)
            }
            Poll::Pending => {
                group.operations.push(Operation { id, running });
                Begun::Waits
            }
        }
    }

    /// Ends the turn: what begins from now on is of the next group.
    pub fn end_turn(&self) {
        self.has_gone_on.set(false);
        self.mailbox.has_output.store(false, Relaxed);
        let Some(group) = self.beginning.take() else { return };
        if !group.operations.is_empty() {
            self.groups.borrow_mut().insert(group.bell.id, group);
        }
    }

    /// The next answer that is there, and which operation it is of. After the `first` one, none of what
    /// comes later if it is [a walk](Running::is_walk) that is next.
    pub fn next(&self, first: bool) -> Option<(u64, crate::error::Result<Outcome>)> {
        loop {
            let mut place = self.drained.borrow_mut();
            if place.is_none() {
                *place = Some(self.next_group()?);
            }
            let drained = place.as_mut()?;
            while let Some(next) = drained.left.as_slice().first() {
                if !first && next.running.is_walk() {
                    return None;
                }
                let Some(mut operation) = drained.left.next() else { break };
                let polled = operation.running.poll(&drained.waker);
                if operation.running.may_ask_for_more() {
                    self.has_gone_on.set(true);
                }
                match polled {
                    Poll::Ready(result) => {
                        if drained.left.len() == 0
                            && let Some(drained) = place.take()
                        {
                            self.put_back(drained);
                        }
                        return Some((operation.id, result));
                    }
                    Poll::Pending => drained.waiting.push(operation),
                }
            }
            self.put_back(place.take()?);
        }
    }

    /// Whether [`Waiting::next`] has no answer.
    pub fn is_drained(&self) -> bool {
        self.drained.borrow().is_none() && self.mailbox.ready.lock().is_empty()
    }

    /// A group all of whose operations were polled.
    fn put_back(&self, Drained { waker, bell, waiting, .. }: Drained) {
        if !waiting.is_empty() {
            let group = Group { waker, bell, operations: waiting };
            self.groups.borrow_mut().insert(group.bell.id, group);
        }
    }

    /// The next group that was woken. One that is woken before it was sent stays for its answers, and
    /// what begins from then on is of another.
    fn next_group(&self) -> Option<Drained> {
        loop {
            let id = self.mailbox.ready.lock().pop_front()?;
            if self.beginning.borrow().as_ref().is_some_and(|group| group.bell.id == id) {
                self.end_turn();
            }
            let Some(group) = self.groups.borrow_mut().remove(&id) else { continue };
            let Group { waker, bell, operations } = group;
            // Before its operations are polled: what wakes it from now on is news.
            bell.awake.store(false, Release);
            return Some(Drained {
                waker,
                bell,
                left: operations.into_iter(),
                waiting: Vec::new(),
            });
        }
    }

    /// There are no more answers: `ready` is to be called for the next. Says what there is to do before.
    pub fn rest(&self) -> ToDo {
        let Some(bell) = self.mailbox.bell.get() else { return ToDo::default() };
        bell.answered();
        // A group may have been woken before the bell was told, and then did not ring it.
        if !self.mailbox.ready.lock().is_empty() {
            bell.ring();
        }
        let Mailbox { events, carried, has_output, .. } = &*self.mailbox;
        ToDo {
            flush: self.has_gone_on.get() || has_output.load(Acquire),
            hear: !events.lock().is_empty() || !carried.lock().is_empty(),
        }
    }

    /// Answers are about to come on this thread, and will be taken: nobody needs to be called.
    fn expect(&self) {
        if let Some(bell) = self.mailbox.bell.get() {
            bell.expect();
        }
    }

    /// The numbers of connections that are to be carried from now on.
    pub fn carried(&self) -> Vec<u32> {
        let carried = std::mem::take(&mut *self.mailbox.carried.lock());
        carried.into_iter().map(|(socket, protocol)| self.lines.enter(socket, protocol)).collect()
    }

    /// Takes what was read from a connection.
    pub fn received(&self, line: u32, bytes: &[u8]) {
        let Some(protocol) = self.lines.protocol(line) else { return };
        self.expect();
        if catch_unwind(AssertUnwindSafe(|| protocol.received(bytes))).is_err() {
            protocol.lost();
        }
    }

    /// A connection has ended.
    pub fn lost(&self, line: u32) {
        if let Some(protocol) = self.lines.leave(line) {
            self.expect();
            protocol.lost();
        }
    }

    /// Gives an operation up.
    pub fn cancel(&self, id: u64) {
        let mut given_up = None;
        let mut take = |operations: &mut Vec<Operation>| {
            let index = operations.iter().position(|operation| operation.id == id);
            given_up = index.map(|index| operations.remove(index));
            given_up.is_some()
        };
        // Answers that there were too many of for one turn are still to be taken.
        let mut take_drained = |drained: &mut Drained| {
            let mut left: Vec<_> = std::mem::take(&mut drained.left).collect();
            let is_taken = take(&mut left) || take(&mut drained.waiting);
            drained.left = left.into_iter();
            is_taken
        };
        let _ = self.drained.borrow_mut().as_mut().is_some_and(&mut take_drained)
            || self.beginning.borrow_mut().as_mut().is_some_and(|it| take(&mut it.operations))
            || self.groups.borrow_mut().values_mut().any(|it| take(&mut it.operations));
        self.groups.borrow_mut().retain(|_, group| !group.operations.is_empty());
        // Only now: what is dropped may wake others.
        drop(given_up);
    }

    /// What the backend had to say since the last time.
    pub fn events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.mailbox.events.lock())
    }

    /// No call reaches JavaScript from here on.
    pub fn close(&self, env: sys::napi_env) {
        if let Some(bell) = self.mailbox.bell.get() {
            bell.close(env);
        }
        self.mailbox.is_closed.store(true, Release);
        let carried = std::mem::take(&mut *self.mailbox.carried.lock());
        let carried = carried.into_iter().map(|(_, protocol)| protocol);
        carried.chain(self.lines.take()).for_each(|protocol| protocol.lost());
        self.beginning.take();
        self.groups.take();
        self.drained.take();
    }
}
