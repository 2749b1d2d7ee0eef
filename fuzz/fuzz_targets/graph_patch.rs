//! Bytes from libFuzzer for `maasl_fuzz::graph_patch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maasl_fuzz::graph_patch::run(bytes));
