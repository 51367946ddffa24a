//! One key on the three sides of a merge: which sides agree, and which value is kept. Knows no
//! cookie and writes nothing.

use crate::json::{Member, Members, Value};

/// The members of a value that may be absent or no object.
pub(super) fn members(value: Option<Value<'_>>) -> Members<'_> {
    value.map(Value::members).unwrap_or_default()
}

/// The value of one key on the three sides; `None` where the key is absent.
#[derive(Clone, Copy)]
pub(super) struct Triple<'d> {
    pub base: Option<Value<'d>>,
    pub mine: Option<Value<'d>>,
    pub theirs: Option<Value<'d>>,
}

/// Which sides of a [`Triple`] are equal.
#[derive(Clone, Copy)]
pub(super) struct Equal {
    pub base_mine: bool,
    pub base_theirs: bool,
    pub mine_theirs: bool,
}

impl<'d> Triple<'d> {
    pub fn compare(self) -> Equal {
        let Triple { base, mine, theirs } = self;
        let base_mine = same(base, mine);
        let base_theirs = if base_mine { same(mine, theirs) } else { same(base, theirs) };
        let mine_theirs =
            if base_mine || base_theirs { base_mine && base_theirs } else { same(mine, theirs) };
        Equal { base_mine, base_theirs, mine_theirs }
    }

    /// The value to keep where the sides do not collide.
    pub fn settled(self, equal: Equal) -> Option<Option<Value<'d>>> {
        if equal.base_mine || equal.mine_theirs {
            Some(self.theirs)
        } else if equal.base_theirs {
            Some(self.mine)
        } else {
            None
        }
    }

    /// The value to keep where they do: a deletion or a null, else mine.
    pub fn collided(self) -> Option<Value<'d>> {
        let gone = |value: Option<Value<'_>>| value.is_none_or(Value::is_null);
        if gone(self.theirs) && !gone(self.mine) { self.theirs } else { self.mine }
    }

    /// The two objects, where both sides have one.
    pub fn objects(self) -> Option<(Value<'d>, Value<'d>)> {
        let (mine, theirs) = (self.mine?, self.theirs?);
        (mine.is_object() && theirs.is_object()).then_some((mine, theirs))
    }

    /// Whether two sides have the same text, so that no more is needed to settle it.
    pub fn has_equal_texts(self) -> bool {
        let [base, mine, theirs] =
            [self.base, self.mine, self.theirs].map(|side| side.map(Value::text));
        base == mine || base == theirs || mine == theirs
    }
}

fn same(a: Option<Value<'_>>, b: Option<Value<'_>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (None, None) => true,
        _ => false,
    }
}

/// Calls `each` with every key of mine and theirs, in the order of the result.
pub(super) fn for_each_key<'d>(
    base: &Members<'d>,
    mine: &Members<'d>,
    theirs: &Members<'d>,
    mut each: impl FnMut(&Member<'d>, Triple<'d>),
) {
    for (place, member) in theirs.iter().enumerate() {
        let base = base.get(&member.key, place);
        let mine = mine.get(&member.key, place);
        each(member, Triple { base, mine, theirs: Some(member.value) });
    }
    for (place, member) in mine.iter().enumerate() {
        if theirs.get(&member.key, place).is_none() {
            let base = base.get(&member.key, place);
            each(member, Triple { base, mine: Some(member.value), theirs: None });
        }
    }
}
