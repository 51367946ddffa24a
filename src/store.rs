//! One open store: what a save means. Checks limits, runs the compare-and-merge loop over whatever
//! backend there is, and counts. Knows nothing of JavaScript, and nothing of how a backend
//! keeps its records. docs/consistency.md states the same rules for users.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    backend::{Answer, Backend, Count, Gauges, Inside, Listener, Page, Replaced, Touched, Written},
    error::{Error, Kind, Result},
    merge::{self, Expiry},
    options::Options,
    record::{Draft, ExpiryRule, Millis, Record, Seen, Side, Touch, Version},
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

/// Counts since the store was opened.
#[derive(Debug, Default)]
pub struct Counters {
    /// Saves that were written.
    pub saves: AtomicU64,
    /// Saves that were merged with another's.
    pub merges: AtomicU64,
    /// Saves in which both sides had changed one value.
    pub conflicts: AtomicU64,
    /// Saves that were not written because the session was gone.
    pub refused: AtomicU64,
}

/// A store: a backend and the options it was opened with.
pub struct Store {
    backend: Arc<dyn Backend>,
    options: Options,
    counters: Counters,
}

impl Store {
    /// Opens what the options name.
    pub fn open(options: Options) -> Result<Store> {
        let backend = (options.backend.open)(&options)
            .map_err(|error| error.at(options.backend.name, "open"))?;
        Ok(Store { backend, options, counters: Counters::default() })
    }

