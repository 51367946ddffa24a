//! What JavaScript holds of a store: an external value with the store and a view of the numbers
//! that go in and out. Knows nothing of what a call does.
//!
//! Numbers cross in one `Float64Array` that JavaScript made, since reading an argument costs as much
//! as hashing the sid, and making a JavaScript value more. Not napi's own `External`: that asks a
//! table behind a process-wide lock at each call.

use std::{cell::RefCell, ffi::c_void, ptr, rc::Rc, sync::Arc};

use napi::{
    Error, Result, Status,
    bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue},
    check_status, sys,
};

use super::{
    answer::NUMBERS,
    outline::Outlines,
    shape::{Shapes, Value},
    waiting::Waiting,
};
use crate::{backend::Inside, store::Store};

/// Distinguishes our externals from those of other addons.
const MAGIC: u64 = 0x7275_7374_7373_7472;

struct Held {
    magic: u64,
    /// None once the store was closed.
    store: RefCell<Option<Arc<Store>>>,
    inside: Inside,
    /// None where texts are handed out whole, and without their shapes.
    forms: Option<(Rc<Outlines>, Rc<Shapes>)>,
    short: RefCell<Vec<u8>>,
    /// None where every call is answered inside it.
    waiting: Option<Waiting>,
    numbers: *mut f64,
    array: sys::napi_ref,
}

/// A call's view of a store that JavaScript holds.
#[derive(Clone, Copy)]
pub struct Handle<'a>(&'a Held);

impl<'a> Handle<'a> {
    /// Wraps a store for JavaScript. `array` is a `Float64Array` of at least [`NUMBERS`]; `is_json`: so are
    /// the texts.
    pub fn create(
        env: sys::napi_env,
        store: Arc<Store>,
        array: sys::napi_value,
        is_json: bool,
        waiting: Option<Waiting>,
    ) -> Result<sys::napi_value> {
        let mut kind = -1;
        let mut length = 0;
        let mut data = ptr::null_mut();
        // SAFETY: every pointer is to a live local, or null for what is not asked.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                env,
                array,
                &mut kind,
                &mut length,
                &mut data,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        check_status!(status, "a Float64Array was expected")?;
        if kind != sys::TypedarrayType::float64_array || length < NUMBERS {
            return Err(Error::new(Status::InvalidArg, "a Float64Array was expected"));
        }
        let mut reference = ptr::null_mut();
        // SAFETY: `array` is a live value; the reference keeps it alive as long as this handle.
        let status = unsafe { sys::napi_create_reference(env, array, 1, &mut reference) };
        check_status!(status, "the Float64Array could not be held")?;
        let held = Box::into_raw(Box::new(Held {
            magic: MAGIC,
            inside: store.inside(),
            forms: is_json.then(|| (Outlines::here(), Shapes::here())),
            short: RefCell::default(),
            store: RefCell::new(Some(store)),
            waiting,
            numbers: data.cast(),
            array: reference,
        }));
        let mut value = ptr::null_mut();
        // SAFETY: `held` is a box that only `release` takes back, which Node calls once.
        let status = unsafe {
            sys::napi_create_external(env, held.cast(), Some(release), ptr::null_mut(), &mut value)
        };
        check_status!(status, "the store could not be handed to JavaScript")?;
        Ok(value)
    }

    /// The store, unless it was closed.
    pub fn with<R>(self, then: impl FnOnce(&Arc<Store>) -> R) -> Option<R> {
        self.0.store.borrow().as_ref().map(then)
    }

    /// The store, unless it was closed, to be kept beyond this call.
    pub fn store(self) -> Option<Arc<Store>> {
        self.0.store.borrow().clone()
    }

    /// Which calls the store answers inside them.
    pub fn inside(self) -> Inside {
        self.0.inside
    }

    /// Hands a text on, in short where it may be, and then with its outline and the number in that; with its
    /// shape where that is known, of which `tell` has heard the values.
    pub fn in_short<R>(
        self,
        text: &[u8],
        mut tell: impl FnMut(usize, Value),
        then: impl FnOnce(&[u8], Option<(usize, u64)>, Option<usize>) -> R,
    ) -> R {
        let Some((outlines, shapes)) = &self.0.forms else { return then(text, None, None) };
        let short = &mut *self.0.short.borrow_mut();
        if let Some(outline) = outlines.shorten(text, short) {
            let found = shapes.find(short, &mut tell);
            // Of a shape this is known, and the text need not be looked at once more.
            let begins_once = found.map(|found| found.begins_once);
            if begins_once.unwrap_or_else(|| !outlines.begins_twice(short)) {
                return then(short, Some(outline), found.map(|found| found.number));
            }
        }
        then(text, None, shapes.find(text, tell).map(|found| found.number))
    }

    /// The operations that wait; None where no operation ever does.
    pub fn waiting(self) -> Option<&'a Waiting> {
        self.0.waiting.as_ref()
    }

    /// Takes the store out; what it alone held is freed.
    pub fn close(self, env: sys::napi_env) {
        if let Some(waiting) = &self.0.waiting {
            waiting.close(env);
        }
        // Out of the cell first: what is dropped may take a while.
        let store = self.0.store.borrow_mut().take();
        drop(store);
    }

    /// Leaves a number for JavaScript.
    pub fn set(self, index: usize, value: f64) {
        assert!(index < NUMBERS);
        // SAFETY: the array has that many elements, is kept alive by our reference, and is never
        // detached or resized by lib/engine.js. napi_get_typedarray_info has moved its elements
        // off V8's heap, where they stay. JavaScript cannot run while this does.
        unsafe { *self.0.numbers.add(index) = value };
    }

    /// A number that JavaScript left.
    pub fn number(self, index: usize) -> f64 {
        assert!(index < NUMBERS);
        // SAFETY: as in `set`.
        unsafe { *self.0.numbers.add(index) }
    }
}

unsafe extern "C" fn release(env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `data` is the box made in `create`; Node calls this once, on the thread of `env`,
    // when nothing can reach the external any more.
    let held = unsafe { Box::from_raw(data.cast::<Held>()) };
    if let Some(waiting) = &held.waiting {
        waiting.close(env);
    }
    // SAFETY: the reference was made in `create` with the same env.
    unsafe { sys::napi_delete_reference(env, held.array) };
}

impl TypeName for Handle<'_> {
    fn type_name() -> &'static str {
        "External"
    }

    fn value_type() -> napi::ValueType {
        napi::ValueType::External
    }
}

impl ValidateNapiValue for Handle<'_> {}

impl FromNapiValue for Handle<'_> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut data = ptr::null_mut();
        // SAFETY: `value` is an argument of the running call.
        let status = unsafe { sys::napi_get_value_external(env, value, &mut data) };
        check_status!(status, "a store was expected")?;
        // SAFETY: index.js keeps the external to itself and passes no other; it outlives the call,
        // since the call's arguments hold it. The magic word catches a slip of ours.
        let held = unsafe { &*data.cast::<Held>() };
        if held.magic != MAGIC {
            return Err(Error::new(Status::InvalidArg, "a store was expected"));
        }
        Ok(Handle(held))
    }
}
