//! Sends the calls of one turn of the event loop, in as few commands as can be while each call keeps its
//! own answer:
//!
//! - all reads are one `find`;
//! - all that may be done twice without harm (`put`, `touch`, `remove`) is one `update` and one
//!   `delete`, tried a second time where a server went away;
//! - compare-and-sets are another matter: see [`super::compare`].
//!
//! Calls of one batch are not ordered; whoever wants an order waits for the answer before.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::future::{join_all, join4};
use mongodb::{
    action::Action,
    bson::{Bson, Document, RawDocumentBuf, doc},
    options::SelectionCriteria,
};

use super::{
    Shared,
    calls::{Call, Slot, Task},
    compare::replace_all,
    document, failure, statements,
};
use crate::{
    backend::{Touched, Written},
    error::Result,
    record::{Millis, Record},
};

/// Most calls in one command, and most bytes of text. A command's document may have 16 MiB.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 << 20;
/// Tries where another writer keeps coming first.
pub(super) const TRIES: usize = 8;

/// Sends a batch, and answers each of its calls.
pub async fn send(shared: &Shared, batch: Vec<Call>) {
    let (mut gets, mut updates, mut removes, mut replaces) = (vec![], vec![], vec![], vec![]);
    for call in batch.into_iter().filter(|call| !call.is_given_up()) {
        match shared.link.check() {
            Err(error) => call.fail(error),
            Ok(()) => match call.task {
                Task::Get { now, slot } => gets.push((call.id, now, slot)),
                Task::Put { payload, expires, slot } => {
                    let entry = statements::put(&call.id, statements::text(&payload), expires);
                    updates.push(Entry { entry, bytes: payload.len(), slot: Done::Put(slot) });
                }
                Task::Touch { touch, now, slot } => {
                    match statements::touch(&call.id, &touch, now) {
                        Some(entry) => {
                            updates.push(Entry { entry, bytes: 0, slot: Done::Touch(slot) });
                        }
                        None => drop(slot.send(Ok(Touched::Done))),
                    }
                }
                Task::Remove { slot } => {
                    let entry = doc! { "q": { "_id": statements::text(&call.id) }, "limit": 1 };
                    removes.push(Entry { entry, bytes: 0, slot: Done::Remove(slot) });
                }
                Task::Replace(replace) => replaces.push((call.id, replace)),
            },
        }
    }
    join4(
        join_all(chunks(gets, |_| 0).into_iter().map(|gets| read(shared, gets))),
        write_all(shared, UPDATE, updates),
        write_all(shared, DELETE, removes),
        replace_all(shared, replaces),
    )
    .await;
}

/// Splits what would be too much for one command.
pub(super) fn chunks<T>(all: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut chunks: Vec<Vec<T>> = Vec::new();
    let mut size = 0;
    for one in all {
        size += bytes(&one);
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < BATCH && size <= BATCH_BYTES => chunk.push(one),
            _ => {
                size = bytes(&one);
                chunks.push(vec![one]);
            }
        }
    }
    chunks
}

type Get = (Bytes, Millis, Slot<Option<Record>>);

/// Answers reads with one `find`.
async fn read(shared: &Shared, gets: Vec<Get>) {
    let mut waiting: HashMap<Bytes, Vec<(Millis, Slot<_>)>> = HashMap::new();
    for (id, now, slot) in gets {
        waiting.entry(id).or_default().push((now, slot));
    }
    let ids: Vec<&Bytes> = waiting.keys().collect();
    let found = shared.link.within(find(shared, &ids, None)).await;
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            for (_, slot) in waiting.into_values().flatten() {
                let _ = slot.send(Err(failure::again(&error)));
            }
            return;
        }
    };
    for document in &found {
        let Ok(Some(id)) = document::id(document) else { continue };
        for (now, slot) in waiting.remove(id).into_iter().flatten() {
            let _ = slot.send(document::read(document, now).map(|found| found.record));
        }
    }
    for (_, slot) in waiting.into_values().flatten() {
        let _ = slot.send(Ok(None));
    }
}

/// The documents of some ids; `from`: whom to ask, if that is not left to the URL.
pub(super) async fn find(
    shared: &Shared,
    ids: &[&Bytes],
    from: Option<SelectionCriteria>,
) -> Result<Vec<RawDocumentBuf>> {
    let filter = match ids {
        [id] => doc! { "_id": statements::text(id) },
        ids => {
            let ids: Vec<Bson> = ids.iter().map(|id| statements::text(id)).collect();
            doc! { "_id": { "$in": ids } }
        }
    };
    let collection = shared.link.collection().await?;
    let mut cursor = collection
        .find(filter)
        .projection(document::projection())
        // All of them in the first answer, if they are not too large for one.
        .batch_size(ids.len() as u32 + 1)
        .optional(from, |find, from| find.selection_criteria(from))
        .await
        .map_err(failure::told)?;
    let mut found = Vec::with_capacity(ids.len());
    while cursor.advance().await.map_err(failure::told)? {
        found.push(cursor.current().to_owned());
    }
    Ok(found)
}

