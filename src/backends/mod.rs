//! The backends there are, one line each.

use crate::options::{DEFAULT_TTL_S, Form, Registration};

pub mod memory;

/// Every backend of this build.
pub static REGISTRY: [Registration; 1] = [Registration {
    name: "memory",
    schemes: &["memory"],
    default_ttl_s: DEFAULT_TTL_S,
    options: &[("max", Form::Count), ("maxBytes", Form::Count)],
    foreign_parameters: false,
    open: memory::open,
}];
