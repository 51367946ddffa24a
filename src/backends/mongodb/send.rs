//! Sends the calls of one turn of the event loop, in as few commands as can be while each call keeps its
//! own answer:
//!
//! - all reads are one `find`;
//! - all that may be done twice without harm (`put`, `touch`, `remove`) is one `update` and one
//!   `delete`, tried a second time where a server went away;
//! - compare-and-sets go through what the driver repeats exactly once: one `bulkWrite` (MongoDB 8.0 and
//!   later), or an `update` for each.
//!
//! Calls of one batch are not ordered; whoever wants an order waits for the answer before.

use std::{collections::HashMap, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use futures_util::future::{join_all, join4};
use mongodb::{
    Collection, Namespace,
    bson::{Bson, Document, RawDocumentBuf, doc},
    error::{BulkWriteError, ErrorKind, PartialBulkWriteResult},
    options::{UpdateModifications, UpdateOneModel},
    results::VerboseBulkWriteResult,
};

use super::{
    Shared,
    calls::{Call, Replace, Slot, Task},
    document, failure,
    statements::{self, Change},
};
use crate::{
    backend::{Replaced, Touched, Written},
    error::{Error, Kind, Result},
    record::{Draft, Millis, Record},
};

/// Most calls in one command, and most bytes of text. A command's document may have 16 MiB.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 << 20;
/// What the text of a session and the text it is compared with may have in all: both are in one
/// command.
const COMPARE_BYTES: usize = (16 << 20) - (256 << 10);
/// Tries of what another writer came between without changing anything that counts.
const TRIES: usize = 8;

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
fn chunks<T>(all: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
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
    let mut waiting: HashMap<Bytes, Vec<(Millis, Slot<Option<Record>>)>> = HashMap::new();
    for (id, now, slot) in gets {
        waiting.entry(id).or_default().push((now, slot));
    }
    let ids: Vec<&Bytes> = waiting.keys().collect();
    let found = shared.link.within(find(shared, &ids)).await;
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

async fn find(shared: &Shared, ids: &[&Bytes]) -> Result<Vec<RawDocumentBuf>> {
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

async fn try_twice(
    shared: &Shared,
    command: Command,
    documents: Vec<Bson>,
) -> Result<Refused> {
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

/// A compare-and-set that is on its way.
struct Swap {
    id: Bytes,
    replace: Replace,
    change: Change,
}

impl Swap {
    fn new((id, replace): (Bytes, Replace)) -> Swap {
        let Replace { expires, rule, ref payload, .. } = replace;
        let change = Change::new(&Draft { payload, expires, rule, moved: false });
        Swap { id, replace, change }
    }

    fn bytes(&self) -> usize {
        self.replace.payload.len() + self.replace.seen.as_ref().map_or(0, Bytes::len)
    }

    /// The filter under which it writes at once.
    fn filter(&self) -> Document {
        let seen = self.replace.seen.as_deref().map(statements::text);
        statements::unchanged(&self.id, seen, self.replace.now)
    }

    fn update(&self) -> UpdateModifications {
        match self.change.clone() {
            Change::Fields(fields) => UpdateModifications::Document(fields),
            Change::Pipeline(stages) => UpdateModifications::Pipeline(stages),
        }
    }

    fn answer(self, result: Result<Replaced>) {
        let _ = self.replace.slot.send(result);
    }
}

async fn replace_all(shared: &Shared, replaces: Vec<(Bytes, Replace)>) {
    let (swaps, too_large): (Vec<Swap>, Vec<Swap>) =
        replaces.into_iter().map(Swap::new).partition(|swap| swap.bytes() <= COMPARE_BYTES);
    for swap in too_large {
        swap.answer(Err(Error::new(
            Kind::TooLarge,
            "this session and the text it was read as have more than 15.75 MiB in all, which MongoDB \
             cannot compare in one command; what was stored before is kept",
        )));
    }
    join_all(chunks(swaps, Swap::bytes).into_iter().map(|swaps| replace(shared, swaps))).await;
}

/// Does some compare-and-sets, in one command where that is possible.
async fn replace(shared: &Shared, swaps: Vec<Swap>) {
    let at_once = swaps.len() > 1 && !shared.has_no_bulk.load(Relaxed);
    let matched = match at_once {
        true => shared.link.within(replace_at_once(shared, &swaps)).await,
        false => Ok(None),
    };
    match matched {
        Ok(Some(matched)) => {
            let mut missed = Vec::new();
            for (swap, matched) in swaps.into_iter().zip(matched) {
                match matched {
                    Ok(true) => swap.answer(Ok(Replaced::Written(Written::default()))),
                    Ok(false) => missed.push(swap),
                    Err(error) => swap.answer(Err(error)),
                }
            }
            judge_all(shared, missed).await;
        }
        Ok(None) => {
            let finish = |swap: Swap| async move {
                let filter = swap.filter();
                finish(shared, swap, Ok(Next::Write(filter))).await;
            };
            join_all(swaps.into_iter().map(finish)).await;
        }
        Err(error) => {
            for swap in swaps {
                swap.answer(Err(failure::again(&error)));
            }
        }
    }
}

/// Goes on with compare-and-sets that have not written, with one `find` for all of them.
async fn judge_all(shared: &Shared, swaps: Vec<Swap>) {
    if swaps.is_empty() {
        return;
    }
    let ids: Vec<&Bytes> = swaps.iter().map(|swap| &swap.id).collect();
    let found = match shared.link.within(find(shared, &ids)).await {
        Ok(found) => found,
        Err(error) => {
            for swap in swaps {
                swap.answer(Err(failure::again(&error)));
            }
            return;
        }
    };
    let go_on = |swap: Swap| {
        let is_of = |document: &&RawDocumentBuf| {
            matches!(document::id(document), Ok(Some(id)) if id == &*swap.id)
        };
        let next = judge(&swap, found.iter().find(is_of));
        finish(shared, swap, next)
    };
    join_all(swaps.into_iter().map(go_on)).await;
}

/// Whether each of the records was as expected, and so was written; none where the server has no such
/// command.
async fn replace_at_once(
    shared: &Shared,
    swaps: &[Swap],
) -> Result<Option<Vec<Result<bool>>>> {
    let place = &shared.link.place;
    let namespace = Namespace::new(&place.database, &place.collection);
    let models = swaps.iter().map(|swap| {
        UpdateOneModel::builder()
            .namespace(namespace.clone())
            .filter(swap.filter())
            .update(swap.update())
            .build()
    });
    let database = shared.link.database().await?;
    let result = database
        .client()
        .bulk_write(models.collect::<Vec<_>>())
        .ordered(false)
        .write_concern(place.write_concern())
        .verbose_results()
        .await;
    let (results, refused) = match result {
        Ok(results) => (results, HashMap::new()),
        Err(error) if failure::is_unknown_command(&error) => {
            shared.has_no_bulk.store(true, Relaxed);
            return Ok(None);
        }
        Err(error) => match error.kind.as_ref() {
            // Without a cause, only some of the writes were refused.
            ErrorKind::BulkWrite(BulkWriteError {
                write_errors,
                partial_result,
                write_concern_errors,
                ..
            }) if std::error::Error::source(&error).is_none() => {
                if let Some(concern) = write_concern_errors.first() {
                    return Err(failure::of_code(concern.code).because(error.clone()));
                }
                let refused = write_errors.iter().map(|(at, error)| (*at, error.code)).collect();
                let results = match partial_result {
                    Some(PartialBulkWriteResult::Verbose(results)) => results.clone(),
                    _ => VerboseBulkWriteResult::default(),
                };
                (results, refused)
            }
            _ => return Err(failure::told(error)),
        },
    };
    let outcome = |at| match (refused.get(&at), results.update_results.get(&at)) {
        (Some(code), _) => Err(failure::of_code(*code)),
        (None, Some(result)) => Ok(result.matched_count > 0),
        (None, None) => Err(Error::new(Kind::Internal, "the server told nothing of this write")),
    };
    Ok(Some((0..swaps.len()).map(outcome).collect()))
}

/// How a compare-and-set goes on.
enum Next {
    /// It has ended.
    Answer(Replaced),
    /// It writes, under this filter.
    Write(Document),
}

/// Does one compare-and-set to its end.
async fn finish(shared: &Shared, swap: Swap, next: Result<Next>) {
    let result = match next {
        Ok(Next::Answer(replaced)) => Ok(replaced),
        Ok(Next::Write(filter)) => shared.link.within(settle(shared, &swap, filter)).await,
        Err(error) => Err(error),
    };
    swap.answer(result);
}

async fn settle(shared: &Shared, swap: &Swap, mut filter: Document) -> Result<Replaced> {
    let collection = shared.link.collection().await?;
    for _ in 0..TRIES {
        if update(&collection, filter, swap).await? {
            return Ok(Replaced::Written(Written::default()));
        }
        let found = collection
            .find_one(doc! { "_id": statements::text(&swap.id) })
            .projection(document::projection())
            .await
            .map_err(failure::told)?;
        match judge(swap, found.as_ref())? {
            Next::Answer(replaced) => return Ok(replaced),
            Next::Write(next) => filter = next,
        }
    }
    Err(Error::new(Kind::Conflict, "other writers kept changing this session; save it again"))
}

/// What the record, as it is, means for a compare-and-set that has not written.
fn judge(swap: &Swap, found: Option<&RawDocumentBuf>) -> Result<Next> {
    let Some(document) = found else { return Ok(Next::Answer(Replaced::Gone)) };
    let found = document::read(document, swap.replace.now)?;
    let Some(record) = found.record else { return Ok(Next::Answer(Replaced::Gone)) };
    if swap.replace.seen.as_ref().is_some_and(|seen| *seen != record.payload) {
        return Ok(Next::Answer(Replaced::Changed(record)));
    }
    // It is as it was seen, but kept in another form (see `document`), or it is so again by now.
    Ok(Next::Write(match found.raw {
        Some(raw) => statements::unchanged(&swap.id, Some(raw), swap.replace.now),
        None => swap.filter(),
    }))
}

async fn update(
    collection: &Collection<RawDocumentBuf>,
    filter: Document,
    swap: &Swap,
) -> Result<bool> {
    let updated = collection.update_one(filter, swap.update()).await.map_err(failure::told)?;
    Ok(updated.matched_count > 0)
}
