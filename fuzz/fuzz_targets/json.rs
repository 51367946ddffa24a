//! Records are read or refused, as JSON.parse would. Run with `cargo +nightly fuzz run json`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rust_session_store::properties::json(data));
