//! Reading: one record with what is about to be written on top, a step of a walk, a count. Knows
//! nothing of how anything is written.

use std::ops::Bound;

use bytes::Bytes;

use super::{
    apply,
    failure::Failure,
    layout::{self, Book, Head, Key, SpaceId, Value},
    pending::{Ahead, Foretold},
    registry::Shared,
};
use crate::{
    backend::Page,
    error::{Error, Kind, Result},
    record::{Millis, Record, Version, View},
};

/// Records that one step of a walk meets...
const PAGE_RECORDS: usize = 256;
/// ... and bytes of their payloads after which it ends.
const PAGE_BYTES: usize = 1 << 20;

/// A record as a save or a touch sees it.
pub enum Seeing {
    /// There is none. `foretold`: the file may have one still.
    Gone { foretold: bool },
    /// It has another version than was asked for.
    Other(Record),
    /// It is live.
    Live(Head),
}

enum Read<R> {
    Nothing,
    Unreadable,
    Found(R),
}

/// Reads the record of a sid from the file; `then` takes what it needs.
fn read<R>(
    shared: &Shared,
    key: &Key,
    sid: &[u8],
    mut then: impl FnMut(Head, &[u8]) -> R,
) -> Result<Option<R>> {
    let read = shared.lmdb.read(|txn, tree| {
        let Some(bytes) = tree.get(txn, &key.record())? else { return Ok(Read::Nothing) };
        Ok(match Value::read(bytes) {
            None => Read::Unreadable,
            Some(value) if value.sid != sid => Read::Nothing,
            Some(value) => Read::Found(then(value.head, value.payload)),
        })
    });
    match read.map_err(|failure| failure.error(&shared.folder))? {
        Read::Nothing => Ok(None),
        Read::Found(found) => Ok(Some(found)),
        Read::Unreadable => Err(Error::new(
            Kind::Decode,
            format!("{}: the record of this sid is damaged", shared.folder.display()),
        )),
    }
}

/// The head once a touch that is ahead of the file is done.
fn touched(head: Head, ahead: Option<&Ahead>) -> Head {
    let touch = ahead.and_then(|ahead| ahead.touch);
    touch.and_then(|touch| touch.apply(&head)).unwrap_or(head)
}

/// Shows the record of a sid, if it is live.
pub fn look(
    shared: &Shared,
    key: &Key,
    sid: &[u8],
    ahead: Option<Ahead>,
    now: Millis,
    shown: &mut dyn FnMut(View<'_>),
) -> Result<()> {
    let mut show = |head: Head, payload: &[u8]| {
        let head = touched(head, ahead.as_ref());
        if head.is_live(now) {
            shown(head.view(payload));
        }
    };
    match ahead.as_ref().and_then(|ahead| ahead.record.as_ref()) {
        Some(Foretold::Gone) => {}
        Some(Foretold::Record { head, payload }) => show(*head, payload),
        None => drop(read(shared, key, sid, show)?),
    }
    Ok(())
}

/// The record of a sid, to change it. Its payload is copied only where its version is not as `seen`.
pub fn see(
    shared: &Shared,
    key: &Key,
    sid: &[u8],
    ahead: Option<&Ahead>,
    seen: Option<Version>,
    now: Millis,
) -> Result<Seeing> {
    let seeing = |head: Head, payload: &dyn Fn() -> Bytes, foretold| {
        let head = touched(head, ahead);
        if !head.is_live(now) {
            return Seeing::Gone { foretold };
        }
        match seen {
            Some(seen) if seen != head.version => Seeing::Other(head.record(payload())),
            _ => Seeing::Live(head),
        }
    };
    match ahead.and_then(|ahead| ahead.record.as_ref()) {
        Some(Foretold::Gone) => Ok(Seeing::Gone { foretold: true }),
        Some(Foretold::Record { head, payload }) => Ok(seeing(*head, &|| payload.clone(), true)),
        None => {
            let found = read(shared, key, sid, |head, payload| {
                seeing(head, &|| Bytes::copy_from_slice(payload), false)
            });
            match found {
                Ok(found) => Ok(found.unwrap_or(Seeing::Gone { foretold: false })),
                // A damaged record is missing.
                Err(error) if error.kind() == Kind::Decode => Ok(Seeing::Gone { foretold: false }),
                Err(error) => Err(error),
            }
        }
    }
}

/// One step of a walk over a space.
pub fn page(shared: &Shared, space: SpaceId, from: u64, now: Millis) -> Result<Page, Failure> {
    if from >= Key::END {
        return Ok(Page::default());
    }
    shared.lmdb.read(|txn, tree| {
        let first = Key::at_step(space, from).record();
        let last = Key { space, hash: u128::MAX }.record();
        let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let (mut page, mut step, mut bytes) = (Page::default(), from, 0);
        for entry in tree.range(txn, &range)? {
            let (key, value) = entry?;
            let Some(key) = Key::of_record(key) else { continue };
            // Those of one number must be met in one step.
            if key.step() != step && (page.records.len() >= PAGE_RECORDS || bytes >= PAGE_BYTES) {
                page.next = Some(key.step());
                break;
            }
            step = key.step();
            let Some(Value { head, sid, payload }) = Value::read(value) else { continue };
            if head.is_live(now) {
                bytes += payload.len();
                page.records.push((sid.into(), head.record(Bytes::copy_from_slice(payload))));
            }
        }
        Ok(page)
    })
}

/// How many records of a space are live: all there are, less those that are over and not pruned yet.
pub fn count(shared: &Shared, space: SpaceId, now: Millis) -> Result<u64, Failure> {
    shared.lmdb.read(|txn, tree| {
        let all = apply::book(txn, tree, space)?.unwrap_or_default().records;
        let first = Key { space, hash: 0 }.due(0);
        let last = Key { space, hash: u128::MAX }.due(layout::due_second(now));
        let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let mut over = 0;
        for entry in tree.range(txn, &range)? {
            let Some((_, key)) = Key::of_due(entry?.0) else { continue };
            let value = tree.get(txn, &key.record())?.and_then(Value::read);
            over += u64::from(value.is_some_and(|value| !value.head.is_live(now)));
        }
        Ok(all.saturating_sub(over))
    })
}

/// The book of a space; an empty one while nothing was written there.
pub fn book(shared: &Shared, space: SpaceId) -> Result<Book, Failure> {
    shared.lmdb.read(|txn, tree| Ok(apply::book(txn, tree, space)?.unwrap_or_default()))
}
