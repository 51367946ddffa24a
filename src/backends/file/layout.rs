//! How records lie in the file: keys, and the head before each record. Knows bytes only; nothing of
//! transactions, queues or folders.
//!
//! Everything is in one tree, because a tree of its own for each prefix would cost every read one more
//! look-up:
//!
//! | key | value |
//! |---|---|
//! | `i` name | what belongs to the file as a whole |
//! | `s` space | [`Book`] of a prefix |
//! | `r` space, hash of the sid | [`Head`], sid, payload |
//! | `d` space, second, hash of the sid | nothing: the record is due in that second, or later |
//!
//! A space is a prefix, by its hash. Sids are hashed (128 bits of SipHash, with a secret of the file),
//! since a key has at most 511 bytes and a sid may have 65,535; the sid itself stands in the value and
//! is compared. A hash in front also gives a walk numbers to go on from.

use std::hash::Hasher as _;

use siphasher::{
    sip::SipHasher13,
    sip128::{Hasher128 as _, SipHasher13 as SipHasher13of128},
};

use crate::record::{Millis, Record, Version, View};

/// What this layout is called in the file. Another number is another layout.
pub const FORMAT: u32 = 1;
/// Longest sid: its length is kept in 16 bits.
pub const MAX_SID_BYTES: usize = u16::MAX as usize;
/// A second that never comes: later ones than 32 bits can tell share it.
pub const NEVER: u32 = u32::MAX;

/// Where the file keeps [`FORMAT`].
pub const INFO_FORMAT: &[u8] = b"iformat";
/// Where the file keeps its [`Secret`].
pub const INFO_SECRET: &[u8] = b"isecret";

const HEAD: usize = 32;
const RECORD_FORMAT: u8 = 1;
const MOVED: u8 = 1;
/// Bits of a hash that tell where a walk goes on.
const STEP_BITS: u32 = 53;

/// A prefix, by its hash.
pub type SpaceId = u64;

/// What hashes depend on: one for each file, so that nobody can choose sids that collide.
#[derive(Clone, Copy)]
pub struct Secret(u64, u64);

impl Secret {
    /// One that nobody knows.
    pub fn random() -> Secret {
        use std::hash::{BuildHasher as _, RandomState};
        // std's way to random numbers.
        let number = || RandomState::new().hash_one(0);
        Secret(number(), number())
    }

    pub fn to_bytes(self) -> [u8; 16] {
        join([&self.0.to_be_bytes(), &self.1.to_be_bytes()])
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Secret> {
        Some(Secret(u64_at(bytes, 0)?, u64_at(bytes, 8)?))
    }

    pub fn space(&self, prefix: &str) -> SpaceId {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(prefix.as_bytes());
        hasher.finish()
    }

    pub fn key(&self, space: SpaceId, sid: &[u8]) -> Key {
        let mut hasher = SipHasher13of128::new_with_keys(self.0, self.1);
        hasher.write(sid);
        Key { space, hash: hasher.finish128().as_u128() }
    }
}

/// Where the record of a sid is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub space: SpaceId,
    pub hash: u128,
}

impl Key {
    /// The key of the record.
    pub fn record(&self) -> [u8; 25] {
        join([b"r", &self.space.to_be_bytes(), &self.hash.to_be_bytes()])
    }

    /// The key of the entry by which the record is found when that second comes.
    pub fn due(&self, second: u32) -> [u8; 29] {
        let (space, hash) = (self.space.to_be_bytes(), self.hash.to_be_bytes());
        join([b"d", &space, &second.to_be_bytes(), &hash])
    }

    /// The key that a record's entry in the tree belongs to.
    pub fn of_record(entry: &[u8]) -> Option<Key> {
        Some(Key { space: u64_at(entry, 1)?, hash: u128_at(entry, 9)? })
    }

    /// Second and key of an entry that [`Key::due`] made.
    pub fn of_due(entry: &[u8]) -> Option<(u32, Key)> {
        let key = Key { space: u64_at(entry, 1)?, hash: u128_at(entry, 13)? };
        Some((u32_at(entry, 9)?, key))
    }

    /// The first key of a step that a walk goes on from.
    pub fn at_step(space: SpaceId, step: u64) -> Key {
        Key { space, hash: u128::from(step) << (128 - STEP_BITS) }
    }

    /// The step that this key belongs to.
    pub fn step(&self) -> u64 {
        (self.hash >> (128 - STEP_BITS)) as u64
    }

    /// The step after the last there is.
    pub const END: u64 = 1 << STEP_BITS;
}

/// The key of a prefix's [`Book`].
pub fn book_key(space: SpaceId) -> [u8; 9] {
    join([b"s", &space.to_be_bytes()])
}

/// The prefix that a book's entry in the tree belongs to.
pub fn space_of_book(entry: &[u8]) -> Option<SpaceId> {
    (entry.len() == 9 && entry[0] == b's').then(|| u64_at(entry, 1)).flatten()
}

/// What is known of all records of a prefix without looking at them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    pub records: u64,
    /// Bytes of their sids and payloads.
    pub bytes: u64,
    pub prefix: String,
}

