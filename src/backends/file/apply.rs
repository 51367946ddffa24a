//! One write transaction: changes of records, the expiry index and the books beside them. Knows nothing
//! of queues, threads or callers.

use std::{collections::HashMap, ops::Bound};

use bytes::Bytes;
use heed::{PutFlags, RoTxn, RwTxn};

use super::{
    change::{Change, Operation, Outcome, Save},
    failure::Failure,
    layout::{self, Book, Head, Key, SpaceId, Value},
    lmdb::Tree,
};
use crate::record::{Millis, Record};

/// Bytes of a page that a change may need besides the record itself.
const PAGES_BESIDES: usize = 4;

/// See the top of the file. To be ended with [`Batch::finish`], or not to be committed.
pub struct Batch<'t, 'e> {
    txn: &'t mut RwTxn<'e>,
    tree: Tree,
    map_size: usize,
    books: HashMap<SpaceId, Book>,
    prefix_of: &'t dyn Fn(SpaceId) -> String,
}

/// A record, as far as a change needs it.
struct Found {
    head: Head,
    bytes: usize,
}

/// What pruning came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pruned {
    /// Records that were removed.
    pub removed: u64,
    /// Entries that were looked at.
    pub looks: usize,
}

impl<'t, 'e> Batch<'t, 'e> {
    /// `map_size`: bytes that records may take. `prefix_of`: the prefix of a space that is in use.
    pub fn new(
        txn: &'t mut RwTxn<'e>,
        tree: Tree,
        map_size: usize,
        prefix_of: &'t dyn Fn(SpaceId) -> String,
    ) -> Self {
        Batch { txn, tree, map_size, books: HashMap::new(), prefix_of }
    }

    /// Makes one change.
    pub fn apply(&mut self, operation: &Operation) -> Result<Outcome, Failure> {
        let key = &operation.key;
        match &operation.change {
            Change::Put(save) => {
                let Ok(old) = self.find_own(key, save.sid())? else {
                    return Ok(Outcome::Collision);
                };
                self.write(key, save, save.put(), old)
            }
            Change::Replace(save, seen) => {
                let Ok(old) = self.find_own(key, save.sid())? else {
                    return Ok(Outcome::Collision);
                };
                let Some(old) = old.filter(|old| old.head.is_live(save.now)) else {
                    return Ok(Outcome::Gone);
                };
                if seen.is_some_and(|seen| seen != old.head.version) {
                    let record = record(self.txn, self.tree, key)?;
                    return Ok(record.map_or(Outcome::Gone, Outcome::Changed));
                }
                self.write(key, save, save.replace(&old.head), Some(old))
            }
            Change::Touch(touch) => {
                let found = self.find(key)?.filter(|found| found.head.is_live(touch.now));
                if let Some(found) = found
                    && let Some(head) = touch.apply(&found.head)
                {
                    self.rewrite(key, &found.head, head)?;
                }
                Ok(Outcome::Done)
            }
            Change::Remove => {
                if let Some(found) = self.find(key)? {
                    self.remove(key, &found)?;
                }
                Ok(Outcome::Done)
            }
            Change::Clear => self.clear(key.space).map(|()| Outcome::Done),
        }
    }

    fn find(&self, key: &Key) -> Result<Option<Found>, Failure> {
        let bytes = self.tree.get(self.txn, &key.record())?;
        Ok(bytes
            .and_then(Value::read)
            .map(|Value { head, sid, payload }| Found { head, bytes: sid.len() + payload.len() }))
    }

    /// As `find`; an error where the record is another sid's.
    fn find_own(&self, key: &Key, own: &[u8]) -> Result<Result<Option<Found>, ()>, Failure> {
        let bytes = self.tree.get(self.txn, &key.record())?;
        Ok(match bytes.and_then(Value::read) {
            Some(Value { sid, .. }) if sid != own => Err(()),
            Some(Value { head, sid, payload }) => {
                Ok(Some(Found { head, bytes: sid.len() + payload.len() }))
            }
            None => Ok(None),
        })
    }

