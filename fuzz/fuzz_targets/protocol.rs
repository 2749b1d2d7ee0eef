//! Bytes from libFuzzer for `maasl_fuzz::protocol`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::protocol::run(bytes));