impl Book {
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers: [u8; 16] = join([&self.records.to_be_bytes(), &self.bytes.to_be_bytes()]);
        [&numbers, self.prefix.as_bytes()].concat()
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Book> {
        let prefix = std::str::from_utf8(bytes.get(16..)?).ok()?.to_owned();
        Some(Book { records: u64_at(bytes, 0)?, bytes: u64_at(bytes, 8)?, prefix })
    }
}

/// All of a record but its sid and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub expires: Millis,
    pub moved: bool,
    pub version: Version,
    /// The version of the last save that decided about the expiry by itself ("remember me"), rather
    /// than keeping it or moving it on. A touch that was meant for an earlier one is out of date.
    pub decided: Version,
    /// The second under which the record's entry stands; never later than it is due.
    pub due: u32,
}

impl Head {
    pub fn is_live(&self, now: Millis) -> bool {
        self.expires > now
    }

    /// The bytes before sid and payload.
    pub fn to_bytes(self, sid_len: u16) -> [u8; HEAD] {
        let kind = [RECORD_FORMAT, if self.moved { MOVED } else { 0 }];
        join([
            &kind,
            &sid_len.to_be_bytes(),
            &self.due.to_be_bytes(),
            &self.expires.to_be_bytes(),
            &self.version.to_be_bytes(),
            &self.decided.to_be_bytes(),
        ])
    }

    pub fn view<'p>(&self, payload: &'p [u8]) -> View<'p> {
        let Head { expires, moved, version, .. } = *self;
        View { payload, expires, moved, version, spot: 0 }
    }

    pub fn record(&self, payload: bytes::Bytes) -> Record {
        let Head { expires, moved, version, .. } = *self;
        Record { payload, expires, moved, version, spot: 0 }
    }
}

/// The value of a record, taken apart.
#[derive(Clone, Copy)]
pub struct Value<'v> {
    pub head: Head,
    pub sid: &'v [u8],
    pub payload: &'v [u8],
}

impl<'v> Value<'v> {
    /// `None` where these bytes are no record.
    pub fn read(bytes: &'v [u8]) -> Option<Value<'v>> {
        let (head, body) = bytes.split_at_checked(HEAD)?;
        if head[0] != RECORD_FORMAT {
            return None;
        }
        let sid_len = u16::from_be_bytes([head[2], head[3]]);
        let (sid, payload) = body.split_at_checked(sid_len.into())?;
        let head = Head {
            expires: u64_at(head, 8)?,
            moved: head[1] & MOVED != 0,
            version: u64_at(head, 16)?,
            decided: u64_at(head, 24)?,
            due: u32_at(head, 4)?,
        };
        Some(Value { head, sid, payload })
    }
}

/// Bytes of a record whose sid and payload have this many together.
pub fn value_bytes(body: usize) -> usize {
    HEAD + body
}

/// The first full second at which a record of this expiry is over.
pub fn due_second(expires: Millis) -> u32 {
    u32::try_from(expires.div_ceil(1000)).unwrap_or(NEVER)
}

fn join<const N: usize, const PARTS: usize>(parts: [&[u8]; PARTS]) -> [u8; N] {
    let mut joined = [0; N];
    let mut at = 0;
    for part in parts {
        joined[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    debug_assert_eq!(at, N);
    joined
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u128_at(bytes: &[u8], at: usize) -> Option<u128> {
    Some(u128::from_be_bytes(bytes.get(at..at + 16)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let head = Head { expires: 1_234_567, moved: true, version: 99, decided: 98, due: 1235 };
        let bytes = [&head.to_bytes(3)[..], b"sid", b"{}"].concat();
        let value = Value::read(&bytes).unwrap();
        assert_eq!((value.head, value.sid, value.payload), (head, &b"sid"[..], &b"{}"[..]));
        let book = Book { records: 5, bytes: 6, prefix: "a\0b".into() };
        assert_eq!(Book::from_bytes(&book.to_bytes()), Some(book));
        let key = Key { space: 7, hash: u128::MAX - 5 };
        assert_eq!(Key::of_record(&key.record()), Some(key));
        assert_eq!(Key::of_due(&key.due(8)), Some((8, key)));
    }

    #[test]
    fn bytes_that_are_no_record_are_told() {
        let head = Head { expires: 1, moved: false, version: 1, decided: 1, due: 1 };
        let good = [&head.to_bytes(3)[..], b"sid"].concat();
        for len in 0..good.len() {
            assert!(Value::read(&good[..len]).is_none(), "{len}");
        }
        assert!(Value::read(&[&[9], &good[1..]].concat()).is_none());
    }

    #[test]
    fn a_walk_goes_on_where_it_stopped() {
        for hash in [0, 1, 1 << 75, u128::MAX] {
            let key = Key { space: 1, hash };
            assert!(Key::at_step(1, key.step()).hash <= hash);
            assert!(key.step() < Key::END);
        }
        assert_eq!(Key { space: 1, hash: u128::MAX }.step() + 1, Key::END);
    }
}
