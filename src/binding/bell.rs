//! Calls one JavaScript function from any thread: as often as needed, hardly ever twice before it has
//! run, and never once the environment is gone. Knows nothing of why. Node's page on what is used
//! here: <https://nodejs.org/api/n-api.html#asynchronous-thread-safe-function-calls>.

use std::{
    ffi::c_void,
    ptr,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, SeqCst},
        },
    },
};

use napi::{Result, check_status, sys};
use parking_lot::Mutex;

/// See the top of the file.
pub struct Bell {
    inner: Arc<Inner>,
}

struct Inner {
    /// None once it is silent for good. The lock is held during a call, so that the function is never
    /// called while its environment takes it away.
    function: Mutex<Option<Function>>,
    rung: AtomicBool,
}

struct Function(sys::napi_threadsafe_function);

// SAFETY: Node-API allows calls of a thread-safe function from any thread.
unsafe impl Send for Function {}

impl Bell {
    /// `function` is called without arguments, on the thread of `env`.
    pub fn new(env: sys::napi_env, function: sys::napi_value) -> Result<Bell> {
        let mut name = ptr::null_mut();
        // SAFETY: the text has the length that is told.
        let status =
            unsafe { sys::napi_create_string_latin1(env, c"RustStore".as_ptr(), 9, &mut name) };
        check_status!(status, "a string could not be made")?;
        let mut made = ptr::null_mut();
        // SAFETY: both values are live in this call; there is no data and no finalizer to go with it.
        let status = unsafe {
            sys::napi_create_threadsafe_function(
                env,
                function,
                ptr::null_mut(),
                name,
                0,
                1,
                ptr::null_mut(),
                None,
                ptr::null_mut(),
                None,
                &mut made,
            )
        };
        check_status!(status, "a thread-safe function could not be made")?;
        // What keeps the process alive is an operation that waits, and lib/waiting.js sees to that.
        // SAFETY: it was just made, on this thread.
        let status = unsafe { sys::napi_unref_threadsafe_function(env, made) };
        check_status!(status, "a thread-safe function could not be released")?;
        let inner = Arc::new(Inner {
            function: Mutex::new(Some(Function(made))),
            rung: AtomicBool::new(false),
        });
        let hook = Arc::into_raw(inner.clone());
        // Later than the function, whose own hook then runs after this one.
        // SAFETY: `silence` takes the reference back that `hook` is, whichever way it comes to run.
        let status =
            unsafe { sys::napi_add_env_cleanup_hook(env, Some(silence), hook.cast_mut().cast()) };
        check_status!(status, "a cleanup hook could not be added")?;
        Ok(Bell { inner })
    }

    /// Has the function called, unless it is about to be.
    pub fn ring(&self) {
        if self.inner.rung.swap(true, AcqRel) {
            return;
        }
        if let Some(Function(function)) = &*self.inner.function.lock() {
            // It fails only when the environment ends, and then nobody listens.
            // SAFETY: the lock keeps the function from being taken away.
            unsafe {
                sys::napi_call_threadsafe_function(
                    *function,
                    ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                )
            };
        }
    }

    /// The function has done its work: from now on, ringing calls it again.
    pub fn answered(&self) {
        self.inner.rung.store(false, SeqCst);
    }

    /// Whoever comes to ring need not: the function, or what does its work, is about to run.
    pub fn expect(&self) {
        self.inner.rung.store(true, SeqCst);
    }

    /// Never calls it again. On the thread of `env`.
    pub fn close(&self, env: sys::napi_env) {
        let Some(Function(function)) = self.inner.function.lock().take() else { return };
        let hook = Arc::as_ptr(&self.inner).cast_mut().cast();
        // SAFETY: the environment has not run the hook, or the function would have been gone; so the
        // reference that `hook` is is ours again. The function was made with one user, who leaves.
        unsafe {
            sys::napi_remove_env_cleanup_hook(env, Some(silence), hook);
            drop(Arc::from_raw(hook.cast::<Inner>()));
            sys::napi_release_threadsafe_function(
                function,
                sys::ThreadsafeFunctionReleaseMode::abort,
            );
        }
    }
}

/// The environment ends; Node itself takes the function away next.
unsafe extern "C" fn silence(hook: *mut c_void) {
    // SAFETY: `hook` is the reference that `Bell::new` gave away.
    let inner = unsafe { Arc::from_raw(hook.cast::<Inner>()) };
    inner.function.lock().take();
}
