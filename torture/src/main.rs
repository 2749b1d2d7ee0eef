//! `maasl-torture`: attacks real servers on a real directory.
//!
//! Owns: the command line and where the run takes place. Promises: mounts are in a
//! mount namespace of the run's own where the system allows one; exit code 0 if
//! nothing was broken, 1 if something was, 2 if the run could not be made. Leaves
//! to others: the run (`run`), and the long one that attacks nobody (`endure`).
//!
//! Agents work through `maasl serve` and the command line while a nemesis kills
//! and stops them, fills the disk, lets it fail or makes it read-only, forbids a
//! folder, saves files from outside and takes the state away. Some of them have
//! clocks of their own. Every answer goes into a history that the judges of the
//! simulator read (`docs/history-format.md`).

mod agent;
mod ask;
mod audit;
mod clocks;
mod commander;
mod course;
mod endure;
mod ground;
mod holding;
mod journal;
mod ledger;
mod means;
mod nemesis;
mod report;
mod run;
mod syscalls;
mod told;
mod unsettled;
mod world;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use crate::ground::Ground;
use crate::means::{Fault, Means};
use crate::report::Report;
use crate::world::World;

/// Set in the process that has mounts of its own.
const INSIDE: &str = "MAASL_TORTURE_MOUNTS";

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A file could not be used.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The database could not be looked at.
    #[error("the database: {0}")]
    Database(#[from] rusqlite::Error),
    /// No server starts.
    #[error("no server starts")]
    NoServer,
    /// Something said what it should not.
    #[error("{0}")]
    Confused(String),
}

impl Failure {
    pub(crate) fn at(path: &Path) -> impl Fn(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File {
            path: path.clone(),
            error,
        }
    }
}

/// Attack real servers on a real directory, and judge what they answered
#[derive(Debug, Parser)]
#[command(subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// The `maasl` program; given several times, servers are of all of them
    #[arg(long, value_name = "FILE", required = true)]
    program: Vec<PathBuf>,
    /// A `maasl` program of another version, of which some servers are
    #[arg(long, value_name = "FILE")]
    beside: Vec<PathBuf>,
    /// Faults that are not to come
    #[arg(long, value_name = "FAULT")]
    without: Vec<Fault>,
    /// How long faults go on, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What decides faults and calls
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many agents work
    #[arg(long, default_value_t = 5)]
    agents: usize,
    /// Never delete the state or put an old copy back
    #[arg(long)]
    leave_state: bool,
    /// An empty directory to work in, which is left as it is; otherwise one that
    /// is kept only if something was broken
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// What else this program does.
#[derive(Debug, Subcommand)]
enum Role {
    /// Be in a section for a moment
    #[command(hide = true)]
    Section { folder: PathBuf, name: String },
    /// Work for long on one root, and judge whether what is measured levels off
    Endure(endure::Endure),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let made = match &arguments.role {
        Some(Role::Section { folder, name }) => return commander::section(folder, name),
        Some(Role::Endure(asked)) => endure::endure(asked),
        None => torture(&arguments),
    };
    match made {
        Ok(code) => code,
        Err(failure) => report::failed(&failure),
    }
}

fn torture(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if std::env::var_os(INSIDE).is_none() {
        enter_namespace();
    }
    let may_mount = std::env::var_os(INSIDE).is_some();
    let temporary = std::env::temp_dir().join(format!("maasl-torture-{}", std::process::id()));
    let base = arguments.keep.clone().unwrap_or(temporary);
    std::fs::create_dir_all(&base).map_err(Failure::at(&base))?;
    let ground = Ground::new(base.clone(), may_mount)?;
    let means = Means::of(ground.disk(), &arguments.without);
    let not_run = means.missing();
    let programs = [&arguments.program[..], &arguments.beside[..]].concat();
    let about: Vec<String> = programs.iter().map(|program| version(program)).collect();
    let world = World::new(
        programs,
        arguments.program.len(),
        (ground, means),
        arguments.seed,
        arguments.leave_state,
    );
    let began = Instant::now();
    let judged = run::run(
        &world,
        arguments.agents,
        Duration::from_secs(arguments.seconds),
    )?;
    let broken = world.broken();
    report::print(&Report {
        seed: arguments.seed,
        took: began.elapsed(),
        judged,
        programs: &about,
        counts: world.counts(),
        broken: &broken,
        not_run: &not_run,
        repeat: &repeat(arguments),
    });
    if broken.is_empty() && arguments.keep.is_none() {
        world.ground.remove();
    } else {
        world.ground.copy_out();
        report::kept(&base);
    }
    Ok(ExitCode::from(u8::from(!broken.is_empty())))
}

/// Becomes the same program in a mount namespace of its own. Comes back where
/// that is not possible.
fn enter_namespace() {
    let own = rustix::process::geteuid().is_root();
    let rights: &[&str] = if own { &[] } else { &["--map-root-user"] };
    let unshare = || {
        let mut command = Command::new("unshare");
        command
            .args(rights)
            .args(["--mount", "--propagation", "private"]);
        command
    };
    let tried = unshare().arg("true").stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut inside = unshare();
    inside
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1");
    // It returns only if it failed; then the run goes on without mounts.
    let _ = inside.exec();
}

/// What a program says that it is, and where it is.
fn version(program: &Path) -> String {
    let told = Command::new(program).arg("--version").output();
    let told = told.ok().filter(|told| told.status.success());
    let told = told.and_then(|told| String::from_utf8(told.stdout).ok());
    let version = told.unwrap_or_else(|| "it does not tell its version".to_owned());
    format!("{} ({})", version.trim(), program.display())
}

fn repeat(arguments: &Arguments) -> String {
    let Arguments {
        seconds,
        seed,
        agents,
        leave_state,
        beside,
        without,
        ..
    } = arguments;
    let left = if *leave_state { " --leave-state" } else { "" };
    let without = without
        .iter()
        .map(|fault| format!(" --without {}", means::name(*fault)));
    let beside = beside
        .iter()
        .map(|program| format!(" --beside {}", program.display()));
    let more: String = without.chain(beside).collect();
    format!("cargo xtask torture --seconds {seconds} --seed {seed} --agents {agents}{left}{more}")
}
