//! How the outcome of an operation is told to JavaScript. Each leaves a status in the handle's
//! array; [`FAILED`] comes with the error as JSON text in place of the result. Knows no operation,
//! and not whether its answer was there at once.

use std::ptr;

use napi::{Env, Result, bindgen_prelude::ToNapiValue, check_status, sys};
use serde_json::json;

use super::{handle::Handle, shape::MOST_VALUES, text};
use crate::{
    backend::{Count, Page},
    error::Error,
    record::{Record, UNTOLD, View},
    store::Saved,
};

// Elements of the array of numbers; lib/numbers.js has the same.
/// How the operation ended.
pub const STATUS: usize = 0;
/// The version of the record that was read or written, or the number of records counted.
pub const VERSION: usize = 1;
/// Where a read or a step says when the session ends, or where the walk goes on.
pub const NUMBER: usize = 2;
/// In: the caller's clock, ms.
pub const NOW: usize = 3;
/// In: the expiry that is asked for, ms.
pub const EXPIRES: usize = 4;
/// In: 0 keeps the record's expiry, 1 takes the later, 2 sets it, 3 sets it whoever moved it.
pub const RULE: usize = 5;
/// In: the version of the base; -1 without one.
pub const BASE: usize = 6;
/// In: of a save, [`MOVED`] and [`COOKIE_ONLY`] added up; of a walk, where it goes on from; of what was
/// read, the connection.
pub const EXTRA: usize = 7;
/// In: the number that an operation is answered under if it waits.
pub const ID: usize = 8;
/// How many answers are in the list that begins at [`LIST`].
pub const ANSWERS: usize = 9;
/// Where the record is that was read or written, as the backend knows it; 0 where it does not say. In:
/// of a save or a touch, what was told with its base.
pub const SPOT: usize = 10;
/// Of a text that was read, or of a base: the number of its outline; -1 where it is whole. See
/// [`mod@super::outline`].
pub const OUTLINE: usize = 11;
/// The number in its outline.
pub const MAX_AGE: usize = 12;
/// In: as [`OUTLINE`] and [`MAX_AGE`], of the text that is to be saved.
pub const TEXT_OUTLINE: usize = 13;
pub const TEXT_MAX_AGE: usize = 14;
/// Of a text that was read, as it was handed out: the number of its shape, or -1; see [`mod@super::shape`].
const SHAPE: usize = 15;
/// How often the values of a shape were left.
const TOLD: usize = 16;
/// Of each answer: which operation it is of, and what it has left as [`STATUS`], [`VERSION`] and
/// [`NUMBER`].
const LIST: usize = 17;
const LISTED: usize = 4;
/// Answers that the list has room for.
pub const MOST_ANSWERS: usize = 64;
/// The values of a text that has a shape, two numbers each.
const VALUES: usize = LIST + MOST_ANSWERS * LISTED;
/// Elements of the whole array.
pub const NUMBERS: usize = VALUES + MOST_VALUES * 2;
/// The text does not tell the expiry.
pub const MOVED: u32 = 1;
/// Only the cookie differs from the base.
pub const COOKIE_ONLY: u32 = 2;

// What EXTRA says of the answers of operations that waited, added up; lib/numbers.js has the same.
/// There is something to be sent.
pub const FLUSH: u32 = 1;
/// There are events.
pub const HEAR: u32 = 2;
/// There are no more; without it, that is not known.
pub const END: u32 = 4;

// What STATUS says; lib/numbers.js has the same.
const FAILED: f64 = -1.0;
pub const DONE: f64 = 0.0;
const MERGED: f64 = 1.0;
const GONE: f64 = 2.0;
const REMOVED: f64 = 3.0;
/// Only the cookie was to be saved, into text that cannot be merged.
const CHANGED: f64 = 4.0;
/// The answer comes later, under the number that was [`ID`].
pub const PENDING: f64 = 5.0;

/// A value made by hand.
pub struct Raw(pub sys::napi_value);

impl ToNapiValue for Raw {
    unsafe fn to_napi_value(_: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        Ok(value.0)
    }
}

/// What an operation that succeeded has to tell.
pub enum Outcome {
    /// Nothing.
    Done,
    /// Of a read: the text, or undefined. Leaves its version and [`told_expiry`].
    Session(Option<Record>),
    /// Of a read, what [`tell_session`] has made.
    Told(Raw),
    /// Of a save: undefined, or `[conflicts as JSON text, evicted sid, ...]`. Leaves the new version.
    Saved(Saved),
    /// Of a step of a walk: an array of sid, text, version, [`told_expiry`], sid, ... Leaves where to
    /// go on from, or -1 at the end.
    Page(Page),
    /// Of a step of counting: leaves the live sessions of this step as version, and where to go on
    /// from, or -1 at the end.
    Count(Count),
}

/// What a function returns that has no result.
pub fn undefined() -> Raw {
    // A null pointer is what Node-API returns as undefined.
    Raw(ptr::null_mut())
}

