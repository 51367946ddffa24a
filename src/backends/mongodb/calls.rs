//! The calls that wait to be sent. Those of one turn of the event loop go out together. Sends nothing,
//! and knows nothing of MongoDB.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    backend::{Replaced, Touched, Written},
    error::{Error, Result},
    record::{ExpiryRule, Millis, Record, Touch},
};

/// Where an answer goes. Closed once nobody waits for it any more.
pub type Slot<T> = oneshot::Sender<Result<T>>;

/// What is asked for one record.
pub struct Call {
    pub id: Bytes,
    pub task: Task,
}

/// What is asked for.
pub enum Task {
    Get { now: Millis, slot: Slot<Option<Record>> },
    Put { payload: Bytes, expires: Millis, slot: Slot<Written> },
    Replace(Replace),
    Touch { touch: Touch, now: Millis, slot: Slot<Touched> },
    Remove { slot: Slot<()> },
}

/// A compare-and-set.
pub struct Replace {
    /// The text it must still be; none for any.
    pub seen: Option<Bytes>,
    pub payload: Bytes,
    pub expires: Millis,
    pub rule: ExpiryRule,
    pub now: Millis,
    pub slot: Slot<Replaced>,
}

impl Call {
    /// Whether nobody waits for the answer any more.
    pub fn is_given_up(&self) -> bool {
        match &self.task {
            Task::Get { slot, .. } => slot.is_closed(),
            Task::Put { slot, .. } => slot.is_closed(),
            Task::Replace(replace) => replace.slot.is_closed(),
            Task::Touch { slot, .. } => slot.is_closed(),
            Task::Remove { slot } => slot.is_closed(),
        }
    }

    /// Answers with a failure.
    pub fn fail(self, error: Error) {
        match self.task {
            Task::Get { slot, .. } => drop(slot.send(Err(error))),
            Task::Put { slot, .. } => drop(slot.send(Err(error))),
            Task::Replace(replace) => drop(replace.slot.send(Err(error))),
            Task::Touch { slot, .. } => drop(slot.send(Err(error))),
            Task::Remove { slot } => drop(slot.send(Err(error))),
        }
    }
}
