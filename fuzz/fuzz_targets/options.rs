//! Options are parsed or refused. Run with `cargo +nightly fuzz run options`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    rust_session_store::properties::options(data);
});
