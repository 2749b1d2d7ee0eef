//! The demonstration: agents at work, without MAASL and with it.
//!
//! Owns: setting the scene, both halves, and the verdict. Promises: the repository
//! is only read; loss is counted exactly, from marks that must survive; no process
//! and, unless something was lost, no file is left behind. Leaves to others:
//! arguments and printing (`cli`).
//!
//! `workspace` copies the repository; `half` lets each `agent` work with its
//! `hands`, plain ones or a `client` on a `server_process` that the `nemesis` kills
//! and freezes; `account` compares the `journal` with what is there.

mod account;
mod agent;
mod client;
mod half;
mod hands;
mod journal;
mod markup;
mod nemesis;
mod progress;
mod random;
mod render;
mod server_process;
mod verdict;
mod workspace;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::half::Setting;
use self::server_process::Launch;
use self::workspace::Workspace;

pub use self::account::Tally;
pub use self::nemesis::Faults;
pub use self::render::render;
pub use self::verdict::{Guard, Half, Verdict, WaitMs, to_json};

/// What to demonstrate.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The repository the user stands in.
    pub root: PathBuf,
    /// Another repository to copy instead.
    pub repo: Option<PathBuf>,
    /// How many agents, each with a server of its own.
    pub agents: usize,
    /// How long each half takes.
    pub seconds: u64,
    /// Whether the result is for a program, so that no progress is shown.
    pub json: bool,
    /// The seed of workload and faults.
    pub seed: u64,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self {
            root: PathBuf::from("."),
            repo: None,
            agents: 5,
            seconds: 20,
            json: false,
            seed: 1,
        }
    }
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Copying or reading back failed.
    #[error("files of the demonstration: {0}")]
    Files(std::io::Error),
    /// The repository cannot be copied.
    #[error("cannot copy {}: {error}", .path.display())]
    Copy {
        /// The repository.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A server does not start.
    #[error("`maasl serve` does not start: {0}")]
    Server(String),
    /// A task was lost.
    #[error("a task of the demonstration failed: {0}")]
    Task(tokio::task::JoinError),
    /// There must be somebody to demonstrate with.
    #[error("at least one agent is needed")]
    NoAgents,
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Runs both halves. Needs a runtime of several threads.
pub async fn run(options: &DemoOptions) -> Result<Verdict, DemoError> {
    if options.agents == 0 {
        return Err(DemoError::NoAgents);
    }
    tokio::select! {
        verdict = both_halves(options) => verdict,
        _ = tokio::signal::ctrl_c() => Err(DemoError::Interrupted),
    }
}

async fn both_halves(options: &DemoOptions) -> Result<Verdict, DemoError> {
    let repository = options.repo.as_ref().unwrap_or(&options.root);
    let agents: Vec<String> = (1..=options.agents).map(|n| format!("agent-{n}")).collect();
    let workspace = Workspace::of(repository, &agents).map_err(|error| DemoError::Copy {
        path: repository.clone(),
        error,
    })?;
    let scene = tempfile::Builder::new().prefix("maasl-demo-").tempdir();
    let scene = scene.map_err(DemoError::Files)?;
    let launch = set_up(&workspace, scene.path()).map_err(DemoError::Files)?;
    let files_copied = workspace.len();
    let setting = Setting {
        plan: Arc::new(workspace.plan),
        agents,
        seed: options.seed,
        duration: Duration::from_secs(options.seconds),
        with_progress: !options.json,
    };
    let unguarded = half::unguarded(&setting, &scene.path().join("unguarded")).await?;
    let (guarded, maasl, faults) = half::guarded(&setting, launch).await?;
    let mut verdict = Verdict {
        repository: repository.clone(),
        agents: options.agents,
        seconds: options.seconds,
        seed: options.seed,
        files_copied,
        unguarded,
        guarded,
        faults,
        maasl,
        kept: None,
    };
    if !verdict.is_good() {
        verdict.kept = Some(scene.keep());
    }
    Ok(verdict)
}

/// Writes both copies and says how servers are started in the second.
fn set_up(workspace: &Workspace, scene: &Path) -> std::io::Result<Launch> {
    workspace.write(&scene.join("unguarded"))?;
    let root = scene.join("guarded");
    workspace.write(&root)?;
    let logs = scene.join("logs");
    std::fs::create_dir(&logs)?;
    let program = client::program()?;
    Ok(Launch {
        program,
        root,
        logs,
    })
}
