//! What the writer is asked to change, and what came of it. Plain values; nothing of queues or of
//! LMDB.

use bytes::Bytes;

use super::layout::{Head, Key, due_second};
use crate::record::{Draft, ExpiryRule, Millis, Record, Touch, Version};

/// A change of one record, or of all records of a prefix.
pub enum Change {
    /// Writes whatever is there.
    Put(Save),
    /// Writes if the record is live, and has this version where one is given.
    Replace(Save, Option<Version>),
    /// Moves the expiry.
    Touch(Move),
    /// Removes.
    Remove,
    /// Removes all records of the key's space.
    Clear,
}

/// What a change came to.
#[derive(Debug)]
pub enum Outcome {
    /// It is done, or there was nothing to do.
    Done,
    /// A record was written.
    Written(Version),
    /// Another save came first.
    Changed(Record),
    /// There is no such record.
    Gone,
    /// It was not done, for want of room: see [`super::failure::Failure::MapFull`].
    Full,
    /// It was not done: another sid has the same hash.
    Collision,
}

/// A record to be written.
#[derive(Clone)]
pub struct Save {
    /// The sid, then the payload.
    body: Bytes,
    sid_len: u16,
    expires: Millis,
    rule: ExpiryRule,
    moved: bool,
    pub version: Version,
    pub now: Millis,
}

impl Save {
    /// `sid` is at most [`super::layout::MAX_SID_BYTES`] long.
    pub fn new(sid: &[u8], draft: Draft<'_>, version: Version, now: Millis) -> Save {
        let Draft { payload, expires, rule, moved } = draft;
        let body = [sid, payload].concat().into();
        Save { body, sid_len: sid.len() as u16, expires, rule, moved, version, now }
    }

    pub fn sid(&self) -> &[u8] {
        &self.body[..self.sid_len.into()]
    }

    pub fn sid_len(&self) -> u16 {
        self.sid_len
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The payload, without copying it.
    pub fn payload(&self) -> Bytes {
        self.body.slice(usize::from(self.sid_len)..)
    }

    /// The head of a record that is written whatever is there.
    pub fn put(&self) -> Head {
        let Save { expires, moved, version, .. } = *self;
        Head { expires, moved, version, decided: version, due: due_second(expires) }
    }

    /// The head of a record that is written in place of `theirs`.
    pub fn replace(&self, theirs: &Head) -> Head {
        let draft =
            Draft { payload: b"", expires: self.expires, rule: self.rule, moved: self.moved };
        let (expires, moved) = draft.settle(theirs.expires);
        let decided = match self.rule {
            ExpiryRule::Set | ExpiryRule::Always => self.version,
            ExpiryRule::Keep | ExpiryRule::Later => theirs.decided,
        };
        let due = due_second(expires);
        Head { expires, moved, version: self.version, decided, due }
    }
}

/// A touch as it is written: some time after it was answered.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    pub expires: Millis,
    rule: ExpiryRule,
    /// [`Head::decided`] of the record that it was meant for.
    decided: Version,
    pub now: Millis,
}

impl Move {
    /// What `touch` asks of the record that it finds.
    pub fn new(touch: &Touch, found: &Head, now: Millis) -> Move {
        Move { expires: touch.expires, rule: touch.rule, decided: found.decided, now }
    }

    /// This one after an earlier one that is not written yet.
    pub fn after(self, earlier: &Move) -> Move {
        // An expiry that was set, to an earlier time perhaps, is set all the same.
        let rule = if earlier.rule == ExpiryRule::Later { self.rule } else { earlier.rule };
        // The record lived when the earlier one came, which has not moved its expiry yet.
        Move { rule, now: earlier.now, ..self }
    }

    /// The head of the record once it is touched; none where the touch has nothing to move.
    pub fn apply(&self, head: &Head) -> Option<Head> {
        let touch = Touch { expires: self.expires, rule: self.rule, slack: 0, seen: None };
        if head.decided != self.decided || !touch.moves(head.expires) {
            return None;
        }
        Some(Head { expires: self.expires, moved: true, ..*head })
    }
}

/// A change, as the writer gets it.
pub struct Operation {
    pub key: Key,
    /// Later ones have higher numbers.
    pub number: u64,
    pub change: Change,
}

impl Operation {
    /// Bytes that it holds until it is done.
    pub fn bytes(&self) -> usize {
        let body = match &self.change {
            Change::Put(save) | Change::Replace(save, _) => save.body.len(),
            Change::Touch(_) | Change::Remove | Change::Clear => 0,
        };
        body + size_of::<Operation>()
    }
}
