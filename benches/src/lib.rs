//! Benchmarks of MAASL; see the `benches/` folder of this package.
