//! The program `maasl-sim`.
//!
//! Owns: nothing but the entry. Leaves to others: everything (`cli`).

use std::process::ExitCode;

fn main() -> ExitCode {
    maasl_sim::cli::main()
}