    /// Writes a record in place of `old`. Its entry in the index stays where it is while that is no
    /// later than the record is due: so a session that is used costs the index one move per `maxAge`.
    fn write(
        &mut self,
        key: &Key,
        save: &Save,
        head: Head,
        old: Option<Found>,
    ) -> Result<Outcome, Failure> {
        let body = save.body();
        if old.as_ref().is_none_or(|old| old.bytes < body.len()) && !self.has_room(body.len())? {
            return Ok(Outcome::Full);
        }
        let due = match &old {
            Some(old) if old.head.due <= head.due => old.head.due,
            _ => head.due,
        };
        match &old {
            Some(old) if old.head.due == due => {}
            Some(old) => self.move_entry(key, Some(old.head.due), due)?,
            None => self.move_entry(key, None, due)?,
        }
        let bytes = Head { due, ..head }.to_bytes(save.sid_len());
        self.tree.put_reserved(
            self.txn,
            &key.record(),
            layout::value_bytes(body.len()),
            |space| {
                std::io::Write::write_all(space, &bytes)?;
                std::io::Write::write_all(space, body)
            },
        )?;
        let book = self.book(key.space)?;
        book.records += u64::from(old.is_none());
        book.bytes += body.len() as u64;
        book.bytes = book.bytes.saturating_sub(old.map_or(0, |old| old.bytes as u64));
        Ok(Outcome::Written(save.version))
    }

    /// Writes another head before the same sid and payload.
    fn rewrite(&mut self, key: &Key, old: &Head, head: Head) -> Result<(), Failure> {
        let due = layout::due_second(head.expires).min(old.due);
        if due != old.due {
            self.move_entry(key, Some(old.due), due)?;
        }
        self.put_head(key, Head { due, ..head })
    }

    fn put_head(&mut self, key: &Key, head: Head) -> Result<(), Failure> {
        let Some(bytes) = self.tree.get(self.txn, &key.record())? else { return Ok(()) };
        let Some(Value { sid, payload, .. }) = Value::read(bytes) else { return Ok(()) };
        // LMDB's memory may move while it writes.
        let value = [&head.to_bytes(sid.len() as u16), sid, payload].concat();
        Ok(self.tree.put(self.txn, &key.record(), &value)?)
    }

    fn move_entry(&mut self, key: &Key, from: Option<u32>, to: u32) -> Result<(), Failure> {
        if let Some(from) = from {
            self.tree.delete(self.txn, &key.due(from))?;
        }
        Ok(self.tree.put_with_flags(self.txn, PutFlags::empty(), &key.due(to), b"")?)
    }

    fn remove(&mut self, key: &Key, found: &Found) -> Result<(), Failure> {
        self.tree.delete(self.txn, &key.record())?;
        self.tree.delete(self.txn, &key.due(found.head.due))?;
        let book = self.book(key.space)?;
        book.records = book.records.saturating_sub(1);
        book.bytes = book.bytes.saturating_sub(found.bytes as u64);
        Ok(())
    }

    fn clear(&mut self, space: SpaceId) -> Result<(), Failure> {
        let all = |first: &[u8], last: &[u8]| {
            (Bound::Included(first.to_vec()), Bound::Included(last.to_vec()))
        };
        let (first, last) = (Key { space, hash: 0 }, Key { space, hash: u128::MAX });
        let ranges =
            [all(&first.record(), &last.record()), all(&first.due(0), &last.due(u32::MAX))];
        for (from, to) in &ranges {
            let range = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
            self.tree.delete_range(self.txn, &range)?;
        }
        let book = self.book(space)?;
        (book.records, book.bytes) = (0, 0);
        Ok(())
    }

