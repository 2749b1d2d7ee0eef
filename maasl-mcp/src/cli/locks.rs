//! `maasl locks`

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use maasl_node::state_dir;
use maasl_node::store::clock;
use maasl_node::store::sqlite::View;
use serde_json::{Value, json};

use super::{Failure, output};
use crate::server::{locks_json, rfc3339};

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
    loop {
        let shown = look(root, arguments)?;
        if arguments.json {
            output::json(&shown);
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

fn look(root: &Path, arguments: &Arguments) -> Result<Value, Failure> {
    let Some(view) = View::open(&root.join(state_dir::NAME))? else {
        let timestamp = rfc3339((clock::system())().wall_ms);
        return Ok(json!({ "count": 0, "locks": [], "timestamp": timestamp }));
    };
    let (snapshot, clock) = view.snapshot()?;
    let (class, agent) = (arguments.class.clone(), arguments.agent.clone());
    Ok(locks_json(&snapshot, clock, class, agent))
}

fn table(shown: &Value) -> String {
    let locks = shown["locks"].as_array().map_or(&[][..], Vec::as_slice);
    if locks.is_empty() {
        return "nothing is held".into();
    }
    let mut table = output::table(&[
        "resource", "holder", "mode", "scope", "held", "left", "waiters", "token", "doing",
    ]);
    for lock in locks {
        let text = |name: &str| output::plain(lock[name].as_str().unwrap_or(""));
        let left = match lock["is_expired"].as_bool() {
            Some(true) => "expired".to_string(),
            _ => format!("{:.1} s", lock["ttl_remaining_sec"].as_f64().unwrap_or(0.0)),
        };
        let held = lock["held_duration_ms"].as_u64().unwrap_or(0);
        table.add_row([
            text("resource_key"),
            text("holder_agent_id"),
            text("mode"),
            text("scope"),
            format!("{}.{:01} s", held / 1000, held % 1000 / 100),
            left,
            lock["waiters"].to_string(),
            lock["fencing_token"].to_string(),
            text("intent"),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_says_does_nothing_to_the_terminal_and_adds_no_row() {
        let shown = json!({ "locks": [{
            "resource_key": "code:f",
            "holder_agent_id": "a\u{1b}[2K",
            "mode": "exclusive",
            "scope": "exact",
            "intent": "tidying\r\ncode:g  b",
            "waiters": 0,
            "fencing_token": 1,
        }] });
        let table = table(&shown);
        assert_eq!(table.lines().count(), 2, "{table:?}");
        assert!(
            !table.contains('\u{1b}') && !table.contains('\r'),
            "{table:?}"
        );
        assert!(table.contains("tidying\\r\\ncode:g"), "{table:?}");
    }
}
