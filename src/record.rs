//! What a backend keeps for one sid, and how the expiry of a save is decided against it.
//! Knows nothing of JSON, cookies or any one backend.

use bytes::Bytes;

pub use crate::merge::{ExpiryRule, Side};

/// Milliseconds since the Unix epoch. Every point in time inside the engine is one of these.
pub type Millis = u64;

/// The expiry of a record whose place does not tell it with the payload; its text then says as much
/// as is known. Only in what [`crate::backend::Backend::get`] and
/// [`crate::backend::Backend::page`] answer.
pub const UNTOLD: Millis = Millis::MAX;

/// The expiry of a record that never ends: the last time that a JavaScript date can hold.
pub const NEVER: Millis = 8_640_000_000_000_000;

/// Changes whenever the payload of a record is written; never because its expiry was moved.
/// Backends that compare payloads instead leave it 0.
pub type Version = u64;

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Record {
    /// The session's text.
    pub payload: Bytes,
    /// When it ends, whatever the text says.
    pub expires: Millis,
    /// Whether `expires` has moved away from the `cookie.expires` inside the text.
    pub moved: bool,
    /// What the backend compares by.
    pub version: Version,
    /// Where the backend has it; 0 where it does not say. See [`crate::backend::Backend::touch_at`].
    pub spot: u64,
}

/// A record for as long as it is looked at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// As [`Record::payload`].
    pub payload: &'a [u8],
    /// As [`Record::expires`].
    pub expires: Millis,
    /// As [`Record::moved`].
    pub moved: bool,
    /// As [`Record::version`].
    pub version: Version,
    /// As [`Record::spot`].
    pub spot: u64,
}

impl Record {
    /// Shows it.
    pub fn view(&self) -> View<'_> {
        let Record { payload, expires, moved, version, spot } = self;
        View { payload, expires: *expires, moved: *moved, version: *version, spot: *spot }
    }
}

impl From<View<'_>> for Record {
    /// A copy.
    fn from(view: View<'_>) -> Record {
        let View { payload, expires, moved, version, spot } = view;
        Record { payload: Bytes::copy_from_slice(payload), expires, moved, version, spot }
    }
}

/// What a save wants written.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The session's text.
    pub payload: &'a [u8],
    /// The expiry that the saving side asks for.
    pub expires: Millis,
    /// How that expiry is weighed against the record's.
    pub rule: ExpiryRule,
    /// As [`Record::moved`], should `expires` be taken.
    pub moved: bool,
}

impl Draft<'_> {
    /// The expiry and the `moved` mark of the record that this draft makes of one that ends at
    /// `theirs`. A touch may have moved `theirs` at any time, so a backend asks at the moment it
    /// writes.
    pub fn settle(&self, theirs: Millis) -> (Millis, bool) {
        let expires = match self.rule {
            ExpiryRule::Set | ExpiryRule::Always => self.expires,
            ExpiryRule::Keep => theirs,
            ExpiryRule::Later => self.expires.max(theirs),
        };
        (expires, self.moved || expires != self.expires)
    }
}

/// How a touch wants the expiry of a record to move.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    /// The expiry that is asked for.
    pub expires: Millis,
    /// [`ExpiryRule::Later`]: never to an earlier time.
    pub rule: ExpiryRule,
    /// A move by less than this many ms is not worth a write.
    pub slack: Millis,
    /// The version that the touching side has read. A backend that has versions and answers touches
    /// inside the call leaves another one alone and answers with it; any other does not ask.
    pub seen: Option<Version>,
}

impl Touch {
    /// Whether a record that ends at `theirs` is to be moved.
    pub fn moves(&self, theirs: Millis) -> bool {
        let earlier = self.expires <= theirs;
        match self.rule {
            ExpiryRule::Keep => false,
            ExpiryRule::Later if earlier => false,
            ExpiryRule::Later | ExpiryRule::Set | ExpiryRule::Always => {
                self.expires.abs_diff(theirs) >= self.slack
            }
        }
    }
}

/// What a record must still be for a compare-and-set to write: the version, or the payload where
/// a backend has no versions. The payload is made only when asked for.
pub struct Seen<'a> {
    /// The version read with the record; 0 never matches.
    pub version: Version,
    /// The text read with the record.
    pub payload: &'a dyn Fn() -> Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(rule: ExpiryRule) -> Draft<'static> {
        Draft { payload: b"{}", expires: 100, rule, moved: false }
    }

    #[test]
    fn the_rule_decides_whose_expiry_is_kept() {
        assert_eq!(draft(ExpiryRule::Set).settle(200), (100, false));
        assert_eq!(draft(ExpiryRule::Keep).settle(200), (200, true));
        assert_eq!(draft(ExpiryRule::Keep).settle(50), (50, true));
        assert_eq!(draft(ExpiryRule::Later).settle(200), (200, true));
        assert_eq!(draft(ExpiryRule::Later).settle(50), (100, false));
        assert_eq!(draft(ExpiryRule::Keep).settle(100), (100, false));
    }
}
