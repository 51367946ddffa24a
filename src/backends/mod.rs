//! The backends there are, one entry each.

use crate::options::{DEFAULT_TTL_S, Form, Registration};

#[cfg(unix)]
pub mod file;
#[cfg(not(unix))]
#[path = "file/absent.rs"]
pub mod file;
pub mod memory;
pub mod redis;

/// Every backend of this build.
pub static REGISTRY: [Registration; 3] = [
    Registration {
        name: "memory",
        schemes: &["memory"],
        default_ttl_s: DEFAULT_TTL_S,
        options: &[("max", Form::Count), ("maxBytes", Form::Count)],
        foreign_parameters: false,
        open: memory::open,
    },
    Registration {
        name: "file",
        schemes: &["file"],
        default_ttl_s: DEFAULT_TTL_S,
        options: file::OPTIONS,
        foreign_parameters: false,
        open: file::open,
    },
    Registration {
        name: "redis",
        schemes: redis::SCHEMES,
        default_ttl_s: DEFAULT_TTL_S,
        options: redis::OPTIONS,
        foreign_parameters: false,
        open: redis::open,
    },
];
