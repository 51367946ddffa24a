//! The three-way merge of a session: what a save that started from `base` and ends as `mine` means
//! for a record that has meanwhile become `theirs`. Pure: knows no backend, no clock, no events.
//!
//! For each key, by its value on the three sides:
//!
//! | changed by | result |
//! |---|---|
//! | one side | that side's |
//! | both, to the same value | that value |
//! | both, one of them by deleting it or setting it to null | deleted or null; a conflict |
//! | both, each to an object | merged by key in the same way |
//! | both, otherwise | mine; a conflict |
//!
//! A value that did not change keeps its text. Keys stand in theirs' order, new ones of mine
//! after them. Objects more than [`MAX_DEPTH`] levels down are units, like arrays and scalars, and
//! so are the top-level keys named in `atomic`.
//!
//! The session's `cookie` is merged by field and never a conflict: where both changed a field, it
//! is mine's. Its `expires` and `originalMaxAge` come together from the side that [`Expiry`]
//! decides for, whatever `atomic` names. When the record ends is the caller's business.

mod expiry;
mod sides;
#[cfg(test)]
mod tests;
mod text;

use std::{fmt, thread};

use crate::json::{self, Document, Members, Value};
use expiry::max_age_moved;
pub use expiry::{Expiry, ExpiryRule, Side};
use sides::{Equal, Triple, for_each_key, members};
use text::{Mark, Text};

/// Objects this many levels below the session are merged by key; deeper ones are units. Half of
/// what `JSON.stringify` can write before it throws.
pub const MAX_DEPTH: usize = 2000;

/// Levels that are merged on one stack, and bytes of such a stack. A level takes about 1.3 KiB in a
/// release build, and several times that in a debug build.
const LEVELS_PER_STACK: usize = 100;
const STACK_BYTES: usize = 4 << 20;

/// So many levels are first asked whether their texts are equal, which is quick for what nobody
/// changed. On every level it would take time quadratic in the depth.
const TEXT_LEVELS: usize = 8;

/// Conflicts are listed until their paths take this many bytes: one long key with many keys
/// beneath it would else take more memory than the session, many times over.
pub const MAX_PATH_BYTES: usize = 64 * 1024;

/// The keys that lead to a value, from the top. Each is a JSON string token with its quotes, so
/// that any key survives.
pub type Path = Vec<Box<str>>;

/// What a path takes of [`MAX_PATH_BYTES`].
pub(crate) fn path_bytes(path: &Path) -> usize {
    path.iter().map(|key| key.len() + size_of::<Box<str>>()).sum()
}

/// The outcome of a merge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merged {
    /// The merged session's text.
    pub payload: Vec<u8>,
    /// Whose `cookie.expires` and `cookie.originalMaxAge` the payload carries.
    pub cookie: Side,
    /// Values that both sides had changed. Never empty when there were conflicts, but when the
    /// paths become very long ([`MAX_PATH_BYTES`]) the rest is left out.
    pub conflicts: Vec<Path>,
}

/// The side whose text is not a JSON object, so that nothing can be merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotMergeable {
    /// What the save started from.
    Base,
    /// The save.
    Mine,
    /// The record.
    Theirs,
}

impl fmt::Display for NotMergeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self {
            NotMergeable::Base => "the text that the save started from",
            NotMergeable::Mine => "the text of the save",
            NotMergeable::Theirs => "the text of the record",
        };
        write!(f, "{side} is not a JSON object")
    }
}

impl std::error::Error for NotMergeable {}

/// Merges. `atomic` names top-level keys that are merged as one unit.
pub fn merge(
    base: &[u8],
    mine: &[u8],
    theirs: &[u8],
    expiry: Expiry,
    atomic: &[String],
) -> Result<Merged, NotMergeable> {
    let base = object(base).ok_or(NotMergeable::Base)?;
    let mine = object(mine).ok_or(NotMergeable::Mine)?;
    let theirs = object(theirs).ok_or(NotMergeable::Theirs)?;
    let [base, mine, theirs] = [&base, &mine, &theirs].map(|document| document.root().members());
    let cookie = expiry.cookie(&base, &mine, &theirs);
    let mut merger = Merger {
        out: Text::default(),
        path: Vec::new(),
        atomic,
        cookie,
        conflicts: Vec::new(),
        path_bytes: 0,
    };
    merger.object(&base, &mine, &theirs);
    Ok(Merged { payload: merger.out.finish(), cookie, conflicts: merger.conflicts })
}

/// Whether the cookie of `theirs` has another `originalMaxAge` than that of `base`, by more than
/// the setter itself drifts. Text that is no JSON object has none.
pub fn is_max_age_moved(base: &[u8], theirs: &[u8]) -> bool {
    let (base, theirs) = (object(base), object(theirs));
    let [base, theirs] = [&base, &theirs].map(|session| {
        session.as_ref().map(|session| session.root().members()).unwrap_or_default()
    });
    max_age_moved(&base, &theirs)
}

/// The paths as one JSON text: `[["cart","a"],["theme"]]`.
pub fn conflicts_json(conflicts: &[Path]) -> String {
    let paths: Vec<String> = conflicts.iter().map(|path| format!("[{}]", path.join(","))).collect();
    format!("[{}]", paths.join(","))
}

fn object(text: &[u8]) -> Option<Document<'_>> {
    Document::parse(text).ok().filter(|document| document.root().is_object())
}

