//! Bytes from libFuzzer for `maasl_fuzz::history`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::history::run(bytes));
