//! In place of the file backend, where the locks that it goes by were never tried: Windows.

use std::sync::Arc;

use crate::{
    backend::Backend,
    error::{Error, Kind, Result},
    options::{Form, Options},
};

/// The options of the backend that is not here.
pub const OPTIONS: &[(&str, Form)] = &[];

/// Refuses.
pub fn open(_options: &Options) -> Result<Arc<dyn Backend>> {
    Err(Error::new(
        Kind::Unsupported,
        "\"file:\" needs Linux or macOS; here, use memory: or redis:",
    ))
}