    /// Whether a record of this size may be added: what is in use is counted, not how long the file has
    /// become, since pages that are free again are used again.
    fn has_room(&self, bytes: usize) -> Result<bool, Failure> {
        let stat = self.tree.stat(self.txn)?;
        let page = stat.page_size as usize;
        let pages = stat.branch_pages + stat.leaf_pages + stat.overflow_pages;
        let wanted = (pages + PAGES_BESIDES).saturating_mul(page).saturating_add(bytes);
        Ok(wanted <= self.map_size)
    }

    fn book(&mut self, space: SpaceId) -> Result<&mut Book, Failure> {
        if !self.books.contains_key(&space) {
            let book = book(self.txn, self.tree, space)?
                .unwrap_or_else(|| Book { prefix: (self.prefix_of)(space), ..Book::default() });
            self.books.insert(space, book);
        }
        self.books.get_mut(&space).ok_or(Failure::Closed)
    }

    /// Removes what is over by `now` from a space, looking at no more than `looks` entries of the
    /// index. Those whose record was touched meanwhile get their new place.
    pub fn prune(&mut self, space: SpaceId, now: Millis, looks: usize) -> Result<Pruned, Failure> {
        let due = due_entries(self.txn, self.tree, space, now, looks)?;
        let mut pruned = Pruned { removed: 0, looks: due.len() };
        for (second, key) in due {
            match self.find(&key)? {
                Some(found) if found.head.due != second => {
                    self.tree.delete(self.txn, &key.due(second))?;
                }
                Some(found) if found.head.is_live(now) => {
                    let due = layout::due_second(found.head.expires);
                    self.move_entry(&key, Some(second), due)?;
                    self.put_head(&key, Head { due, ..found.head })?;
                }
                Some(found) => {
                    self.remove(&key, &found)?;
                    pruned.removed += 1;
                }
                None => {
                    self.tree.delete(self.txn, &key.due(second))?;
                }
            }
        }
        Ok(pruned)
    }

    /// Writes the books. Nothing may follow but the commit.
    pub fn finish(self) -> Result<(), Failure> {
        for (space, book) in &self.books {
            self.tree.put(self.txn, &layout::book_key(*space), &book.to_bytes())?;
        }
        Ok(())
    }
}

/// The record under a key.
pub fn record(txn: &RoTxn<'_>, tree: Tree, key: &Key) -> Result<Option<Record>, Failure> {
    let value = tree.get(txn, &key.record())?.and_then(Value::read);
    Ok(value.map(|value| value.head.record(Bytes::copy_from_slice(value.payload))))
}

/// The book of a space, if anything was ever written there.
pub fn book(txn: &RoTxn<'_>, tree: Tree, space: SpaceId) -> Result<Option<Book>, Failure> {
    Ok(tree.get(txn, &layout::book_key(space))?.and_then(Book::from_bytes))
}

/// All spaces in which something was ever written.
pub fn spaces(txn: &RoTxn<'_>, tree: Tree) -> Result<Vec<SpaceId>, Failure> {
    let mut spaces = Vec::new();
    for entry in tree.prefix_iter(txn, b"s")? {
        spaces.extend(layout::space_of_book(entry?.0));
    }
    Ok(spaces)
}

/// The first entries of the index of a space whose second has passed by `now`.
pub fn due_entries(
    txn: &RoTxn<'_>,
    tree: Tree,
    space: SpaceId,
    now: Millis,
    most: usize,
) -> Result<Vec<(u32, Key)>, Failure> {
    let passed = u32::try_from(now / 1000).unwrap_or(layout::NEVER);
    // Not the last second: that stands for all that are later.
    let first = Key { space, hash: 0 }.due(0);
    let last = Key { space, hash: u128::MAX }.due(passed.min(layout::NEVER - 1));
    let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    let mut due = Vec::new();
    for entry in tree.range(txn, &range)?.take(most) {
        due.extend(Key::of_due(entry?.0));
    }
    Ok(due)
}
