//! Walks over all records: pages, counting, clearing. A walk goes on after the last `_id` it has met,
//! so nothing stays open on the server between two steps, and a record that is there during the
//! whole walk is met exactly once. Knows nothing of single records.

use std::collections::VecDeque;

use mongodb::{
    bson::{Bson, Document, RawBsonRef, RawDocumentBuf, doc},
    options::{FindOptions, SelectionCriteria},
};
use parking_lot::Mutex;

use super::{
    document, failure,
    link::{Link, primary},
    statements,
};
use crate::{
    backend::{Count, Page},
    error::{Error, Kind, Result},
    record::{Millis, Record},
};

/// Records in one page, and bytes after which it is long enough.
const PAGE: i64 = 500;
const PAGE_BYTES: usize = 8 << 20;
/// Records that are looked at in one step of counting.
const STEP: i64 = 10_000;
/// Records that one step of clearing removes.
const CLEAR_STEP: i64 = 1_000;
/// Walks that may be under way at once. Beyond, the one that has rested longest cannot go on.
const WALKS: usize = 1024;

/// Where the walks of one store have come to.
#[derive(Default)]
pub struct Walks(Mutex<State>);

#[derive(Default)]
struct State {
    last: u64,
    /// Longest rested first.
    walks: VecDeque<(u64, Bson)>,
}

impl Walks {
    /// What a walk goes on after.
    fn after(&self, from: u64) -> Result<Option<Bson>> {
        if from == 0 {
            return Ok(None);
        }
        let state = self.0.lock();
        match state.walks.iter().find(|(walk, _)| *walk == from) {
            Some((_, after)) => Ok(Some(after.clone())),
            None => Err(Error::new(
                Kind::Internal,
                format!("more than {WALKS} walks over all sessions are under way; begin again"),
            )),
        }
    }

    /// Keeps where a walk has come to, and names what it goes on from.
    fn keep(&self, from: u64, after: Option<Bson>) -> Option<u64> {
        let mut state = self.0.lock();
        state.walks.retain(|(walk, _)| *walk != from);
        let after = after?;
        if state.walks.len() == WALKS {
            state.walks.pop_front();
        }
        let walk = match from {
            0 => {
                state.last += 1;
                state.last
            }
            walk => walk,
        };
        state.walks.push_back((walk, after));
        Some(walk)
    }
}

/// One page of live records.
pub async fn page(link: &Link, walks: &Walks, from: u64, now: Millis) -> Result<Page> {
    let mut filter = doc! { "$and": [
        statements::ids(&link.place.prefix, walks.after(from)?.as_ref()),
        statements::live(now),
    ] };
    let mut page = Page::default();
    // A page of nothing but what was asked for by nobody (see `statements::ids`) is passed over.
    loop {
        let (found, is_more) = find(link, filter, PAGE, document::projection(), None).await?;
        let last = match found.last() {
            Some(last) if is_more => id(last)?,
            _ => None,
        };
        for document in &found {
            page.records.extend(entry(document, &link.place.prefix, now)?);
        }
        if last.is_none() || !page.records.is_empty() {
            page.next = walks.keep(from, last);
            return Ok(page);
        }
        filter = doc! { "$and": [
            statements::ids(&link.place.prefix, last.as_ref()),
            statements::live(now),
        ] };
    }
}

fn entry(
    document: &RawDocumentBuf,
    prefix: &str,
    now: Millis,
) -> Result<Option<(Box<[u8]>, Record)>> {
    let sid = document::id(document)?.and_then(|id| id.strip_prefix(prefix.as_bytes()));
    Ok(match (sid, document::read(document, now)?.record) {
        (Some(sid), Some(record)) => Some((sid.into(), record)),
        _ => None,
    })
}

/// Some documents in the order of their ids, and whether there may be more. `from`: whom to ask, if that is not
/// left to the URL.
async fn find(
    link: &Link,
    filter: Document,
    limit: i64,
    projection: Document,
    from: Option<SelectionCriteria>,
) -> Result<(Vec<RawDocumentBuf>, bool)> {
    let options = FindOptions::builder()
        .sort(doc! { "_id": 1 })
        .limit(limit)
        .batch_size(limit as u32)
        .projection(projection)
        .selection_criteria(from)
        .build();
    let mut cursor =
        link.collection().await?.find(filter).with_options(options).await.map_err(failure::told)?;
    let mut found = Vec::new();
    let mut bytes = 0;
    while cursor.advance().await.map_err(failure::told)? {
        let document = cursor.current();
        bytes += document.as_bytes().len();
        found.push(document.to_owned());
        if bytes > PAGE_BYTES && limit > 0 {
            return Ok((found, true));
        }
    }
    let is_full = limit > 0 && found.len() as i64 == limit;
    Ok((found, is_full))
}

fn id(document: &RawDocumentBuf) -> Result<Option<Bson>> {
    Ok(document::id(document)?.map(statements::text))
}

