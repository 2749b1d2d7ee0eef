//! Bytes from libFuzzer for `maasl_fuzz::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::path::run(bytes));
