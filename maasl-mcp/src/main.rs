//! The `maasl` command line.
fn main() {}
