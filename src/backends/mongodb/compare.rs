//! Compare-and-sets. A second try after a lost answer would find its own text and take it for another's,
//! so they go through what the driver repeats exactly once: one `bulkWrite` for all of a batch (MongoDB
//! 8.0 and later), or an `update` for each. Knows nothing of other calls.

use std::{collections::HashMap, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use futures_util::future::join_all;
use mongodb::{
    Collection, Namespace,
    bson::{Document, RawDocumentBuf, doc},
    error::{BulkWriteError, ErrorKind, PartialBulkWriteResult},
    options::{UpdateModifications, UpdateOneModel},
    results::VerboseBulkWriteResult,
};

use super::{
    Shared,
    calls::Replace,
    document, failure,
    link::primary,
    send::{TRIES, chunks, find},
    statements::{self, Change},
};
use crate::{
    backend::{Replaced, Written},
    error::{Error, Kind, Result},
    record::{Draft, NEVER, Record},
};

/// What the text of a session and the text it is compared with may have in all: both are in one
/// command.
const COMPARE_BYTES: usize = (16 << 20) - (256 << 10);

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

/// Does some compare-and-sets, and answers each.
pub async fn replace_all(shared: &Shared, replaces: Vec<(Bytes, Replace)>) {
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
    let found = match shared.link.within(find(shared, &ids, Some(primary()))).await {
        Ok(found) => found,
        Err(error) => {
            for swap in swaps {
                swap.answer(Err(failure::again(&error)));
            }
            return;
        }
    };
    let go_on = |swap: Swap| {
        let is_of = |document: &&RawDocumentBuf| matches!(document::id(document), Ok(Some(id)) if id == &*swap.id);
        let next = judge(&swap, found.iter().find(is_of));
        finish(shared, swap, next)
    };
    join_all(swaps.into_iter().map(go_on)).await;
}

/// Whether each of the records was as expected, and so was written; none where the server has no such
/// command.
async fn replace_at_once(shared: &Shared, swaps: &[Swap]) -> Result<Option<Vec<Result<bool>>>> {
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
                    return Err(failure::of_code(concern.code));
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
            .selection_criteria(primary())
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
        let expires = record.expires.min(NEVER);
        return Ok(Next::Answer(Replaced::Changed(Record { expires, ..record })));
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
