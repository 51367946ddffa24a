//! `get`, `set` and `touch`, the functions of every request, and `flush`, `received` and `next`, by which
//! those that wait are sent and answered, registered by hand: what the macro generates around a function
//! borrows and frees for arguments that these do not have. Without it a touch takes 130 ns where it took
//! 220. Knows which operation is asked for, never what it should do.

use std::{
    ffi::{CStr, c_void},
    ptr,
};

use bytes::Bytes;
use napi::{
    Env, JsError, JsValue, Result,
    bindgen_prelude::{FromNapiValue, Object},
    check_status, sys,
};
use napi_derive::napi;

use super::{
    answer::{
        ANSWERS, BASE, COOKIE_ONLY, END, EXPIRES, EXTRA, FLUSH, HEAR, MAX_AGE, MOST_ANSWERS, MOVED,
        NOW, NUMBER, OUTLINE, Outcome, RULE, Raw, SPOT, TEXT_MAX_AGE, TEXT_OUTLINE, list, tell,
        tell_session, undefined,
    },
    handle::Handle,
    millis,
    operate::{Work, ask, inside, settle},
    outline::Outlines,
    saving::{Kept, Save},
    text::{Lent, Text},
    waiting::Waiting,
};
use crate::{
    error::{Error, Kind},
    record::{Draft, ExpiryRule, Version},
    store::Base,
};

/// A function of a handle and up to three texts, the first of them mostly the sid.
type Function = fn(Env, Handle<'_>, [Text; 3]) -> Result<Raw>;

const FUNCTIONS: [(&CStr, Function); 6] = [
    (c"get", get),
    (c"set", set),
    (c"touch", touch),
    (c"flush", flush),
    (c"received", received),
    (c"next", next),
];

/// Puts them beside those that the macro registers.
#[napi(module_exports)]
pub fn register(exports: Object<'_>, env: Env) -> Result<()> {
    for (name, function) in FUNCTIONS {
        let (name, mut value) = (name.as_ptr(), ptr::null_mut());
        let data = function as *mut c_void;
        // SAFETY: the name ends with a NUL, as the length of -1 says; `call` knows what `data` is.
        let status =
            unsafe { sys::napi_create_function(env.raw(), name, -1, Some(call), data, &mut value) };
        check_status!(status, "a function could not be made")?;
        // SAFETY: both values are live in this call.
        let status = unsafe { sys::napi_set_named_property(env.raw(), exports.raw(), name, value) };
        check_status!(status, "a function could not be exported")?;
    }
    Ok(())
}

unsafe extern "C" fn call(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let (mut arguments, mut count) = ([ptr::null_mut(); 4], 4);
    let mut data = ptr::null_mut();
    // SAFETY: there is room for `count` arguments; Node fills in undefined for those not given.
    unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &mut count,
            arguments.as_mut_ptr(),
            ptr::null_mut(),
            &mut data,
        );
    }
    // SAFETY: `data` is what `register` gave for this function.
    let function = unsafe { std::mem::transmute::<*mut c_void, Function>(data) };
    let [handle, texts @ ..] = arguments;
    // SAFETY: `handle` is an argument of this call.
    let answer = unsafe { Handle::from_napi_value(env, handle) }.and_then(|handle| {
        function(Env::from_raw(env), handle, texts.map(|value| Text::new(env, value)))
    });
    match answer {
        Ok(Raw(value)) => value,
        Err(error) => {
            // SAFETY: this is the thread of `env`, and no exception is pending.
            unsafe { JsError::from(error).throw_into(env) };
            ptr::null_mut()
        }
    }
}

fn rule(handle: Handle<'_>) -> ExpiryRule {
    match handle.number(RULE) {
        0.0 => ExpiryRule::Keep,
        1.0 => ExpiryRule::Later,
        2.0 => ExpiryRule::Set,
        _ => ExpiryRule::Always,
    }
}

/// Reads a session. In: `NOW`.
fn get(env: Env, handle: Handle<'_>, [sid, ..]: [Text; 3]) -> Result<Raw> {
    let now = millis(handle, NOW);
    if handle.inside().get {
        return inside(env, handle, "get", |store| {
            let mut told = Ok(undefined());
            store.look(&sid.lend()?, now, &mut |view| told = tell_session(env, handle, view))?;
            told.map(Outcome::Told)
                .map_err(|error| Error::new(Kind::Internal, error.reason.to_string()))
        });
    }
    ask(env, handle, "get", |store| Ok(Work::Get(store.get(&sid.lend()?, now))))
}

/// Saves a session, with the text that it was read as where it has a base. In: `NOW`, `EXPIRES`,
/// `RULE`, `BASE`, `EXTRA`, `SPOT`, and the outlines of
/// both texts.
fn set(env: Env, handle: Handle<'_>, [sid, payload, base_text]: [Text; 3]) -> Result<Raw> {
    let (extra, now) = (handle.number(EXTRA) as u32, millis(handle, NOW));
    let (moved, cookie_only) = (extra & MOVED != 0, extra & COOKIE_ONLY != 0);
    let draft = Draft { payload: b"", expires: millis(handle, EXPIRES), rule: rule(handle), moved };
    let version = version(handle);
    if handle.inside().set {
        let text = || whole_base(handle, base_text);
        let base = version.map(|version| Base { version, text: &text, cookie_only });
        let spot = handle.number(SPOT) as u64;
        return inside(env, handle, "set", |store| {
            let payload = lend(handle, payload, IN_TEXT)?;
            let draft = Draft { payload: &payload, ..draft };
            if let Some(version) = version
                && let Some(saved) = store.save_at(spot, version, draft, now)
            {
                return Ok(Outcome::Saved(saved));
            }
            settle(store.save(&sid.lend()?, draft, base, now)).map(Outcome::Saved)
        });
    }
    ask(env, handle, "set", |store| {
        let (store, sid, payload) = (store.clone(), sid.lend()?, lend(handle, payload, IN_TEXT)?);
        let save = match version {
            None => Save::put(store, &sid, Draft { payload: &payload, ..draft }, now),
            Some(version) => {
                let texts = [&*sid, &lend(handle, base_text, IN_BASE)?, &payload];
                Save::replace(store, Kept::new(texts, version, cookie_only, draft, now))
            }
        };
        save.map(Work::Save)
    })
}

