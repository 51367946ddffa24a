//! The one tokio runtime of the process, for backends that wait for a network. Knows nothing of them.
//!
//! Not napi's: that one ends with the last environment that loaded the addon, and the connections
//! that live on it would end with it. Never shut down: a process that exits does not wait for it.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Handle, Runtime};

/// One thread sends and receives for all stores of the process. Each hop to another thread costs CPU,
/// and what is done here is short.
const THREADS: usize = 1;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("session-store")
        .enable_all()
        .build()
        .expect("the system allows this process one more thread")
});

/// The runtime, started when first used.
pub fn handle() -> &'static Handle {
    RUNTIME.handle()
}
