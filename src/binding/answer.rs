//! How the outcome of an operation is told to JavaScript. Each leaves a status in the handle's
//! array; [`FAILED`] comes with the error as JSON text in place of the result. Knows no operation.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    ptr,
    task::{Context, Poll, Waker},
};

use napi::{Env, Result, bindgen_prelude::ToNapiValue, check_status, sys};
use serde_json::json;

use super::{handle::Handle, text};
use crate::{
    error::{Error, Kind},
    store::Store,
};

// Elements of the array of numbers; lib/engine.js has the same.
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
/// In: of a save, [`MOVED`] and [`COOKIE_ONLY`] added up; of a walk, where it goes on from.
pub const EXTRA: usize = 7;
/// The text does not tell the expiry.
pub const MOVED: u32 = 1;
/// Only the cookie differs from the base.
pub const COOKIE_ONLY: u32 = 2;

// What STATUS says; lib/engine.js has the same.
/// Only [`operate`] says so.
const FAILED: f64 = -1.0;
pub const DONE: f64 = 0.0;
pub const MERGED: f64 = 1.0;
pub const GONE: f64 = 2.0;
pub const REMOVED: f64 = 3.0;
/// Only the cookie was to be saved, into text that cannot be merged.
pub const CHANGED: f64 = 4.0;

/// A value made by hand.
pub struct Raw(pub sys::napi_value);

impl ToNapiValue for Raw {
    unsafe fn to_napi_value(_: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        Ok(value.0)
    }
}

/// Runs an operation whose backend answers inside the call.
pub fn settle<T>(future: impl Future<Output = crate::error::Result<T>>) -> crate::error::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => {
            Err(Error::new(Kind::Internal, "the backend did not answer inside the call"))
        }
    }
}

/// What a function returns that has no result.
pub fn undefined() -> Raw {
    // A null pointer is what Node-API returns as undefined.
    Raw(ptr::null_mut())
}

/// Runs one operation on the store and tells how it ended.
pub fn operate<T>(
    env: Env,
    handle: Handle<'_>,
    operation: &'static str,
    run: impl FnOnce(&Store) -> crate::error::Result<T>,
    tell: impl FnOnce(T) -> Result<Raw>,
) -> Result<Raw> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        handle.with(|store| run(store).map_err(|error| error.at(store.backend(), operation)))
    }));
    handle.set(STATUS, DONE);
    match outcome {
        Ok(Some(Ok(done))) => tell(done),
        Ok(Some(Err(error))) => failure(env, handle, error),
        Ok(None) => {
            failure(env, handle, Error::new(Kind::Closed, "the store was closed").at("", operation))
        }
        Err(_) => failure(
            env,
            handle,
            Error::new(
                Kind::Internal,
                "a fault of rust-session-store; please report it with the text on stderr",
            )
            .at("", operation),
        ),
    }
}

fn failure(env: Env, handle: Handle<'_>, error: Error) -> Result<Raw> {
    handle.set(STATUS, FAILED);
    text::to_js(env.raw(), error_json(&error).as_bytes()).map(Raw)
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
pub fn number(env: Env, number: f64) -> Result<sys::napi_value> {
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
