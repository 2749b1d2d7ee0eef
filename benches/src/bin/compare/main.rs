//! `compare`: MAASL beside its peers, interleaved on the same machine.
//!
//! Owns: arguments, the order of the measures, and where they work. Promises: a
//! peer that is missing is named in the table; a target missed is a figure, not
//! a failure. Leaves to others: each measure (the modules), installing peers
//! (`cargo xtask bench`).

mod client;
mod contention;
mod crew;
mod databases;
mod documents;
mod graphs;
mod leases;
mod local;
mod output;
mod processes;
mod redis;
mod report;
mod simulators;
mod tally;
mod times;
mod worker;
mod writes;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};

use crate::report::Row;

/// Whatever stops a measure; shown to whoever runs it.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measures MAASL beside its peers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    job: Option<Job>,
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Subcommand)]
enum Job {
    /// One of the processes of a measure; started by the measure itself.
    #[command(hide = true)]
    Worker(worker::Orders),
    /// Checks the documents of a repository; started by the measure itself.
    #[command(hide = true)]
    Check {
        /// The repository.
        root: PathBuf,
    },
}

#[derive(clap::Args)]
struct Arguments {
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Only these measures.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Measure>,
    /// How often what is timed one by one is timed.
    #[arg(long, default_value_t = 500)]
    rounds: usize,
    /// How often contending processes and simulators run, each time beside their
    /// peers.
    #[arg(long, default_value_t = 2)]
    runs: u64,
    /// How long contending processes and simulators run.
    #[arg(long, default_value_t = 3_000)]
    run_ms: u64,
    /// How long a Redis client sleeps before it asks again.
    #[arg(long, default_value_t = 1_000)]
    poll_us: u64,
    /// Contending processes hold by computing instead of sleeping.
    #[arg(long)]
    spin: bool,
    /// `dist/index.js` of `@modelcontextprotocol/server-filesystem`.
    #[arg(long, value_name = "FILE")]
    filesystem_server: Option<PathBuf>,
    /// `maasl-ping`, built with turmoil.
    #[arg(long, value_name = "FILE")]
    ping_turmoil: Option<PathBuf>,
    /// `maasl-ping`, built with madsim.
    #[arg(long, value_name = "FILE")]
    ping_madsim: Option<PathBuf>,
    /// The program to measure; default: beside this one.
    #[arg(long, value_name = "FILE")]
    maasl: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    Writes,
    Leases,
    Contention,
    Idle,
    Unrelated,
    Startup,
    HandOver,
    Documents,
    Databases,
    Graph,
    Simulators,
}

impl Measure {
    fn run(self, bench: &Bench) -> Result<Vec<Row>> {
        match self {
            Self::Writes => writes::measure(bench),
            Self::Leases => leases::uncontended(bench),
            Self::Contention => contention::measure(bench),
            Self::Idle => processes::idle(bench),
            Self::Unrelated => leases::unrelated(bench),
            Self::Startup => processes::startup(bench),
            Self::HandOver => processes::hand_over(bench),
            Self::Documents => documents::measure(bench),
            Self::Databases => databases::measure(bench),
            Self::Graph => Ok(graphs::measure()),
            Self::Simulators => simulators::measure(bench),
        }
    }

    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What every measure needs.
pub(crate) struct Bench {
    pub(crate) maasl: PathBuf,
    pub(crate) filesystem_server: Option<PathBuf>,
    pub(crate) ping_turmoil: Option<PathBuf>,
    pub(crate) ping_madsim: Option<PathBuf>,
    pub(crate) rounds: usize,
    pub(crate) runs: u64,
    pub(crate) run_ms: u64,
    pub(crate) poll_us: u64,
    pub(crate) spin: bool,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(arguments: &Arguments) -> Result<Self> {
        let own = std::env::current_exe()?;
        let beside = own.parent().ok_or("this program lies nowhere")?;
        let maasl = arguments.maasl.clone();
        let maasl = maasl.unwrap_or_else(|| beside.join("maasl"));
        if !maasl.is_file() {
            let hint = "build it with `cargo build --release -p maasl-mcp`";
            return Err(format!("no {}: {hint}", maasl.display()).into());
        }
        Ok(Self {
            maasl,
            filesystem_server: arguments.filesystem_server.clone(),
            ping_turmoil: arguments.ping_turmoil.clone(),
            ping_madsim: arguments.ping_madsim.clone(),
            rounds: arguments.rounds,
            runs: arguments.runs,
            run_ms: arguments.run_ms,
            poll_us: arguments.poll_us,
            spin: arguments.spin,
            // Not in the system's place for temporary files, which may be memory.
            dir: tempfile::tempdir_in(beside)?,
        })
    }

    /// A new directory, all on one file system.
    pub(crate) fn dir(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::tempdir_in(self.dir.path())?)
    }
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.job {
        Some(Job::Worker(orders)) => worker::run(orders),
        Some(Job::Check { root }) => documents::check(&root),
        None => compare(&cli.arguments),
    }
}

fn compare(arguments: &Arguments) -> Result<()> {
    let bench = Bench::new(arguments)?;
    let wanted = |measure: &Measure| arguments.only.is_empty() || arguments.only.contains(measure);
    let before = load();
    let mut rows = Vec::new();
    for measure in Measure::value_variants().iter().filter(|one| wanted(one)) {
        output::progress(&format!("== {}", measure.name()));
        rows.extend(measure.run(&bench)?);
    }
    let machine = machine(&before);
    output::figures(&if arguments.json {
        report::json(&rows, &machine)
    } else {
        report::table(&rows, &machine)
    });
    Ok(())
}

/// How busy the machine was; figures in themselves mean little on a busy one.
fn machine(load_before: &str) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let after = load();
    format!("{cores} cores; load averages before {load_before}, after {after}")
}

fn load() -> String {
    let text = std::fs::read_to_string(Path::new("/proc/loadavg")).unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
