//! What other threads see of the operations of one store that wait: where they leave what is for the
//! JavaScript thread, and have it called. Knows no operation.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
    task::Wake,
    thread::{self, ThreadId},
};

use parking_lot::Mutex;

use super::bell::Bell;
use crate::{
    backend::Event,
    transport::{Protocol, Socket, Transport},
};

/// See the top of the file.
pub struct Mailbox {
    /// Set once JavaScript can be called.
    pub bell: OnceLock<Bell>,
    thread: ThreadId,
    /// The groups that were woken.
    pub ready: Mutex<VecDeque<u64>>,
    /// What JavaScript has not heard yet.
    pub events: Mutex<Vec<Event>>,
    /// Connections that JavaScript is to carry.
    pub carried: Mutex<Vec<(Socket, Arc<dyn Protocol>)>>,
    /// Another thread has made output.
    pub has_output: AtomicBool,
    /// Nothing is carried any more.
    pub is_closed: AtomicBool,
}

impl Mailbox {
    /// For the thread that it is made on.
    pub fn new() -> Mailbox {
        Mailbox {
            bell: OnceLock::new(),
            thread: thread::current().id(),
            ready: Mutex::default(),
            events: Mutex::default(),
            carried: Mutex::default(),
            has_output: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Leaves an event for JavaScript.
    pub fn post(&self, event: Event) {
        self.events.lock().push(event);
        self.ring();
    }

    /// Has JavaScript called, as soon as it can be.
    pub fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
    }
}

/// Has JavaScript carry connections, for as long as it has the store.
pub struct Carrier(pub Weak<Mailbox>);

impl Transport for Carrier {
    fn carry(&self, socket: Socket, protocol: Arc<dyn Protocol>) {
        let Some(mailbox) = self.0.upgrade() else { return protocol.lost() };
        let mut carried = mailbox.carried.lock();
        if mailbox.is_closed.load(Acquire) {
            drop(carried);
            return protocol.lost();
        }
        carried.push((socket, protocol));
        drop(carried);
        mailbox.ring();
    }

    fn wake(&self) {
        // On its own thread a flush is about to follow.
        if let Some(mailbox) = self.0.upgrade()
            && thread::current().id() != mailbox.thread
        {
            mailbox.has_output.store(true, Release);
            mailbox.ring();
        }
    }
}

/// The waker of a group of operations.
pub struct GroupBell {
    /// Of the group.
    pub id: u64,
    /// It was woken, and not polled since.
    pub awake: AtomicBool,
    mailbox: Arc<Mailbox>,
}

impl GroupBell {
    /// Of a group that was not woken.
    pub fn new(id: u64, mailbox: Arc<Mailbox>) -> GroupBell {
        GroupBell { id, awake: AtomicBool::new(false), mailbox }
    }
}

impl Wake for GroupBell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.awake.swap(true, AcqRel) {
            self.mailbox.ready.lock().push_back(self.id);
            self.mailbox.ring();
        }
    }
}