/// Moves the expiry of a session. In: `NOW`, `EXPIRES`, `RULE`, `BASE`, `SPOT`, and the outline of the base.
fn touch(env: Env, handle: Handle<'_>, [sid, base_text, _]: [Text; 3]) -> Result<Raw> {
    let (expires, now, rule) = (millis(handle, EXPIRES), millis(handle, NOW), rule(handle));
    let version = version(handle);
    // One that ends the session removes it, and that may have to wait.
    if handle.inside().touch && expires > now {
        let text = || whole_base(handle, base_text);
        let base = version.map(|version| Base { version, text: &text, cookie_only: false });
        let spot = handle.number(SPOT) as u64;
        return inside(env, handle, "touch", |store| {
            if let Some(version) = version
                && store.touch_at(spot, version, expires, rule, now)
            {
                return Ok(Outcome::Done);
            }
            settle(store.touch(&sid.lend()?, expires, rule, base, now)).map(|()| Outcome::Done)
        });
    }
    ask(env, handle, "touch", |store| {
        Ok(Work::Touch(store.touch_whatever(&sid.lend()?, expires, rule, now)))
    })
}

/// Where the outline of a text is, and the number in that.
type Outlined = (usize, usize);

const IN_TEXT: Outlined = (TEXT_OUTLINE, TEXT_MAX_AGE);
const IN_BASE: Outlined = (OUTLINE, MAX_AGE);

/// Reads a text that JavaScript may have in short.
fn lend(handle: Handle<'_>, text: Text, outlined: Outlined) -> crate::error::Result<Lent> {
    let (outline, number) = (handle.number(outlined.0), handle.number(outlined.1));
    let lent = text.lend()?;
    if outline < 0.0 {
        return Ok(lent);
    }
    let mut whole = Lent::new();
    match Outlines::here().lengthen(&lent, outline as usize, number as u64, whole.as_mut()) {
        Some(()) => Ok(whole),
        None => Err(Error::new(Kind::Internal, "a text in short has no outline that is known")),
    }
}

fn whole_base(handle: Handle<'_>, text: Text) -> Bytes {
    lend(handle, text, IN_BASE).map(|lent| Bytes::copy_from_slice(&lent)).unwrap_or_default()
}

/// The version of the base, where there is one.
fn version(handle: Handle<'_>) -> Option<Version> {
    let version = handle.number(BASE);
    (version >= 0.0).then_some(version as Version)
}

/// Has what was asked for in this turn of the event loop sent. What is left for JavaScript to write, it
/// asks for with [`super::output`], if `EXTRA` is left 1.
fn flush(_: Env, handle: Handle<'_>, _: [Text; 3]) -> Result<Raw> {
    if let Some(waiting) = handle.waiting() {
        waiting.end_turn();
        handle.with(|store| store.flush());
        handle.set(EXTRA, waiting.lines.write().into());
    }
    Ok(undefined())
}

/// The next answers to operations that waited, each as the operation would have answered: up to the
/// first that has a value, which is returned. Leaves how many as `ANSWERS`, and a list of their numbers;
/// as `EXTRA` whether this is the [`END`], which it is where there is none, and what else is then to do.
fn next(env: Env, handle: Handle<'_>, _: [Text; 3]) -> Result<Raw> {
    take_answers(env, handle, |_, count| count == 0)
}

/// Takes what was read from a connection, and then as [`next`]. In: as `EXTRA` which connection, and as
/// `NUMBER` how many of the bytes. `EXTRA` says what it does with the last of the answers already: these
/// come on this thread, so there is nothing to be looked for once more.
fn received(env: Env, handle: Handle<'_>, [bytes, ..]: [Text; 3]) -> Result<Raw> {
    let (line, length) = (handle.number(EXTRA) as u32, handle.number(NUMBER) as usize);
    if let Some(waiting) = handle.waiting() {
        bytes.with_bytes(|bytes| {
            let read = &bytes[..length.min(bytes.len())];
            waiting.received(line, read);
        })?;
    }
    take_answers(env, handle, |waiting, _| waiting.is_drained())
}

fn take_answers(
    env: Env,
    handle: Handle<'_>,
    are_all: impl FnOnce(&Waiting, usize) -> bool,
) -> Result<Raw> {
    let mut value = undefined();
    let mut count = 0;
    let mut said = END;
    if let Some(waiting) = handle.waiting() {
        while count < MOST_ANSWERS && value.0.is_null() {
            let Some((id, result)) = waiting.next(count == 0) else { break };
            value = tell(env, handle, result).or_else(|error| {
                // That of a value which JavaScript cannot have; the others are not lost with it.
                tell(env, handle, Err(Error::new(Kind::Internal, error.reason.to_string())))
            })?;
            list(handle, count, id);
            count += 1;
        }
        said = 0;
        if are_all(waiting, count) {
            let todo = waiting.rest();
            said = END + u32::from(todo.flush) * FLUSH + u32::from(todo.hear) * HEAR;
        }
    }
    handle.set(EXTRA, said.into());
    handle.set(ANSWERS, count as f64);
    Ok(value)
}
