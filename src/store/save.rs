//! What a save means: written where the record is still what was read, merged where others have changed
//! it since, refused where it is gone. docs/consistency.md states the same rules for users.

use std::{
    borrow::Cow,
    future::Future,
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{Counters, Store, decides};
use crate::{
    backend::{Answer, Replaced, Written},
    error::{Error, Kind, Result},
    merge::{self, Expiry},
    record::{Draft, ExpiryRule, Millis, Record, Seen, Side, Version},
};

/// How much of the deadline of a call a save goes on for when other saves keep coming first: less than
/// all, so that the caller is told why.
const CONFLICT_SHARE: f64 = 0.9;

/// What an object that is saved was read as.
pub struct Base<'a> {
    /// The version of the record it was read from; 0 when it is known to have changed since.
    pub version: Version,
    /// Makes its text, only when it is asked for.
    pub text: &'a dyn Fn() -> Bytes,
    /// Only the cookie differs from it: nothing but that may be written over another's save.
    pub cookie_only: bool,
}

/// The outcome of a save.
#[derive(Debug)]
pub enum Saved {
    /// Written as it is.
    Written(Written),
    /// Written together with what others had changed.
    Merged {
        /// The record that was written.
        written: Written,
        /// JSON text of the paths that both sides had changed; empty when there are none.
        conflicts: String,
    },
    /// The session was gone; nothing was written.
    Gone,
    /// Its expiry is past; the session was removed.
    Removed,
    /// Only the cookie was to be saved, and the record's text is another that cannot be merged.
    /// Nothing was written.
    Changed,
}

/// The first attempt of a save, which the backend has been asked for.
pub enum Saving {
    /// Its expiry is past.
    Removing(Answer<()>),
    /// It has no base.
    Putting(Answer<Written>),
    /// It has one.
    Replacing(Answer<Replaced>),
}

/// What came of a first attempt.
pub enum Attempt {
    /// The save has ended.
    Ended(Saved),
    /// Another save came first: this is the record now. See [`Store::save_over`].
    Overtaken(Record),
}

impl Future for Saving {
    type Output = Result<Attempt>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(Attempt::Ended(match self.get_mut() {
            Saving::Removing(answer) => {
                ready!(Pin::new(answer).poll(cx))?;
                Saved::Removed
            }
            Saving::Putting(answer) => Saved::Written(ready!(Pin::new(answer).poll(cx))?),
            Saving::Replacing(answer) => match ready!(Pin::new(answer).poll(cx))? {
                Replaced::Written(written) => Saved::Written(written),
                Replaced::Gone => Saved::Gone,
                Replaced::Changed(record) => return Poll::Ready(Ok(Attempt::Overtaken(record))),
            },
        })))
    }
}

/// A save that another has overtaken.
pub struct Overtaken<'a> {
    /// The text that the object was read as.
    pub base: &'a [u8],
    /// What is to be saved.
    pub mine: Draft<'a>,
    /// As [`Base::cookie_only`].
    pub cookie_only: bool,
    /// The record by now.
    pub theirs: Record,
}

impl Store {
    /// Saves an object that was read from here as `base`, or a new one. Writes it where the record
    /// is still what it was read as, merges it where others have changed the record since, and
    /// never brings back a session that is gone.
    pub async fn save(
        &self,
        sid: &[u8],
        draft: Draft<'_>,
        base: Option<Base<'_>>,
        now: Millis,
    ) -> Result<Saved> {
        let attempt = self.begin_save(sid, draft, base.as_ref(), now)?.await?;
        match (attempt, base) {
            (Attempt::Overtaken(theirs), Some(Base { text, cookie_only, .. })) => {
                let base = text();
                let overtaken = Overtaken { base: &base, mine: draft, cookie_only, theirs };
                self.save_over(sid, overtaken, now).await
            }
            (Attempt::Ended(saved), _) => Ok(self.tallied(saved)),
            // A save without a base is overtaken by none.
            (Attempt::Overtaken(_), None) => Ok(Saved::Changed),
        }
    }

    /// Asks the backend for the first attempt of a save, which is mostly the last. What comes of it has to
    /// be [counted](Store::tallied).
    pub fn begin_save(
        &self,
        sid: &[u8],
        draft: Draft<'_>,
        base: Option<&Base<'_>>,
        now: Millis,
    ) -> Result<Saving> {
        self.check_sid(sid)?;
        self.check_size(draft.payload)?;
        // An expiry that is kept, or one that time has overtaken since it was moved ahead, does not
        // end a session that others keep alive.
        if draft.expires <= now && (base.is_none() || decides(draft.rule)) {
            return Ok(Saving::Removing(self.backend.remove(sid)));
        }
        let Some(base) = base else {
            return Ok(Saving::Putting(self.backend.put(sid, draft, now)));
        };
        let seen = Seen { version: base.version, payload: base.text };
        let compared = (self.options.merge || base.cookie_only).then_some(&seen);
        Ok(Saving::Replacing(self.backend.replace(sid, compared, draft, now)))
    }

