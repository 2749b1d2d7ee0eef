//! Bytes from libFuzzer for `maasl_fuzz::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::config::run(bytes));
