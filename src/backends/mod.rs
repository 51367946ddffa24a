//! The backends there are, one line each.

use crate::options::{DEFAULT_TTL_S, Registration};

pub mod memory;

/// Every backend of this build.
pub static REGISTRY: [Registration; 1] = [Registration {
    scheme: "memory",
    default_ttl_s: DEFAULT_TTL_S,
    bounded: true,
    open: memory::open,
}];
