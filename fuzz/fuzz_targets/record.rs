//! Records of the file backend are read or refused. Run with `cargo +nightly fuzz run record`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    rust_session_store::properties::record(data);
});