/// One step of counting the live records. Text ids are counted by the server; the rare ones that are
/// bytes, which it cannot compare with the prefix, with the last step.
pub async fn count(link: &Link, walks: &Walks, from: u64, now: Millis) -> Result<Count> {
    let mut range = statements::text_ids(&link.place.prefix);
    if let (Some(after), Ok(range)) = (walks.after(from)?, range.get_document_mut("_id")) {
        range.remove("$gte");
        range.insert("$gt", after);
    }
    let is_live = doc! { "$or": [
        { "$eq": [{ "$type": "$expires" }, "missing"] },
        { "$and": [
            { "$eq": [{ "$type": "$expires" }, "date"] },
            { "$gt": ["$expires", statements::date(now)] },
        ] },
    ] };
    let pipeline = [
        doc! { "$match": range },
        doc! { "$sort": { "_id": 1 } },
        doc! { "$limit": STEP },
        doc! { "$group": {
            "_id": Bson::Null,
            "last": { "$max": "$_id" },
            "looked": { "$sum": 1 },
            "live": { "$sum": { "$cond": [is_live, 1, 0] } },
        } },
    ];
    let mut cursor = link.collection().await?.aggregate(pipeline).await.map_err(failure::told)?;
    let (mut live, mut next) = (0, None);
    while cursor.advance().await.map_err(failure::told)? {
        let step = cursor.current();
        live = whole(step.get("live"));
        if whole(step.get("looked")) == STEP as u64 {
            next = match step.get("last") {
                Ok(Some(RawBsonRef::String(last))) => Some(Bson::String(last.to_owned())),
                _ => None,
            };
        }
    }
    if next.is_none() {
        live += byte_ids(link, Some(now)).await?.len() as u64;
    }
    Ok(Count { live, next: walks.keep(from, next) })
}

fn whole(value: mongodb::bson::error::Result<Option<RawBsonRef<'_>>>) -> u64 {
    match value {
        Ok(Some(RawBsonRef::Int32(number))) => number.max(0) as u64,
        Ok(Some(RawBsonRef::Int64(number))) => number.max(0) as u64,
        Ok(Some(RawBsonRef::Double(number))) => number as u64,
        _ => 0,
    }
}

/// The ids of ours that are bytes: of live records, or, without `now`, of all that the primary knows.
async fn byte_ids(link: &Link, now: Option<Millis>) -> Result<Vec<Bson>> {
    let mut filter = doc! { "_id": { "$type": "binData" } };
    if let Some(now) = now {
        filter.extend(statements::live(now));
    }
    let from = now.is_none().then(primary);
    let (found, _) = find(link, filter, 0, doc! { "_id": 1 }, from).await?;
    let prefix = link.place.prefix.as_bytes();
    let mut ids = Vec::new();
    for document in &found {
        if document::id(document)?.is_some_and(|id| id.starts_with(prefix)) {
            ids.extend(id(document)?);
        }
    }
    Ok(ids)
}

/// Removes every record of ours, some at a time: one command for all would have no deadline that tells a server
/// that is busy from one that is gone.
pub async fn clear(link: &Link) -> Result<()> {
    let mut texts = statements::text_ids(&link.place.prefix);
    loop {
        let found = find(link, texts.clone(), CLEAR_STEP, doc! { "_id": 1 }, Some(primary()));
        let (found, is_more) = link.within(found).await?;
        let ids: Vec<Bson> =
            found.iter().map(id).filter_map(Result::transpose).collect::<Result<_>>()?;
        let last = ids.last().cloned();
        remove(link, ids).await?;
        let (Some(last), true) = (last, is_more) else { break };
        if let Ok(range) = texts.get_document_mut("_id") {
            range.remove("$gte");
            range.insert("$gt", last);
        }
    }
    remove(link, link.within(byte_ids(link, None)).await?).await
}

async fn remove(link: &Link, ids: Vec<Bson>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let removed = async {
        let collection = link.collection().await?;
        collection.delete_many(doc! { "_id": { "$in": ids } }).await.map_err(failure::told)
    };
    link.within(removed).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_on_where_it_was_and_ends() {
        let walks = Walks::default();
        assert_eq!(walks.after(0).unwrap(), None);
        let one = walks.keep(0, Some("a".into())).unwrap();
        let two = walks.keep(0, Some("x".into())).unwrap();
        assert_eq!(walks.keep(one, Some("b".into())), Some(one));
        assert_eq!(walks.after(one).unwrap(), Some("b".into()));
        assert_eq!(walks.after(two).unwrap(), Some("x".into()));
        assert_eq!(walks.keep(one, None), None);
        assert!(walks.after(one).is_err());
        for _ in 0..WALKS {
            walks.keep(0, Some("y".into()));
        }
        assert!(walks.after(two).is_err(), "the one that rested longest");
    }
}
