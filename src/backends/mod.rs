//! The backends there are, one entry each.

#[cfg(not(feature = "mongodb"))]
use crate::error::{Error, Kind};
use crate::options::{DEFAULT_TTL_S, Form, Registration};

#[cfg(unix)]
pub mod file;
#[cfg(not(unix))]
#[path = "file/absent.rs"]
pub mod file;
pub mod memory;
#[cfg(feature = "mongodb")]
pub mod mongodb;
pub mod redis;

/// Every backend of this build.
pub static REGISTRY: [Registration; 4] = [
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
    #[cfg(feature = "mongodb")]
    Registration {
        name: "mongodb",
        schemes: mongodb::SCHEMES,
        default_ttl_s: mongodb::DEFAULT_TTL_S,
        options: mongodb::OPTIONS,
        foreign_parameters: true,
        open: mongodb::open,
    },
    #[cfg(not(feature = "mongodb"))]
    Registration {
        name: "mongodb",
        schemes: &["mongodb", "mongodb+srv"],
        default_ttl_s: DEFAULT_TTL_S,
        options: &[],
        foreign_parameters: true,
        open: |_| {
            Err(Error::new(
                Kind::Unsupported,
                "this build leaves MongoDB out; build it with cargo's feature \"mongodb\"",
            ))
        },
    },
];
