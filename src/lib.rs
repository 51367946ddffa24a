//! The engine of the `rust-session-store` package, and its way into Node.js.
//!
//! | module | what it is |
//! |---|---|
//! | [`store`] | one open store: what a save means |
//! | [`backend`] | the contract a backend keeps |
//! | [`backends`] | the backends, and the registry of them |
//! | [`record`] | what is kept for a sid |
//! | [`merge`] | three-way merge of two saves; pure |
//! | [`json`] | the reader that merging needs |
//! | [`options`] | the URL and the options, checked |
//! | [`error`] | one error type, stable codes |
//! | [`transport`] | connections that the event loop reads and writes |
//! | [`runtime`] | the threads that wait for networks |
//! | `binding` | the only module that names Node-API |
//!
//! Everything but `binding` is free of Node-API: `cargo test` runs all of it.

pub mod backend;
pub mod backends;
mod binding;
pub mod error;
pub mod json;
pub mod merge;
pub mod options;
#[doc(hidden)]
pub mod properties;
pub mod record;
pub mod runtime;
pub mod store;
pub mod transport;
