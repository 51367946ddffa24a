//! The backends there are, one line each.

use crate::options::{DEFAULT_TTL_S, Form, Registration};

pub mod memory;
#[cfg(feature = "mongodb")]
pub mod mongodb;

/// Every backend of this build.
pub static REGISTRY: &[Registration] = &[
    Registration {
        name: "memory",
        schemes: &["memory"],
        default_ttl_s: DEFAULT_TTL_S,
        options: &[("max", Form::Count), ("maxBytes", Form::Count)],
        foreign_parameters: false,
        open: memory::open,
    },
    #[cfg(feature = "mongodb")]
    mongodb::REGISTRATION,
];
