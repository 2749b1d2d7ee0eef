//! Bytes from libFuzzer for `maasl_fuzz::trace`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::trace::run(bytes));