    /// Name of the backend.
    pub fn backend(&self) -> &'static str {
        self.backend.name()
    }

    /// See [`Backend::identity`].
    pub fn identity(&self) -> &str {
        self.backend.identity()
    }

    /// See [`Backend::inside`].
    pub fn inside(&self) -> Inside {
        self.backend.inside()
    }

    /// See [`Backend::listen`].
    pub fn listen(&self, listener: Listener) {
        self.backend.listen(listener);
    }

    /// See [`Backend::flush`].
    pub fn flush(&self) {
        self.backend.flush();
    }

    /// See [`Backend::late`].
    pub fn late(&self) {
        self.backend.late();
    }

    /// See [`Backend::close`].
    pub async fn close(&self) -> Result<()> {
        self.backend.close().await
    }

    /// The options it was opened with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What was counted since.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What the backend knows without counting.
    pub fn gauges(&self) -> Gauges {
        self.backend.gauges()
    }

    /// Reads the session of a sid.
    pub fn get(&self, sid: &[u8], now: Millis) -> Answer<Option<Record>> {
        match self.check_sid(sid) {
            Ok(()) => self.backend.get(sid, now),
            Err(error) => Answer::Ready(Err(error)),
        }
    }

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
        self.check_sid(sid)?;
        self.check_size(draft.payload)?;
        // An expiry that is kept, or one that time has overtaken since it was moved ahead, does not
        // end a session that others keep alive.
        let decides = base.is_none() || decides(draft.rule);
        if draft.expires <= now && decides {
            self.backend.remove(sid).await?;
            return Ok(Saved::Removed);
        }
        let saved = match base {
            None => Saved::Written(self.backend.put(sid, draft, now).await?),
            Some(base) => self.save_changes(sid, draft, base, now).await?,
        };
        self.tally(&saved);
        Ok(saved)
    }

    /// As [`Store::save`], of what was read at a spot and is as it was then. `None`, and nothing is done,
    /// where it is not, and where a save does more than write. See [`Backend::replace_at`].
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
        let saved = Saved::Written(self.backend.replace_at(spot, seen, draft, now)?);
        self.tally(&saved);
        Some(saved)
    }

    fn tally(&self, saved: &Saved) {
        let Counters { saves, merges, conflicts: conflicting, refused, .. } = &self.counters;
        match saved {
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
    }

    /// The compare-and-merge loop.
    async fn save_changes(
        &self,
        sid: &[u8],
        mine: Draft<'_>,
        base: Base<'_>,
        now: Millis,
    ) -> Result<Saved> {
        let seen = Seen { version: base.version, payload: base.text };
        let compared = (self.options.merge || base.cookie_only).then_some(&seen);
        let mut theirs = match self.backend.replace(sid, compared, mine, now).await? {
            Replaced::Written(written) => return Ok(Saved::Written(written)),
            Replaced::Gone => return Ok(Saved::Gone),
            Replaced::Changed(record) => record,
        };
        let (base, cookie_only) = ((base.text)(), base.cookie_only);
        let started = Instant::now();
        let deadline =
            Duration::from_millis(self.options.command_timeout_ms).mul_f64(CONFLICT_SHARE);
        loop {
            let merged = match self.merge(&base, mine, &theirs) {
                Merge { is_json: false, .. } if cookie_only => return Ok(Saved::Changed),
                merged => merged,
            };
            self.check_size(&merged.payload)?;
            let draft = Draft { payload: &merged.payload, ..merged.draft };
            let payload = || theirs.payload.clone();
            let seen = Seen { version: theirs.version, payload: &payload };
            match self.backend.replace(sid, Some(&seen), draft, now).await? {
                Replaced::Written(written) => {
                    return Ok(Saved::Merged { written, conflicts: merged.conflicts });
                }
                Replaced::Gone => return Ok(Saved::Gone),
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

    /// Moves the expiry of a session, unless by less than `touchAfter`. One that is set into the
    /// past removes the session. A missing session is fine.
    pub async fn touch(
        &self,
        sid: &[u8],
        expires: Millis,
        rule: ExpiryRule,
        base: Option<Base<'_>>,
        now: Millis,
    ) -> Result<()> {
        let seen = base.as_ref().map(|base| base.version);
        let touch = Touch { expires, rule, slack: self.options.touch_after_ms, seen };
        let touched = self.ask_touch(sid, touch, now).await?;
        let (Touched::Changed(theirs), Some(base)) = (touched, base) else { return Ok(()) };
        // Who changed originalMaxAge decides about the expiry ("do not remember me").
        if rule == ExpiryRule::Later && merge::is_max_age_moved(&(base.text)(), &theirs.payload) {
            return Ok(());
        }
        self.backend.touch(sid, Touch { seen: None, ..touch }, now).await.map(drop)
    }

    /// As [`Store::touch`] to a time ahead, of what was read at a spot. See [`Backend::touch_at`].
    pub fn touch_at(
        &self,
        spot: u64,
        seen: Version,
        expires: Millis,
        rule: ExpiryRule,
        now: Millis,
    ) -> bool {
        let touch = Touch { expires, rule, slack: self.options.touch_after_ms, seen: Some(seen) };
        self.backend.touch_at(spot, seen, touch, now)
    }

    /// As [`Store::touch`], for a backend that answers a touch later, and so compares none.
    pub fn touch_whatever(
        &self,
        sid: &[u8],
        expires: Millis,
        rule: ExpiryRule,
        now: Millis,
    ) -> Answer<Touched> {
        let slack = self.options.touch_after_ms;
        self.ask_touch(sid, Touch { expires, rule, slack, seen: None }, now)
    }

    fn ask_touch(&self, sid: &[u8], touch: Touch, now: Millis) -> Answer<Touched> {
        if let Err(error) = self.check_sid(sid) {
            return Answer::Ready(Err(error));
        }
        if touch.expires > now || !decides(touch.rule) {
            return self.backend.touch(sid, touch, now);
        }
        match self.backend.remove(sid) {
            Answer::Ready(removed) => Answer::Ready(removed.map(|()| Touched::Done)),
            Answer::Later(removed) => {
                Answer::Later(Box::pin(async { removed.await.map(|()| Touched::Done) }))
            }
        }
    }

    /// Removes a session.
    pub async fn destroy(&self, sid: &[u8]) -> Result<()> {
        self.check_sid(sid)?;
        self.backend.remove(sid).await
    }

    /// One step of a walk over all sessions.
    pub async fn page(&self, from: u64, now: Millis) -> Result<Page> {
        self.backend.page(from, now).await
    }

    /// One step of counting all sessions.
    pub async fn count(&self, from: u64, now: Millis) -> Result<Count> {
        self.backend.count(from, now).await
    }

    /// Removes all sessions.
    pub async fn clear(&self) -> Result<()> {
        self.backend.clear().await
    }

    /// Answers when the backend does.
    pub async fn ping(&self) -> Result<()> {
        self.backend.ping().await
    }

    fn check_sid(&self, sid: &[u8]) -> Result<()> {
        let max = self.backend.max_sid_bytes();
        if sid.len() <= max {
            return Ok(());
        }
        Err(Error::new(
            Kind::TooLarge,
            format!("this sid has {} bytes, and {max} are allowed", sid.len()),
        ))
    }

    fn check_size(&self, payload: &[u8]) -> Result<()> {
        let max = self.options.max_session_bytes;
        let place = self.backend.max_payload_bytes();
        if payload.len() <= max.min(place) {
            return Ok(());
        }
        if place < max {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "this session has {} bytes, and {} can hold {place}; what was stored before is kept",
                    payload.len(),
                    self.backend.name(),
                ),
            ));
        }
        Err(Error::new(
            Kind::TooLarge,
            format!(
                "this session has {} bytes, and \"maxSessionBytes\" allows {max}; what was stored before is kept",
                payload.len()
            ),
        ))
    }
}

/// Whether an expiry of this rule is taken, and so ends the session where it is past.
fn decides(rule: ExpiryRule) -> bool {
    matches!(rule, ExpiryRule::Set | ExpiryRule::Always)
}

struct Merge<'a> {
    payload: Cow<'a, [u8]>,
    /// Everything but the payload.
    draft: Draft<'a>,
    is_json: bool,
    conflicts: String,
}
