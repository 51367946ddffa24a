//! The functions that index.js calls: text and numbers in, text and numbers out. `src/binding` is
//! the only module that names Node-API, and the only one with `unsafe`. Knows which operation is
//! asked for, never what it should do.
//!
//! Free functions with a handle, since a call to a method of a napi class costs ten times as much
//! before it does anything. Nothing here throws for a failed operation: what would throw is a fault
//! of index.js.

// In a test build the macro registers nothing with Node, so that nothing is called.
#![cfg_attr(test, allow(dead_code))]

mod answer;
mod handle;
mod text;

use bytes::Bytes;
use napi::{Env, JsValue, Result, bindgen_prelude::Unknown};
use napi_derive::napi;
use serde_json::json;

use self::{
    answer::{
        BASE, DONE, EXPIRES, EXTRA, GONE, MERGED, NOW, NUMBER, REMOVED, RULE, Raw, STATUS, VERSION,
        array, error_json, number, operate, settle, undefined,
    },
    handle::Handle,
    text::Text,
};
use crate::{
    backend::Page,
    backends::REGISTRY,
    error::{Error, Kind},
    options::Options,
    record::{Draft, ExpiryRule, Millis, Record},
    store::{Base, Saved, Store},
};

/// A time of JavaScript's; one before 1970 is 1970, one that is no number too.
fn millis(handle: Handle<'_>, index: usize) -> Millis {
    handle.number(index) as Millis
}

fn rule(handle: Handle<'_>) -> ExpiryRule {
    match handle.number(RULE) {
        0.0 => ExpiryRule::Keep,
        1.0 => ExpiryRule::Later,
        _ => ExpiryRule::Set,
    }
}

/// When a record ends, in ms; negative where that is no longer what its text says.
fn told_expiry(record: &Record) -> f64 {
    let expires = record.expires as f64;
    if record.moved { -expires } else { expires }
}

fn lend<R>(
    text: Text,
    then: impl FnOnce(&[u8]) -> crate::error::Result<R>,
) -> crate::error::Result<R> {
    text.with(then)
        .unwrap_or_else(|error| Err(Error::new(Kind::Internal, error.reason.to_string())))
}

/// Opens a store. Returns `[handle, facts]`, or the error as JSON text.
#[napi]
pub fn open(env: Env, options: String, numbers: Unknown<'_>) -> Result<Raw> {
    let opened = Options::parse(&options, &REGISTRY)
        .map_err(|error| error.at("", "open"))
        .and_then(Store::open);
    let store = match opened {
        Ok(store) => store,
        Err(error) => return text::to_js(env.raw(), error_json(&error).as_bytes()).map(Raw),
    };
    let facts = json!({
        "backend": store.backend(),
        "identity": store.identity(),
        "ttlMs": store.options().ttl_ms,
    });
    let handle = Handle::create(env.raw(), store, numbers.raw())?;
    let facts = text::to_js(env.raw(), facts.to_string().as_bytes())?;
    array(env, &[handle, facts])
}

/// Reads a session: its text, or undefined. Leaves its version and [`told_expiry`]. In: `NOW`.
#[napi]
pub fn get(env: Env, handle: Handle<'_>, sid: Text) -> Result<Raw> {
    operate(
        env,
        handle,
        "get",
        |store| lend(sid, |sid| settle(store.get(sid, millis(handle, NOW)))),
        |found| match found {
            None => Ok(undefined()),
            Some(record) => {
                handle.set(VERSION, record.version as f64);
                handle.set(NUMBER, told_expiry(&record));
                text::to_js(env.raw(), &record.payload).map(Raw)
            }
        },
    )
}

/// Saves a session, with the text that it was read as where it has a base. In: `NOW`, `EXPIRES`,
/// `RULE`, `BASE`, `EXTRA`. Returns undefined, or `[conflicts as JSON text, evicted sid, ...]`;
/// leaves the new version.
#[napi]
pub fn set(env: Env, handle: Handle<'_>, sid: Text, payload: Text, base_text: Text) -> Result<Raw> {
    let draft = Draft {
        payload: b"",
        expires: millis(handle, EXPIRES),
        rule: rule(handle),
        moved: handle.number(EXTRA) == 1.0,
    };
    let text = || Bytes::from(base_text.to_vec().unwrap_or_default());
    let base = base(handle, &text);
    operate(
        env,
        handle,
        "set",
        |store| {
            lend(sid, |sid| {
                lend(payload, |payload| {
                    settle(store.save(sid, Draft { payload, ..draft }, base, millis(handle, NOW)))
                })
            })
        },
        |saved| {
            let (status, written, conflicts) = match saved {
                Saved::Written(written) => (DONE, written, String::new()),
                Saved::Merged { written, conflicts } => (MERGED, written, conflicts),
                Saved::Gone => (GONE, Default::default(), String::new()),
                Saved::Removed => (REMOVED, Default::default(), String::new()),
            };
            handle.set(STATUS, status);
            handle.set(VERSION, written.version as f64);
            if conflicts.is_empty() && written.evicted.is_empty() {
                return Ok(undefined());
            }
            let mut news = vec![text::to_js(env.raw(), conflicts.as_bytes())?];
            for sid in &written.evicted {
                news.push(text::to_js(env.raw(), sid)?);
            }
            array(env, &news)
        },
    )
}

