//! The `maasl` command line.
//!
//! Owns: arguments, exit codes, and what people see. Promises: exit codes are 0
//! done, 1 refused (reason on standard error), 2 wrong usage or configuration, 3
//! internal; `--json` prints one machine-readable object. Leaves to others: doing
//! it (`maasl-node`), the protocol (`server`).

mod demo;
mod doctor;
mod failure;
mod graph;
mod history;
mod init;
mod locks;
mod log;
mod output;
mod restore;
mod revoke;
mod root;
mod run;
mod serve;
mod stats;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use self::failure::Failure;

/// Keeps AI agents that work in one repository from destroying each other's work.
#[derive(Debug, Parser)]
#[command(name = "maasl", version, about, max_term_width = 100)]
pub struct Cli {
    /// The repository; default: the nearest folder upwards with maasl.toml,
    /// llmc.toml, .maasl or .git.
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve MCP on standard input and output.
    Serve(serve::Arguments),
    /// Show what MAASL is for: real servers, real agents, kills and freezes.
    Demo(demo::Arguments),
    /// Write the configuration snippet of a client.
    Init(init::Arguments),
    /// Show who holds what.
    Locks(locks::Arguments),
    /// Show what was counted.
    Stats(stats::Arguments),
    /// Show the versions of a file.
    History(history::Arguments),
    /// Bring an earlier version of a file back.
    Restore(restore::Arguments),
    /// Take a lease away from its holder (break-glass, audited).
    Revoke(revoke::Arguments),
    /// Show, export and import knowledge graphs.
    Graph(graph::Arguments),
    /// Run a command under a lease.
    Run(run::Arguments),
    /// Check everything MAASL relies on, and say what to do.
    Doctor(doctor::Arguments),
}

/// Parses the arguments, runs the command and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(failure) => {
            output::error(&failure.to_string());
            failure.exit_code()
        }
    }
}

impl Cli {
    fn run(self) -> Result<ExitCode, Failure> {
        let root = root::find(self.root)?;
        match self.command {
            Command::Serve(arguments) => serve::run(&root, &arguments),
            Command::Demo(arguments) => demo::run(&root, arguments),
            Command::Init(arguments) => init::run(&root, &arguments),
            Command::Locks(arguments) => locks::run(&root, &arguments),
            Command::Stats(arguments) => stats::run(&root, &arguments),
            Command::History(arguments) => history::run(&root, &arguments),
            Command::Restore(arguments) => restore::run(&root, &arguments),
            Command::Revoke(arguments) => revoke::run(&root, arguments),
            Command::Graph(arguments) => graph::run(&root, arguments),
            Command::Run(arguments) => run::run(&root, arguments),
            Command::Doctor(arguments) => doctor::run(&root, &arguments),
        }
    }
}
