//! Bytes from libFuzzer for `maasl_fuzz::scenario`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::scenario::run(bytes));