fn base<'a>(handle: Handle<'_>, text: &'a dyn Fn() -> Bytes) -> Option<Base<'a>> {
    let version = handle.number(BASE);
    (version >= 0.0).then_some(Base { version: version as u64, text })
}

/// Moves the expiry of a session. In: `NOW`, `EXPIRES`, `RULE`, `BASE`.
#[napi]
pub fn touch(env: Env, handle: Handle<'_>, sid: Text, base_text: Text) -> Result<Raw> {
    let text = || Bytes::from(base_text.to_vec().unwrap_or_default());
    let base = base(handle, &text);
    let (expires, now) = (millis(handle, EXPIRES), millis(handle, NOW));
    operate(
        env,
        handle,
        "touch",
        |store| lend(sid, |sid| settle(store.touch(sid, expires, rule(handle), base, now))),
        |()| Ok(undefined()),
    )
}

/// Removes a session.
#[napi]
pub fn destroy(env: Env, handle: Handle<'_>, sid: Text) -> Result<Raw> {
    operate(
        env,
        handle,
        "destroy",
        |store| lend(sid, |sid| settle(store.destroy(sid))),
        |()| Ok(undefined()),
    )
}

/// One step of a walk: an array of sid, text, version, [`told_expiry`], sid, ...
/// Leaves where to go on from, or -1 at the end. In: `NOW`, and where to begin as `EXTRA`.
#[napi]
pub fn page(env: Env, handle: Handle<'_>) -> Result<Raw> {
    operate(
        env,
        handle,
        "all",
        |store| settle(store.page(handle.number(EXTRA) as u64, millis(handle, NOW))),
        |Page { records, next }| {
            handle.set(NUMBER, next.map_or(-1.0, |next| next as f64));
            let mut values = Vec::with_capacity(records.len() * 4);
            for (sid, record) in records {
                values.push(text::to_js(env.raw(), &sid)?);
                values.push(text::to_js(env.raw(), &record.payload)?);
                values.push(number(env, record.version as f64)?);
                values.push(number(env, told_expiry(&record))?);
            }
            array(env, &values)
        },
    )
}

/// One step of counting: leaves the live sessions of this step as version, and where to go on
/// from, or -1 at the end. In: as [`page`].
#[napi]
pub fn count(env: Env, handle: Handle<'_>) -> Result<Raw> {
    operate(
        env,
        handle,
        "length",
        |store| settle(store.count(handle.number(EXTRA) as u64, millis(handle, NOW))),
        |count| {
            handle.set(VERSION, count.live as f64);
            handle.set(NUMBER, count.next.map_or(-1.0, |next| next as f64));
            Ok(undefined())
        },
    )
}

/// Removes all sessions.
#[napi]
pub fn clear(env: Env, handle: Handle<'_>) -> Result<Raw> {
    operate(env, handle, "clear", |store| settle(store.clear()), |()| Ok(undefined()))
}

/// Answers when the backend does.
#[napi]
pub fn ping(env: Env, handle: Handle<'_>) -> Result<Raw> {
    operate(env, handle, "ping", |store| settle(store.ping()), |()| Ok(undefined()))
}

/// What is counted on this side, as JSON text.
#[napi]
pub fn stats(env: Env, handle: Handle<'_>) -> Result<Raw> {
    operate(
        env,
        handle,
        "stats",
        |store| {
            use std::sync::atomic::Ordering::Relaxed;
            let (counters, gauges) = (store.counters(), store.gauges());
            Ok(json!({
                "bytes": gauges.bytes,
                "saves": counters.saves.load(Relaxed),
                "merges": counters.merges.load(Relaxed),
                "conflicts": counters.conflicts.load(Relaxed),
                "refused": counters.refused.load(Relaxed),
                "expired": gauges.expired,
                "evicted": gauges.evicted,
            }))
        },
        |stats| text::to_js(env.raw(), stats.to_string().as_bytes()).map(Raw),
    )
}

/// Ends the use of a store; every later call fails.
#[napi]
pub fn close(handle: Handle<'_>) {
    drop(handle.close());
}
