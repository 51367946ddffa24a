//! A save of a backend that answers later. Texts are kept for as long as they may be merged, in one
//! piece; a save without a base keeps none. Knows nothing of JavaScript.

use std::{
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{answer::Outcome, operate::Boxed};
use crate::{
    error::Result,
    record::{Draft, Millis, Record, Version},
    store::{Attempt, Base, Overtaken, Saved, Saving, Store},
};

/// A save that is under way.
pub struct Save {
    store: Arc<Store>,
    state: State,
}

enum State {
    /// The backend has been asked.
    Asked(Saving, Option<Box<Kept>>),
    /// Another save came first.
    Merging(Boxed),
}

/// What a merge needs.
pub struct Kept {
    /// The sid, the text of the base, the text to be saved.
    texts: Bytes,
    sid: usize,
    base: usize,
    version: Version,
    cookie_only: bool,
    draft: Draft<'static>,
    now: Millis,
}

impl Kept {
    /// `draft` without its payload.
    pub fn new(
        [sid, base, payload]: [&[u8]; 3],
        version: Version,
        cookie_only: bool,
        draft: Draft<'static>,
        now: Millis,
    ) -> Kept {
        let mut texts = Vec::with_capacity(sid.len() + base.len() + payload.len());
        texts.extend_from_slice(sid);
        texts.extend_from_slice(base);
        texts.extend_from_slice(payload);
        let (sid, base) = (sid.len(), sid.len() + base.len());
        Kept { texts: texts.into(), sid, base, version, cookie_only, draft, now }
    }

    fn sid(&self) -> &[u8] {
        &self.texts[..self.sid]
    }

    fn base(&self) -> Range<usize> {
        self.sid..self.base
    }

    fn draft(&self) -> Draft<'_> {
        Draft { payload: &self.texts[self.base..], ..self.draft }
    }
}

impl Save {
    /// Asks for a save without a base.
    pub fn put(store: Arc<Store>, sid: &[u8], draft: Draft<'_>, now: Millis) -> Result<Save> {
        let saving = store.begin_save(sid, draft, None, now)?;
        Ok(Save { store, state: State::Asked(saving, None) })
    }

    /// Asks for one that has a base.
    pub fn replace(store: Arc<Store>, kept: Kept) -> Result<Save> {
        let text = || kept.texts.slice(kept.base());
        let base = Base { version: kept.version, text: &text, cookie_only: kept.cookie_only };
        let saving = store.begin_save(kept.sid(), kept.draft(), Some(&base), kept.now)?;
        Ok(Save { store, state: State::Asked(saving, Some(Box::new(kept))) })
    }

    /// Goes on with it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outcome>> {
        if let State::Asked(saving, kept) = &mut self.state {
            let theirs = match ready!(Pin::new(saving).poll(cx))? {
                Attempt::Ended(saved) => return self.ended(saved),
                Attempt::Overtaken(theirs) => theirs,
            };
            // A save without a base is overtaken by none.
            let Some(kept) = kept.take() else { return self.ended(Saved::Changed) };
            self.state = State::Merging(merge(self.store.clone(), kept, theirs));
        }
        match &mut self.state {
            State::Merging(merging) => merging.as_mut().poll(cx),
            State::Asked(..) => Poll::Pending,
        }
    }

    fn ended(&self, saved: Saved) -> Poll<Result<Outcome>> {
        Poll::Ready(Ok(Outcome::Saved(self.store.tallied(saved))))
    }
}

fn merge(store: Arc<Store>, kept: Box<Kept>, theirs: Record) -> Boxed {
    Box::pin(async move {
        let (base, mine) = (&kept.texts[kept.base()], kept.draft());
        let overtaken = Overtaken { base, mine, cookie_only: kept.cookie_only, theirs };
        store.save_over(kept.sid(), overtaken, kept.now).await.map(Outcome::Saved)
    })
}
