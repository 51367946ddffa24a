//! One open store: checks limits, asks whatever backend there is, and counts. Knows nothing of
//! JavaScript, and nothing of how a backend keeps its records. What a save means is in `store/save.rs`;
//! docs/consistency.md states the same rules for users.

use std::sync::{Arc, atomic::AtomicU64};

pub use self::save::{Attempt, Base, Overtaken, Saved, Saving};
use crate::{
    backend::{Answer, Backend, Count, Gauges, Inside, Listener, Page, Touched},
    error::{Error, Kind, Result},
    merge,
    options::Options,
    record::{ExpiryRule, Millis, Record, Touch, Version, View},
};

mod save;

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

    /// The same of a backend that answers inside the call, without taking the record out of it.
    pub fn look(&self, sid: &[u8], now: Millis, shown: &mut dyn FnMut(View<'_>)) -> Result<()> {
        self.check_sid(sid)?;
        self.backend.look(sid, now, shown)
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
