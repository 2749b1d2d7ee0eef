//! Bytes from libFuzzer for `maasl_fuzz::tools`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::tools::run(bytes));
