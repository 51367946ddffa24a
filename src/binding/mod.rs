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
mod bell;
mod handle;
mod hot;
mod lines;
mod mailbox;
mod operate;
mod outline;
mod saving;
mod shape;
mod text;
mod waiting;

use std::sync::Arc;

use napi::{
    Env, Error, JsValue, Result,
    bindgen_prelude::{BufferSlice, Unknown},
};
use napi_derive::napi;
use serde_json::json;

use self::{
    answer::{EXTRA, NOW, NUMBER, Outcome, Raw, array, error_json, tell, undefined},
    handle::Handle,
    mailbox::{Carrier, Mailbox},
    operate::{Work, inside, operate},
    outline::Outlines,
    text::Text,
    waiting::Waiting,
};
use crate::{
    backend::{Event, Inside},
    backends::REGISTRY,
    options::Options,
    record::{Millis, NEVER},
    store::Store,
};

/// What every call of a backend in memory is.
const ALL_INSIDE: Inside = Inside { get: true, set: true, touch: true };

/// A time of JavaScript's; one before 1970 is 1970, one that is no number too.
fn millis(handle: Handle<'_>, index: usize) -> Millis {
    (handle.number(index) as Millis).min(NEVER)
}

/// Opens a store. Returns `[handle, facts]`, or the error as JSON text. `ready` is called when there
/// are answers or events to be taken, with `next` and [`events`]. `is_json`: texts may be handed out in
/// short.
#[napi]
pub fn open(
    env: Env,
    options: String,
    numbers: Unknown<'_>,
    ready: Unknown<'_>,
    is_json: bool,
) -> Result<Raw> {
    // A thread of ours may outlive the worker that loaded this library, which Node then unloads.
    napi::bindgen_prelude::retain_current_module_for_unload_safety();
    let mailbox = Arc::new(Mailbox::new());
    let opened = Options::parse(&options, &REGISTRY)
        .map_err(|error| error.at("", "open"))
        .and_then(|mut options| {
            options.transport = Some(Arc::new(Carrier(Arc::downgrade(&mailbox))));
            Store::open(options)
        });
    let store = match opened {
        Ok(store) => Arc::new(store),
        Err(error) => return text::to_js(env.raw(), error_json(&error).as_bytes()).map(Raw),
    };
    let (options, inside) = (store.options(), store.inside());
    let facts = json!({
        "backend": store.backend(),
        "identity": store.identity(),
        "ttlMs": options.ttl_ms,
        "commandTimeoutMs": options.command_timeout_ms,
        "passThrough": options.switch("passThrough").unwrap_or(false),
        "inside": { "get": inside.get, "set": inside.set, "touch": inside.touch },
        "waits": inside != ALL_INSIDE,
    });
    let waiting = match inside {
        ALL_INSIDE => None,
        _ => {
            let waiting = Waiting::new(env.raw(), ready.raw(), mailbox.clone())?;
            let mailbox = Arc::downgrade(&mailbox);
            store.listen(Arc::new(move |event| {
                if let Some(mailbox) = mailbox.upgrade() {
                    mailbox.post(event);
                }
            }));
            Some(waiting)
        }
    };
    let handle = Handle::create(env.raw(), store, numbers.raw(), is_json, waiting)?;
    let facts = text::to_js(env.raw(), facts.to_string().as_bytes())?;
    array(env, &[handle, facts])
}

/// Removes a session.
#[napi]
pub fn destroy(env: Env, handle: Handle<'_>, sid: Text) -> Result<Raw> {
    let sid = sid.to_vec()?;
    operate(env, handle, "destroy", Work::Any, async move |store| {
        store.destroy(&sid).await.map(|()| Outcome::Done)
    })
}

/// One step of a walk. In: `NOW`, and where to begin as `EXTRA`.
#[napi]
pub fn page(env: Env, handle: Handle<'_>) -> Result<Raw> {
    let (from, now) = (handle.number(EXTRA) as u64, millis(handle, NOW));
    operate(env, handle, "all", Work::Walk, async move |store| {
        store.page(from, now).await.map(Outcome::Page)
    })
}

/// One step of counting. In: as [`page`].
#[napi]
pub fn count(env: Env, handle: Handle<'_>) -> Result<Raw> {
    let (from, now) = (handle.number(EXTRA) as u64, millis(handle, NOW));
    operate(env, handle, "length", Work::Walk, async move |store| {
        store.count(from, now).await.map(Outcome::Count)
    })
}

/// Removes all sessions.
#[napi]
pub fn clear(env: Env, handle: Handle<'_>) -> Result<Raw> {
    operate(env, handle, "clear", Work::Walk, async |store| {
        store.clear().await.map(|()| Outcome::Done)
    })
}

/// Answers when the backend does.
#[napi]
pub fn ping(env: Env, handle: Handle<'_>) -> Result<Raw> {
    operate(env, handle, "ping", Work::Any, async |store| {
        store.ping().await.map(|()| Outcome::Done)
    })
}

/// Lets what is under way end. Then comes [`close`].
#[napi]
pub fn end(env: Env, handle: Handle<'_>) -> Result<Raw> {
    operate(env, handle, "close", Work::Any, async |store| {
        store.close().await.map(|()| Outcome::Done)
    })
}

