//! Merges are valid JSON that keeps what both sides changed. Run with `cargo +nightly fuzz run merge`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rust_session_store::properties::merge(data));
