//! Bytes from libFuzzer for `maasl_fuzz::graph_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::graph_file::run(bytes));
