//! Bytes from libFuzzer for `maasl_fuzz::state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::state::run(bytes));
