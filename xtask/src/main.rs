//! The developer's automation: `cargo xtask …`.
fn main() {}