/// Gives up the operation that waits under this number.
#[napi]
pub fn cancel(handle: Handle<'_>, id: u32) {
    if let Some(waiting) = handle.waiting() {
        waiting.cancel(id.into());
    }
}

/// Operations have been waiting for as long as one may. What was read is known.
#[napi]
pub fn late(handle: Handle<'_>) {
    handle.with(|store| store.late());
}

/// Leaves in `room` what JavaScript is to write next over a connection that it carries, and as `EXTRA`
/// which. Returns how many bytes that are; 0 when there is nothing left to write. Leaves as `NUMBER`
/// whether there is more.
#[napi]
pub fn output(handle: Handle<'_>, mut room: BufferSlice<'_>) -> u32 {
    let Some(waiting) = handle.waiting() else { return 0 };
    let Some((line, length)) = waiting.lines.rest(&mut room) else { return 0 };
    handle.set(EXTRA, line.into());
    handle.set(NUMBER, waiting.lines.has_rest().into());
    u32::try_from(length).unwrap_or_default()
}

/// All that JavaScript was left to write over a connection is written.
#[napi]
pub fn written(handle: Handle<'_>, line: u32) {
    if let Some(waiting) = handle.waiting() {
        waiting.lines.written(line);
    }
}

/// A connection has ended.
#[napi]
pub fn lost(handle: Handle<'_>, line: u32) {
    if let Some(waiting) = handle.waiting() {
        waiting.lost(line);
    }
}

/// What the backend had to say since the last time: undefined, or JSON text of `[name, detail]`
/// pairs. One that is named `late` wants what has come to be read and then [`late`] to be called; one that is named `socket` is a connection to carry, with its number: see [`claim`].
#[napi]
pub fn events(env: Env, handle: Handle<'_>) -> Result<Raw> {
    let Some(waiting) = handle.waiting() else { return Ok(undefined()) };
    let backend = handle.with(|store| store.backend()).unwrap_or_default();
    let events = waiting.events().into_iter().map(|event| match event {
        Event::Down(error) => json!(["down", error_json(&error.at(backend, "connect"))]),
        Event::Up => json!(["up"]),
        Event::Warning(text) => json!(["warning", text]),
        Event::Late => json!(["late"]),
    });
    let sockets = waiting.carried().into_iter().map(|id| json!(["socket", id]));
    let told: Vec<_> = sockets.chain(events).collect();
    if told.is_empty() {
        return Ok(undefined());
    }
    text::to_js(env.raw(), json!(told).to_string().as_bytes()).map(Raw)
}

/// The file descriptor of a connection that is to be carried; -1 where there is none any more. Once it is in
/// use, [`taken`] has to say so: until then it is closed with the store, for instance when a worker thread is terminated.
#[napi]
pub fn claim(handle: Handle<'_>, line: u32) -> i32 {
    handle.waiting().and_then(|waiting| waiting.lines.claim(line)).unwrap_or(-1)
}

/// A file descriptor is JavaScript's to close from here on.
#[napi]
pub fn taken(handle: Handle<'_>, line: u32) {
    if let Some(waiting) = handle.waiting() {
        waiting.lines.taken(line);
    }
}

/// What is counted on this side, as JSON text.
#[napi]
pub fn stats(env: Env, handle: Handle<'_>) -> Result<Raw> {
    use std::sync::atomic::Ordering::Relaxed;
    let Some(store) = handle.store() else {
        return inside(env, handle, "stats", |_| Ok(Outcome::Done));
    };
    let (counters, gauges) = (store.counters(), store.gauges());
    let stats = json!({
        "bytes": gauges.bytes,
        "saves": counters.saves.load(Relaxed),
        "merges": counters.merges.load(Relaxed),
        "conflicts": counters.conflicts.load(Relaxed),
        "refused": counters.refused.load(Relaxed),
        "expired": gauges.expired,
        "evicted": gauges.evicted,
    });
    tell(env, handle, Ok(Outcome::Done))?;
    text::to_js(env.raw(), stats.to_string().as_bytes()).map(Raw)
}

/// Keeps an outline, of which texts are handed out in short from now on. Returns its number; -1 where there
/// is no room for more.
#[napi]
pub fn outline(before: Text, between: Text, after: Text) -> Result<i32> {
    let parts = [before.to_vec()?, between.to_vec()?, after.to_vec()?];
    let number = Outlines::here().keep(parts.each_ref().map(Vec::as_slice));
    Ok(number.map_or(-1, |number| number as i32))
}

/// The text of which `short` was made.
#[napi]
pub fn lengthen(env: Env, short: Text, outline: u32, number: f64) -> Result<Raw> {
    let mut whole = Vec::new();
    Outlines::here()
        .lengthen(&short.to_vec()?, outline as usize, number as u64, &mut whole)
        .ok_or_else(|| Error::from_reason("a text in short has no outline that is known"))?;
    text::to_js(env.raw(), &whole).map(Raw)
}

/// Ends the use of a store; every later call fails.
#[napi]
pub fn close(env: Env, handle: Handle<'_>) {
    handle.close(env.raw());
}