struct Merger<'d> {
    out: Text<'d>,
    /// Key tokens from the top to the object being merged.
    path: Vec<&'d [u8]>,
    atomic: &'d [String],
    cookie: Side,
    conflicts: Vec<Path>,
    path_bytes: usize,
}

impl<'d> Merger<'d> {
    /// Writes the merge of two objects by key.
    fn object(&mut self, base: &Members<'d>, mine: &Members<'d>, theirs: &Members<'d>) -> Equal {
        let top = self.path.is_empty();
        let mut all = Equal { base_mine: true, base_theirs: true, mine_theirs: true };
        let mut kept_keys = 0;
        self.out.byte(b'{');
        for_each_key(base, mine, theirs, |member, triple| {
            kept_keys += usize::from(triple.base.is_some());
            if top && *member.key == *b"cookie" {
                self.cookie(member.token, triple);
                return;
            }
            let unit = top && self.atomic.iter().any(|name| name.as_bytes() == &*member.key);
            let equal = self.member(member.token, triple, unit);
            all.base_mine &= equal.base_mine;
            all.base_theirs &= equal.base_theirs;
            all.mine_theirs &= equal.mine_theirs;
        });
        self.out.byte(b'}');
        // The others are gone from both sides.
        if kept_keys < base.len() {
            all.base_mine = false;
            all.base_theirs = false;
        }
        all
    }

    /// Writes the merge of two objects beneath a key. Goes on with a stack of its own every so many
    /// levels: the thread that called may have a small one.
    fn beneath(&mut self, base: Option<Value<'d>>, mine: Value<'d>, theirs: Value<'d>) -> Equal {
        let levels = self.path.len();
        let mut merge = || self.object(&members(base), &mine.members(), &theirs.members());
        if !levels.is_multiple_of(LEVELS_PER_STACK) {
            return merge();
        }
        thread::scope(|scope| {
            let deeper = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, merge);
            let merged = deeper.expect("the system has room for one more thread").join();
            merged.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Writes the merge of one key, and tells the object around it which sides are equal: comparing
    /// them again on every level would take time quadratic in the depth.
    fn member(&mut self, token: &'d [u8], triple: Triple<'d>, unit: bool) -> Equal {
        let start = self.begin(token);
        let levels = self.path.len();
        let equal = match triple.objects() {
            Some((mine, theirs))
                if !unit
                    && levels < MAX_DEPTH
                    && !(levels < TEXT_LEVELS && triple.has_equal_texts()) =>
            {
                let value = self.out.mark();
                self.path.push(token);
                let mut equal = self.beneath(triple.base, mine, theirs);
                self.path.pop();
                if !triple.base.is_some_and(Value::is_object) {
                    equal.base_mine = false;
                    equal.base_theirs = false;
                }
                if triple.settled(equal).is_none() {
                    return equal;
                }
                self.out.back_to(value);
                equal
            }
            _ => triple.compare(),
        };
        let value = triple.settled(equal).unwrap_or_else(|| {
            self.conflict(token);
            triple.collided()
        });
        self.end(start, value);
        equal
    }

    fn cookie(&mut self, token: &'d [u8], triple: Triple<'d>) {
        let start = self.begin(token);
        let value = match (triple.mine, triple.theirs) {
            (Some(mine), Some(theirs)) if mine.is_object() && theirs.is_object() => {
                let value = self.out.mark();
                if !self.cookie_fields(triple.base, mine, theirs) {
                    return;
                }
                self.out.back_to(value);
                Some(theirs)
            }
            _ => triple.settled(triple.compare()).unwrap_or_else(|| triple.collided()),
        };
        self.end(start, value);
    }

    /// Writes the merge of two cookies. Returns whether it is theirs, text for text.
    fn cookie_fields(
        &mut self,
        base: Option<Value<'d>>,
        mine: Value<'d>,
        theirs: Value<'d>,
    ) -> bool {
        let base = members(base);
        let mut all_theirs = true;
        self.out.byte(b'{');
        for_each_key(&base, &mine.members(), &theirs.members(), |member, triple| {
            let value = match (&*member.key, self.cookie) {
                (b"expires" | b"originalMaxAge", Side::Mine) => triple.mine,
                (b"expires" | b"originalMaxAge", Side::Theirs) => triple.theirs,
                _ => triple.settled(triple.compare()).unwrap_or(triple.mine),
            };
            all_theirs &= value.map(Value::text) == triple.theirs.map(Value::text);
            let start = self.begin(member.token);
            self.end(start, value);
        });
        self.out.byte(b'}');
        all_theirs
    }

    /// Writes a key. Returns where the member begins.
    fn begin(&mut self, token: &'d [u8]) -> Mark {
        let start = self.out.mark();
        if !self.out.is_at_start_of_object() {
            self.out.byte(b',');
        }
        self.out.write(token);
        self.out.byte(b':');
        start
    }

    /// Writes a key's value, or takes the key back.
    fn end(&mut self, start: Mark, value: Option<Value<'d>>) {
        match value {
            Some(value) => self.out.write(value.text()),
            None => self.out.back_to(start),
        }
    }

    fn conflict(&mut self, token: &'d [u8]) {
        if self.path_bytes >= MAX_PATH_BYTES {
            return;
        }
        let path: Path =
            self.path.iter().chain([&token]).map(|token| json::portable(token)).collect();
        self.path_bytes += path_bytes(&path);
        self.conflicts.push(path);
    }
}
