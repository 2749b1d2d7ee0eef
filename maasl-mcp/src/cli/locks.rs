//! `maasl locks`

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use maasl_node::state_dir;
use maasl_node::store::sqlite::View;

use super::{Failure, output};
use crate::server::locks::{self, Filter};

/// How often `--watch` looks again.
const REFRESH: Duration = Duration::from_millis(500);
/// Moves the cursor home and clears what follows.
const HOME: &str = "\x1b[H\x1b[J";

/// Arguments of `maasl locks`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only resources of this class.
    #[arg(long)]
    class: Option<String>,
    /// Only leases of this agent.
    #[arg(long)]
    agent: Option<String>,
    /// Show again and again, in place.
    #[arg(long)]
    watch: bool,
    /// One JSON object instead of a table.
    #[arg(long, conflicts_with = "watch")]
    json: bool,
}

pub(super) fn run(root: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let filter = Filter {
        class: arguments.class.clone(),
        agent: arguments.agent.clone(),
    };
    loop {
        let shown = look(root, &filter)?;
        if arguments.json {
            output::json(&serde_json::to_value(&shown).map_err(|error| Failure::internal("json", error))?);
        } else if arguments.watch && output::is_terminal() {
            output::line(&format!("{HOME}{}", table(&shown)));
        } else {
            output::line(&table(&shown));
        }
        if !arguments.watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(REFRESH);
    }
}

fn look(root: &Path, filter: &Filter) -> Result<locks::Body, Failure> {
    match View::open(&root.join(state_dir::NAME))? {
        Some(view) => {
            let (snapshot, clock) = view.snapshot()?;
            Ok(locks::body(&snapshot, clock, filter))
        }
        None => Ok(locks::Body::default()),
    }
}

fn table(shown: &locks::Body) -> String {
    if shown.locks.is_empty() {
        return "nothing is held".into();
    }
    let mut table = output::table(&[
        "resource", "holder", "mode", "scope", "held", "expires in", "waiters", "token", "doing",
    ]);
    for lock in &shown.locks {
        table.add_row(lock.cells());
    }
    table.to_string()
}