/// Tells how an operation ended.
pub fn tell(env: Env, handle: Handle<'_>, result: crate::error::Result<Outcome>) -> Result<Raw> {
    handle.set(STATUS, DONE);
    match result {
        Ok(Outcome::Done | Outcome::Session(None)) => Ok(undefined()),
        Ok(Outcome::Session(Some(record))) => tell_session(env, handle, record.view()),
        Ok(Outcome::Told(value)) => Ok(value),
        Ok(Outcome::Saved(saved)) => tell_saved(env, handle, saved),
        Ok(Outcome::Page(Page { records, next })) => {
            handle.set(NUMBER, next.map_or(-1.0, |next| next as f64));
            let mut values = Vec::with_capacity(records.len() * 4);
            for (sid, record) in records {
                values.push(text::to_js(env.raw(), &sid)?);
                values.push(text::to_js(env.raw(), &record.payload)?);
                values.push(number(env, record.version as f64)?);
                values.push(number(env, told_expiry(&record.view()))?);
            }
            array(env, &values)
        }
        Ok(Outcome::Count(count)) => {
            handle.set(VERSION, count.live as f64);
            handle.set(NUMBER, count.next.map_or(-1.0, |next| next as f64));
            Ok(undefined())
        }
        Err(error) => {
            handle.set(STATUS, FAILED);
            text::to_js(env.raw(), error_json(&error).as_bytes()).map(Raw)
        }
    }
}

/// Tells what was read, where it is lent; see [`Outcome::Session`].
pub fn tell_session(env: Env, handle: Handle<'_>, view: View<'_>) -> Result<Raw> {
    handle.set(VERSION, view.version as f64);
    handle.set(SPOT, view.spot as f64);
    handle.set(NUMBER, told_expiry(&view));
    let tell_value = |index, (first, second)| {
        // Those of before are gone, whether these are used or not.
        if index == 0 {
            handle.set(TOLD, handle.number(TOLD) + 1.0);
        }
        handle.set(VALUES + 2 * index, first);
        handle.set(VALUES + 2 * index + 1, second);
    };
    handle.in_short(view.payload, tell_value, |text, outline, shape| {
        handle.set(OUTLINE, outline.map_or(-1.0, |(outline, _)| outline as f64));
        handle.set(MAX_AGE, outline.map_or(0.0, |(_, number)| number as f64));
        handle.set(SHAPE, shape.map_or(-1.0, |shape| shape as f64));
        text::to_js(env.raw(), text).map(Raw)
    })
}

/// Puts the answer that was just told into the list.
pub fn list(handle: Handle<'_>, index: usize, id: u64) {
    let [first, rest @ ..] =
        std::array::from_fn::<_, LISTED, _>(|part| LIST + index * LISTED + part);
    handle.set(first, id as f64);
    for (place, from) in rest.into_iter().zip([STATUS, VERSION, NUMBER]) {
        handle.set(place, handle.number(from));
    }
}

fn tell_saved(env: Env, handle: Handle<'_>, saved: Saved) -> Result<Raw> {
    let (status, written, conflicts) = match saved {
        Saved::Written(written) => (DONE, written, String::new()),
        Saved::Merged { written, conflicts } => (MERGED, written, conflicts),
        Saved::Gone => (GONE, Default::default(), String::new()),
        Saved::Removed => (REMOVED, Default::default(), String::new()),
        Saved::Changed => (CHANGED, Default::default(), String::new()),
    };
    handle.set(STATUS, status);
    handle.set(VERSION, written.version as f64);
    handle.set(SPOT, written.spot as f64);
    if conflicts.is_empty() && written.evicted.is_empty() {
        return Ok(undefined());
    }
    let mut news = vec![text::to_js(env.raw(), conflicts.as_bytes())?];
    for sid in &written.evicted {
        news.push(text::to_js(env.raw(), sid)?);
    }
    array(env, &news)
}

/// When a record ends, in ms; negative where that is no longer what its text says, NaN where nobody
/// knows it but the text.
fn told_expiry(view: &View<'_>) -> f64 {
    let expires = view.expires as f64;
    match view {
        View { expires: UNTOLD, .. } => f64::NAN,
        View { moved: true, .. } => -expires,
        _ => expires,
    }
}

/// An error as index.js reads it.
pub fn error_json(error: &Error) -> String {
    json!({
        "code": error.kind().code(),
        "message": error.to_string(),
        "backend": error.backend(),
        "operation": error.operation(),
        "retryable": error.kind().retryable(),
        "cause": std::error::Error::source(error).map(ToString::to_string),
    })
    .to_string()
}

/// A JavaScript number.
fn number(env: Env, number: f64) -> Result<sys::napi_value> {
    let mut value = ptr::null_mut();
    // SAFETY: `value` is a live local.
    let status = unsafe { sys::napi_create_double(env.raw(), number, &mut value) };
    check_status!(status, "a number could not be made")?;
    Ok(value)
}

/// A JavaScript array.
pub fn array(env: Env, values: &[sys::napi_value]) -> Result<Raw> {
    let mut array = ptr::null_mut();
    // SAFETY: `array` is a live local.
    let status = unsafe { sys::napi_create_array_with_length(env.raw(), values.len(), &mut array) };
    check_status!(status, "an array could not be made")?;
    for (index, value) in values.iter().enumerate() {
        // SAFETY: both values were made in this call.
        let status = unsafe { sys::napi_set_element(env.raw(), array, index as u32, *value) };
        check_status!(status, "an array could not be filled")?;
    }
    Ok(Raw(array))
}
