//! Whose expiry a merged session has. Knows the two cookie fields that say when a session ends.

use super::sides::members;
use crate::json::{Members, Value};

/// Milliseconds by which `originalMaxAge` may drift without anybody having changed it.
const DRIFT_MS: f64 = 1000.0;

/// How a save wants the expiry of its record to move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExpiryRule {
    /// Leave the record's.
    Keep,
    /// The later of mine and the record's.
    Later,
    /// Mine.
    Set,
    /// Mine, but theirs may decide what the text says: something other than the cookie tells when a
    /// session ends.
    Always,
}

/// One of the two sides of a merge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The save that is being made.
    Mine,
    /// What others have made of the record.
    Theirs,
}

/// What is known of the expiry, in absolute milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// How the save wants it to move.
    pub rule: ExpiryRule,
    /// What the save asks for.
    pub mine: u64,
    /// The record's real one, whatever its text says.
    pub theirs: u64,
}

impl Expiry {
    /// The side whose two cookie fields the merged text carries.
    pub(super) fn cookie(
        self,
        base: &Members<'_>,
        mine: &Members<'_>,
        theirs: &Members<'_>,
    ) -> Side {
        let moved_by = |side| max_age_moved(base, side);
        let is_mine = match self.rule {
            ExpiryRule::Keep => false,
            ExpiryRule::Later => self.mine > self.theirs && !moved_by(theirs),
            ExpiryRule::Set => true,
            ExpiryRule::Always => moved_by(mine) || !moved_by(theirs),
        };
        if is_mine { Side::Mine } else { Side::Theirs }
    }
}

/// Whether a side changed `originalMaxAge`, by more than the setter itself drifts.
pub(super) fn max_age_moved(base: &Members<'_>, side: &Members<'_>) -> bool {
    let max_age = |session: &Members<'_>| {
        members(session.get(b"cookie", 0)).get(b"originalMaxAge", 0).and_then(Value::number)
    };
    match (max_age(base), max_age(side)) {
        (Some(base), Some(side)) => (base - side).abs() > DRIFT_MS,
        (None, None) => false,
        _ => true,
    }
}
