//! Which table an URL means: a private one, or one that every thread shares by its name. Knows
//! nothing of what a table does.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use dashmap::{DashMap, Entry};

use super::{Memory, bounds::Bounds};
use crate::{
    backend::Backend,
    error::{Error, Kind, Result},
    options::Options,
};

/// The named tables, for as long as the process lives: what a name holds must outlast the worker
/// thread that wrote it.
static NAMED: LazyLock<DashMap<String, Arc<Memory>>> = LazyLock::new(DashMap::new);

/// Opens `memory:` (private) or `memory:NAME`.
pub fn open(options: &Options) -> Result<Arc<dyn Backend>> {
    let count = |name| options.number(name).map(|count| count as usize);
    let bounds = Bounds { max: count("max"), max_bytes: count("maxBytes") };
    if options.place.is_empty() {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        return Ok(Memory::start(format!("memory:\0{}", NEXT.fetch_add(1, Relaxed)), bounds));
    }
    if options.place.starts_with('/') {
        return Err(Error::new(
            Kind::Config,
            "\"url\" must be \"memory:\" or \"memory:NAME\", without slashes",
        ));
    }
    let prefix = options.prefix.as_deref().unwrap_or("");
    // With its length in front, where the name ends is never in doubt.
    let identity = format!("memory:{}:{}{prefix}", options.place.len(), options.place);
    match NAMED.entry(identity.clone()) {
        Entry::Vacant(entry) => Ok(entry.insert(Memory::start(identity, bounds)).value().clone()),
        Entry::Occupied(entry) if entry.get().bounds == bounds => Ok(entry.get().clone()),
        Entry::Occupied(entry) => Err(Error::new(
            Kind::Config,
            format!(
                "\"memory:{}\"{} is already open with {}; open it with the same \"max\" and \"maxBytes\" everywhere",
                options.place,
                if prefix.is_empty() {
                    String::new()
                } else {
                    format!(" with the prefix {prefix:?}")
                },
                entry.get().bounds
            ),
        )),
    }
}
