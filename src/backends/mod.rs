//! The backends there are, one line each.

use std::sync::Arc;

use crate::{
    backend::Backend,
    error::Result,
    options::{DEFAULT_TTL_S, Options},
};

pub mod memory;

/// What the registry knows of a backend.
#[derive(Debug)]
pub struct Registration {
    /// The URL scheme that chooses it.
    pub scheme: &'static str,
    /// Seconds a session lives by default.
    pub default_ttl_s: f64,
    /// Whether it takes `max` and `maxBytes`.
    pub bounded: bool,
    /// Opens the place that the options name.
    pub open: fn(&Options) -> Result<Arc<dyn Backend>>,
}

/// Every backend of this build.
pub static REGISTRY: [Registration; 1] = [Registration {
    scheme: "memory",
    default_ttl_s: DEFAULT_TTL_S,
    bounded: true,
    open: memory::open,
}];
