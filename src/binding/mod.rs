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
mod hot;
mod text;

use napi::{Env, JsValue, Result, bindgen_prelude::Unknown};
use napi_derive::napi;
use serde_json::json;

use self::{
    answer::{
        EXTRA, NOW, NUMBER, Raw, VERSION, array, error_json, number, operate, settle, undefined,
    },
    handle::Handle,
    text::Text,
};
use crate::{
    backend::Page,
    backends::REGISTRY,
    error::{Error, Kind},
    options::Options,
    record::{Millis, NEVER, Record},
    store::Store,
};

/// A time of JavaScript's; one before 1970 is 1970, one that is no number too.
fn millis(handle: Handle<'_>, index: usize) -> Millis {
    (handle.number(index) as Millis).min(NEVER)
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
    // A thread of ours may outlive the worker that loaded this library, which Node then unloads.
    napi::bindgen_prelude::retain_current_module_for_unload_safety();
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
