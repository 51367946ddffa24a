//! The filters and updates that are sent: what a call means in MongoDB's words. Sends nothing.
//!
//! Documents are those of connect-mongo at its defaults: `{ _id, expires: Date, session: text }`. An
//! update sets `session` and `expires` and nothing else, so that what others keep beside them stays.
//! A document without `expires` never ends, as for connect-mongo; with one that is no date it is
//! not there.

use mongodb::bson::{
    Binary, Bson, DateTime, Document, doc,
    spec::{BinarySubtype, ElementType},
};

use crate::record::{Draft, ExpiryRule, Millis, Touch};

/// Text as the server keeps it. What is no UTF-8 (a lone surrogate) becomes bytes, which other stores
/// cannot read; they could not have written it either.
pub fn text(bytes: &[u8]) -> Bson {
    match std::str::from_utf8(bytes) {
        Ok(text) => Bson::String(text.to_owned()),
        Err(_) => Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_owned() }),
    }
}

/// The last ms of the year 9999: later dates cannot be read by the drivers of some languages, so none is
/// written. What ends then is told as never ending.
pub const LAST: Millis = 253_402_300_799_999;

/// A time as the server keeps it.
pub fn date(at: Millis) -> Bson {
    Bson::DateTime(DateTime::from_millis(at.min(LAST) as i64))
}

/// The condition that a record is not over.
pub fn live(now: Millis) -> Document {
    doc! { "$or": [{ "expires": { "$exists": false } }, { "expires": { "$gt": date(now) } }] }
}

/// One entry of an `update` command that writes a record whatever is there.
pub fn put(id: &[u8], payload: Bson, expires: Millis) -> Document {
    doc! {
        "q": { "_id": text(id) },
        "u": { "$set": { "expires": date(expires), "session": payload } },
        "upsert": true,
    }
}

/// One entry of an `update` command that moves the expiry where [`Touch::moves`] says so; none where it
/// never does. What needs no move is not matched, and so costs no write.
pub fn touch(id: &[u8], touch: &Touch, now: Millis) -> Option<Document> {
    let Touch { expires, rule, slack, .. } = *touch;
    let earlier = expires.saturating_sub(slack.max(1));
    let mut q = doc! { "_id": text(id) };
    match rule {
        ExpiryRule::Keep => return None,
        // Not matched: a record that never ends.
        ExpiryRule::Later if earlier <= now => return None,
        ExpiryRule::Later => {
            q.insert("expires", doc! { "$gt": date(now), "$lte": date(earlier) });
        }
        ExpiryRule::Set | ExpiryRule::Always if slack == 0 => q.extend(live(now)),
        ExpiryRule::Set | ExpiryRule::Always => {
            let later = expires.saturating_add(slack).max(now.saturating_add(1));
            q.insert(
                "$or",
                vec![
                    doc! { "expires": { "$exists": false } },
                    doc! { "expires": { "$gt": date(now), "$lte": date(earlier) } },
                    doc! { "expires": { "$gte": date(later) } },
                ],
            );
        }
    }
    Some(doc! { "q": q, "u": { "$set": { "expires": date(expires) } } })
}

/// The filter of a compare-and-set: alive, and still what was seen, if that is asked.
pub fn unchanged(id: &[u8], seen: Option<Bson>, now: Millis) -> Document {
    let mut filter = doc! { "_id": text(id) };
    if let Some(seen) = seen {
        filter.insert("session", seen);
    }
    filter.extend(live(now));
    filter
}

/// What a compare-and-set writes. The expiry is that of [`Draft::settle`], decided by the server at
/// the moment of the write.
#[derive(Clone)]
pub enum Change {
    Fields(Document),
    Pipeline(Vec<Document>),
}

impl Change {
    pub fn new(draft: &Draft<'_>) -> Change {
        let payload = text(draft.payload);
        match draft.rule {
            ExpiryRule::Keep => Change::Fields(doc! { "$set": { "session": payload } }),
            ExpiryRule::Set | ExpiryRule::Always => Change::Fields(
                doc! { "$set": { "expires": date(draft.expires), "session": payload } },
            ),
            // `$max` as an operator would give an end to what has none.
            ExpiryRule::Later => Change::Pipeline(vec![doc! { "$set": {
                "expires": { "$cond": [
                    { "$eq": [{ "$type": "$expires" }, "missing"] },
                    "$$REMOVE",
                    { "$max": ["$expires", date(draft.expires)] },
                ] },
                "session": { "$literal": payload },
            } }]),
        }
    }
}

/// The `_id`s of all records with a prefix, after one of them if given. Ids that are bytes come after
/// all that are text, and have to be compared with the prefix by whoever reads them.
pub fn ids(prefix: &str, after: Option<&Bson>) -> Document {
    let bytes = doc! { "_id": { "$type": ElementType::Binary as i32 } };
    let mut range = match after {
        Some(after @ Bson::Binary(_)) => return doc! { "_id": { "$gt": after.clone() } },
        Some(after) => doc! { "$gt": after.clone() },
        None => doc! { "$gte": prefix },
    };
    if let Some(end) = end(prefix) {
        range.insert("$lt", end);
    }
    doc! { "$or": [{ "_id": range }, bytes] }
}

/// As [`ids`], of those that are text.
pub fn text_ids(prefix: &str) -> Document {
    let mut range = doc! { "$gte": prefix };
    if let Some(end) = end(prefix) {
        range.insert("$lt", end);
    }
    doc! { "_id": range }
}

/// The first text after all those that begin with `prefix`; none where there is no such.
fn end(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        let next = match u32::from(last) + 1 {
            0xD800 => Some('\u{E000}'),
            code => char::from_u32(code),
        };
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_text() {
        assert_eq!(end("sess:").as_deref(), Some("sess;"));
        assert_eq!(end("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(end("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(end("\u{10FFFF}"), None);
        assert_eq!(end(""), None);
    }

    #[test]
    fn a_touch_asks_the_server_only_where_it_may_move_something() {
        let ask = |expires, rule, slack| {
            touch(b"a", &Touch { expires, rule, slack, seen: None }, 1000).is_some()
        };
        assert!(!ask(5000, ExpiryRule::Keep, 0));
        assert!(ask(5000, ExpiryRule::Later, 0));
        assert!(!ask(1001, ExpiryRule::Later, 0), "what is alive ends at 1001 at the earliest");
        assert!(!ask(5000, ExpiryRule::Later, 4500));
        assert!(ask(5000, ExpiryRule::Set, 4500));
    }
}
