//! The `maasl` program.

fn main() -> std::process::ExitCode {
    maasl_mcp::cli::main()
}