/// An entry of a command, and who waits for it.
struct Entry {
    entry: Document,
    bytes: usize,
    slot: Done,
}

enum Done {
    Put(Slot<Written>),
    Touch(Slot<Touched>),
    Remove(Slot<()>),
}

impl Done {
    fn answer(self, result: Result<()>) {
        match self {
            Done::Put(slot) => drop(slot.send(result.map(|()| Written::default()))),
            Done::Touch(slot) => drop(slot.send(result.map(|()| Touched::Done))),
            Done::Remove(slot) => drop(slot.send(result)),
        }
    }
}

/// A command, and what its list of entries is called.
type Command = (&'static str, &'static str);
const UPDATE: Command = ("update", "updates");
const DELETE: Command = ("delete", "deletes");

async fn write_all(shared: &Shared, command: Command, entries: Vec<Entry>) {
    let chunks = chunks(entries, |entry| entry.bytes);
    join_all(chunks.into_iter().map(|chunk| write(shared, command, chunk))).await;
}

/// Does what may be done twice, in one command.
async fn write(shared: &Shared, command: Command, entries: Vec<Entry>) {
    let (documents, slots): (Vec<Bson>, Vec<Done>) =
        entries.into_iter().map(|Entry { entry, slot, .. }| (entry.into(), slot)).unzip();
    let outcome = shared.link.within(try_twice(shared, command, documents)).await;
    match outcome {
        Ok(mut refused) => {
            for (at, slot) in slots.into_iter().enumerate() {
                slot.answer(refused.remove(&at).map_or(Ok(()), |code| Err(failure::of_code(code))));
            }
        }
        Err(error) => {
            for slot in slots {
                slot.answer(Err(failure::again(&error)));
            }
        }
    }
}

/// The error codes of the entries that were refused, by their place.
type Refused = HashMap<usize, i32>;

async fn try_twice(shared: &Shared, command: Command, documents: Vec<Bson>) -> Result<Refused> {
    let mut refused = match run(shared, command, documents.clone()).await? {
        Ok(refused) => refused,
        Err(error) if failure::is_passing(&error) => {
            return run(shared, command, documents).await?.map_err(failure::told);
        }
        Err(error) => return Err(failure::told(error)),
    };
    // Two upserts of one document, both of which found none.
    for _ in 0..TRIES {
        let again: Vec<usize> = refused
            .iter()
            .filter(|(_, code)| failure::is_duplicate(**code))
            .map(|(at, _)| *at)
            .collect();
        if again.is_empty() {
            break;
        }
        let entries = again.iter().map(|at| documents[*at].clone()).collect();
        let second = run(shared, command, entries).await?.map_err(failure::told)?;
        for (place, at) in again.into_iter().enumerate() {
            match second.get(&place) {
                Some(code) => refused.insert(at, *code),
                None => refused.remove(&at),
            };
        }
    }
    Ok(refused)
}

/// Runs the command. The outer error is ours, the inner the driver's.
async fn run(
    shared: &Shared,
    (name, list): Command,
    documents: Vec<Bson>,
) -> Result<mongodb::error::Result<Refused>> {
    let place = &shared.link.place;
    let mut command = doc! { name: &place.collection, "ordered": false, list: documents };
    command.extend(concern(shared));
    let reply = match shared.link.database().await?.run_command(command).await {
        Ok(reply) => reply,
        Err(error) => return Ok(Err(error)),
    };
    if let Ok(error) = reply.get_document("writeConcernError") {
        return Err(failure::of_code(number(error, "code") as i32));
    }
    let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let errors = errors.iter().filter_map(Bson::as_document);
    Ok(Ok(errors.map(|e| (number(e, "index") as usize, number(e, "code") as i32)).collect()))
}

fn concern(shared: &Shared) -> Option<(String, Bson)> {
    let concern = mongodb::bson::serialize_to_bson(&shared.link.place.write_concern()).ok()?;
    Some(("writeConcern".into(), concern))
}

fn number(document: &Document, key: &str) -> i64 {
    match document.get(key) {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        Some(Bson::Double(number)) => *number as i64,
        _ => 0,
    }
}
