//! The program `maasl-sim`.
//!
//! Owns: the entry and the allocator. Leaves to others: everything else (`cli`).

use std::process::ExitCode;

/// A third of a run is making and freeing small objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    maasl_sim::cli::main()
}
