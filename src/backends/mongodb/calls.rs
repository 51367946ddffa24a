//! The calls that wait to be sent, in their order. Those of one turn of the event loop go out
//! together; a call that has to follow another of the same record waits until that one has
//! answered, as the server itself promises no order between connections. Sends nothing, and knows
//! nothing of MongoDB.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    backend::{Replaced, Touched, Written},
    error::Result,
    record::{ExpiryRule, Millis, Record, Touch},
};

/// Where an answer goes. Closed once nobody waits for it any more.
pub type Slot<T> = oneshot::Sender<Result<T>>;

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

/// What is asked for one record.
pub struct Call {
    pub id: Bytes,
    pub task: Task,
}

impl Call {
    fn writes(&self) -> bool {
        !matches!(self.task, Task::Get { .. })
    }

    /// Whether a read that comes after it has to see what it did. A touch moves the expiry of
    /// what is there; waiting for that is not worth a round trip.
    fn is_seen(&self) -> bool {
        !matches!(self.task, Task::Get { .. } | Task::Touch { .. })
    }

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
    pub fn fail(self, error: crate::error::Error) {
        match self.task {
            Task::Get { slot, .. } => drop(slot.send(Err(error))),
            Task::Put { slot, .. } => drop(slot.send(Err(error))),
            Task::Replace(replace) => drop(replace.slot.send(Err(error))),
            Task::Touch { slot, .. } => drop(slot.send(Err(error))),
            Task::Remove { slot } => drop(slot.send(Err(error))),
        }
    }
}

/// The writes of one record: one is under way, the rest wait behind it.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<Call>,
    /// Writes, under way or waiting, that a read has to see.
    seen: usize,
}

#[derive(Default)]
struct State {
    ready: Vec<Call>,
    /// The records that a write is under way for.
    lanes: HashMap<Bytes, Lane>,
}

/// See the file's top.
#[derive(Default)]
pub struct Calls(Mutex<State>);

impl Calls {
    /// Adds a call.
    pub fn push(&self, call: Call) {
        let State { ready, lanes } = &mut *self.0.lock();
        match lanes.get_mut(&call.id) {
            Some(lane) if call.writes() || lane.seen > 0 => {
                lane.seen += usize::from(call.is_seen());
                lane.waiting.push_back(call);
            }
            None if call.writes() => {
                let seen = usize::from(call.is_seen());
                lanes.insert(call.id.clone(), Lane { waiting: VecDeque::new(), seen });
                ready.push(call);
            }
            _ => ready.push(call),
        }
    }

    /// All that can be sent now.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.lock().ready)
    }

    /// Says that a write has ended; `seen` as in [`Call::is_seen`]. What waited for it can be taken
    /// after.
    fn ended(&self, id: &Bytes, seen: bool) {
        let State { ready, lanes } = &mut *self.0.lock();
        let Some(lane) = lanes.get_mut(id) else { return };
        lane.seen -= usize::from(seen);
        while let Some(call) = lane.waiting.pop_front() {
            let writes = call.writes();
            if call.is_given_up() {
                lane.seen -= usize::from(call.is_seen());
                continue;
            }
            ready.push(call);
            if writes {
                return;
            }
        }
        lanes.remove(id);
    }

    /// How many records a write is under way for.
    #[cfg(test)]
    fn busy(&self) -> usize {
        self.0.lock().lanes.len()
    }
}

/// Ends the writes of a batch when it is dropped, whatever becomes of the batch.
pub struct Ending<'a> {
    calls: &'a Calls,
    writes: Vec<(Bytes, bool)>,
}

impl<'a> Ending<'a> {
    /// For these calls.
    pub fn of(calls: &'a Calls, batch: &[Call]) -> Ending<'a> {
        let writes = batch.iter().filter(|call| call.writes());
        Ending { calls, writes: writes.map(|call| (call.id.clone(), call.is_seen())).collect() }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        for (id, seen) in &self.writes {
            self.calls.ended(id, *seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names what can be sent, and has the writes among it end only when told.
    fn names(batch: &[Call]) -> String {
        batch
            .iter()
            .map(|call| match call.task {
                Task::Get { .. } => 'g',
                Task::Put { .. } => 'p',
                Task::Touch { .. } => 't',
                Task::Remove { .. } => 'r',
                Task::Replace(_) => 's',
            })
            .collect()
    }

    /// The call, and who waits for its answer.
    fn call(id: &'static str, name: char) -> (Call, Box<dyn std::any::Any>) {
        fn slot<T: 'static>() -> (Slot<T>, Box<dyn std::any::Any>) {
            let (slot, answer) = oneshot::channel();
            (slot, Box::new(answer))
        }
        let (task, answer) = match name {
            'g' => {
                let (slot, answer) = slot();
                (Task::Get { now: 0, slot }, answer)
            }
            'p' => {
                let (slot, answer) = slot();
                (Task::Put { payload: Bytes::new(), expires: 1, slot }, answer)
            }
            't' => {
                let (slot, answer) = slot();
                let touch = Touch { expires: 1, rule: ExpiryRule::Later, slack: 0, seen: None };
                (Task::Touch { touch, now: 0, slot }, answer)
            }
            _ => {
                let (slot, answer) = slot();
                (Task::Remove { slot }, answer)
            }
        };
        (Call { id: Bytes::from_static(id.as_bytes()), task }, answer)
    }

    /// What is sent in each round, when a round's writes end before the next.
    fn rounds(issued: &[(&'static str, char)]) -> Vec<String> {
        let calls = Calls::default();
        let mut answers = Vec::new();
        for (id, name) in issued {
            let (call, answer) = call(id, *name);
            answers.push(answer);
            calls.push(call);
        }
        let mut rounds = Vec::new();
        loop {
            let batch = calls.take();
            if batch.is_empty() {
                assert_eq!(calls.busy(), 0, "nothing is kept of records that nobody writes");
                return rounds;
            }
            rounds.push(names(&batch));
            drop(Ending::of(&calls, &batch));
        }
    }

    #[test]
    fn writes_of_one_record_take_turns_and_reads_see_those_before_them() {
        assert_eq!(rounds(&[("a", 'p'), ("b", 'p'), ("c", 'g')]), ["ppg"]);
        assert_eq!(rounds(&[("a", 'p'), ("a", 'p'), ("a", 'r')]), ["p", "p", "r"]);
        assert_eq!(rounds(&[("a", 'r'), ("a", 'g'), ("a", 'g'), ("b", 'g')]), ["rg", "gg"]);
        assert_eq!(rounds(&[("a", 'g'), ("a", 'p'), ("a", 'g')]), ["gp", "g"]);
    }

    #[test]
    fn reads_do_not_wait_for_touches() {
        assert_eq!(rounds(&[("a", 't'), ("a", 'g'), ("a", 't'), ("a", 'g')]), ["tgg", "t"]);
        assert_eq!(rounds(&[("a", 't'), ("a", 'p'), ("a", 'g')]), ["t", "p", "g"]);
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_left_out() {
        let calls = Calls::default();
        let (first, _answer) = call("a", 'p');
        let (second, given_up) = call("a", 'p');
        let (third, _other) = call("a", 'g');
        for call in [first, second, third] {
            calls.push(call);
        }
        let batch = calls.take();
        drop(given_up);
        drop(Ending::of(&calls, &batch));
        assert_eq!(names(&calls.take()), "g");
        assert_eq!(calls.busy(), 0);
    }
}