    /// As [`Store::save`], of what was read at a spot and is as it was then. `None`, and nothing is done,
    /// where it is not, and where a save does more than write. See [`crate::backend::Backend::replace_at`].
    pub fn save_at(
        &self,
        spot: u64,
        seen: Version,
        draft: Draft<'_>,
        now: Millis,
    ) -> Option<Saved> {
        let is_over = draft.expires <= now && decides(draft.rule);
        if is_over || self.check_size(draft.payload).is_err() {
            return None;
        }
        Some(self.tallied(Saved::Written(self.backend.replace_at(spot, seen, draft, now)?)))
    }

    /// Counts a save that has ended.
    pub fn tallied(&self, saved: Saved) -> Saved {
        let Counters { saves, merges, conflicts: conflicting, refused, .. } = &self.counters;
        match &saved {
            Saved::Written(_) => {
                saves.fetch_add(1, Relaxed);
            }
            Saved::Merged { conflicts, .. } => {
                saves.fetch_add(1, Relaxed);
                merges.fetch_add(1, Relaxed);
                conflicting.fetch_add(u64::from(!conflicts.is_empty()), Relaxed);
            }
            Saved::Gone => {
                refused.fetch_add(1, Relaxed);
            }
            Saved::Removed | Saved::Changed => {}
        }
        saved
    }

    /// Goes on with a save that was overtaken: merges and writes, until none comes between.
    pub async fn save_over(
        &self,
        sid: &[u8],
        overtaken: Overtaken<'_>,
        now: Millis,
    ) -> Result<Saved> {
        let Overtaken { base, mine, cookie_only, mut theirs } = overtaken;
        let started = Instant::now();
        let deadline =
            Duration::from_millis(self.options.command_timeout_ms).mul_f64(CONFLICT_SHARE);
        loop {
            let merged = match self.merge(base, mine, &theirs) {
                Merge { is_json: false, .. } if cookie_only => return Ok(Saved::Changed),
                merged => merged,
            };
            self.check_size(&merged.payload)?;
            let draft = Draft { payload: &merged.payload, ..merged.draft };
            let payload = || theirs.payload.clone();
            let seen = Seen { version: theirs.version, payload: &payload };
            match self.backend.replace(sid, Some(&seen), draft, now).await? {
                Replaced::Written(written) => {
                    let conflicts = merged.conflicts;
                    return Ok(self.tallied(Saved::Merged { written, conflicts }));
                }
                Replaced::Gone => return Ok(self.tallied(Saved::Gone)),
                Replaced::Changed(_) if started.elapsed() > deadline => {
                    return Err(Error::new(
                        Kind::Conflict,
                        "other saves of this session kept coming first until the deadline; save it again",
                    ));
                }
                Replaced::Changed(record) => theirs = record,
            }
        }
    }

    fn merge<'a>(&self, base: &[u8], mine: Draft<'a>, theirs: &'a Record) -> Merge<'a> {
        // Their expiry is whatever it is by the time of the write: a touch may move it.
        let with_their_expiry =
            Draft { expires: theirs.expires, rule: ExpiryRule::Keep, moved: theirs.moved, ..mine };
        let expiry = Expiry { rule: mine.rule, mine: mine.expires, theirs: theirs.expires };
        match merge::merge(base, mine.payload, &theirs.payload, expiry, &self.options.atomic) {
            Ok(merged) => Merge {
                payload: Cow::Owned(merged.payload),
                draft: match merged.cookie {
                    Side::Theirs if mine.rule == ExpiryRule::Always => {
                        Draft { moved: true, ..mine }
                    }
                    Side::Theirs => with_their_expiry,
                    Side::Mine => mine,
                },
                is_json: true,
                conflicts: match merged.conflicts.is_empty() {
                    true => String::new(),
                    false => merge::conflicts_json(&merged.conflicts),
                },
            },
            // Text that is not JSON is one unit. What is not changed leaves theirs alone, and
            // where both are, the path of the whole is the empty one.
            Err(_) if mine.payload == base => Merge {
                payload: Cow::Borrowed(&theirs.payload),
                draft: Draft { moved: true, ..mine },
                is_json: false,
                conflicts: String::new(),
            },
            Err(_) => Merge {
                payload: Cow::Borrowed(mine.payload),
                draft: mine,
                is_json: false,
                conflicts: if *theirs.payload == *base { String::new() } else { "[[]]".into() },
            },
        }
    }
}

struct Merge<'a> {
    payload: Cow<'a, [u8]>,
    /// Everything but the payload.
    draft: Draft<'a>,
    is_json: bool,
    conflicts: String,
}
