//! Bytes from libFuzzer for `maasl_fuzz::document`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::document::run(bytes));
