//! Bytes from libFuzzer for `maasl_fuzz::edits`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::edits::run(bytes));
