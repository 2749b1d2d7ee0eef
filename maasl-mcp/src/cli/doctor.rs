//! `maasl doctor`
//!
//! Owns: the checks, and what to do about each finding. Promises: it makes
//! the state folder where there is none, and changes nothing else but what it makes
//! and removes itself among the staging folders and liveness files, unless it is asked
//! to repair; it names no process that has only the number of one of ours. Leaves to
//! others: repairing (`maasl_node`).

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;

use maasl_core::id::SessionId;
use maasl_node::live::Liveness;
use maasl_node::node::{OpenError, unsupported};
use maasl_node::platform::{self, PlaceMode, SwapMode};
use maasl_node::root::Root;
use maasl_node::state_dir::StateDir;
use maasl_node::store::sqlite::repair::Fault;
use maasl_node::store::sqlite::{self, View};
use maasl_node::{config_file, latch};
use serde_json::json;

use super::{Failure, output};

/// Arguments of `maasl doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Move what is damaged in .maasl/ aside, keep what can be read of it, and then
    /// check. No other maasl process may run on the repository.
    #[arg(long)]
    repair: bool,
}

pub(super) fn run(root: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let repaired = if arguments.repair {
        Some(repair(root)?)
    } else {
        None
    };
    let findings = examine(root);
    let healthy = findings.iter().all(|finding| finding.state != State::Bad);
    if arguments.json {
        let checks: Vec<_> = findings.iter().map(Finding::as_json).collect();
        let mut shown = json!({ "ok": healthy, "checks": checks });
        if let Some(deeds) = repaired {
            shown["repaired"] = deeds.into();
        }
        output::json(&shown);
    } else {
        for deed in repaired.iter().flatten() {
            output::line(deed);
        }
        if repaired.is_some_and(|deeds| deeds.is_empty()) {
            output::line("nothing needed a repair");
        }
        output::line(&table(&findings));
    }
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What was done, one line each.
fn repair(root: &Path) -> Result<Vec<String>, Failure> {
    let root = Root::open(root).map_err(OpenError::from)?;
    let state = StateDir::open(root.path()).map_err(OpenError::from)?;
    let deeds = sqlite::repair::repair(&state)?;
    Ok(deeds.iter().map(ToString::to_string).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    /// Works, in a weaker way or with something to tidy up.
    Weak,
    Bad,
}

struct Finding {
    check: &'static str,
    state: State,
    found: String,
    advice: &'static str,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Good,
            found: found.into(),
            advice: "",
        }
    }

    fn weak(check: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self {
            state: State::Weak,
            advice,
            ..Self::good(check, found)
        }
    }

    fn bad(check: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self {
            state: State::Bad,
            advice,
            ..Self::good(check, found)
        }
    }

    fn word(&self) -> &'static str {
        match self.state {
            State::Good => "ok",
            State::Weak => "note",
            State::Bad => "problem",
        }
    }

    fn as_json(&self) -> serde_json::Value {
        json!({
            "check": self.check,
            "state": self.word(),
            "found": self.found,
            "advice": self.advice,
        })
    }
}

fn table(findings: &[Finding]) -> String {
    let mut table = output::table(&["check", "state", "found", "what to do"]);
    for finding in findings {
        table.add_row([
            finding.check,
            finding.word(),
            &finding.found,
            finding.advice,
        ]);
    }
    table.to_string()
}

fn examine(root: &Path) -> Vec<Finding> {
    let mut findings = vec![sqlite_version(), boot()];
    let opened = match Root::open(root) {
        Ok(opened) => opened,
        Err(error) => {
            let advice = "use a folder on a local disk";
            findings.push(Finding::bad("root", error.to_string(), advice));
            return findings;
        }
    };
    findings.push(file_system(&opened));
    findings.push(configuration(opened.path()));
    match StateDir::open(opened.path()) {
        Ok(state) => findings.extend(examine_state(&state)),
        Err(error) => {
            let advice = "move it away; MAASL makes a new one";
            findings.push(Finding::bad("state folder", error.to_string(), advice));
        }
    }
    findings
}

fn sqlite_version() -> Finding {
    let version = sqlite::library_version();
    if sqlite::library_is_safe() {
        Finding::good("sqlite", version)
    } else {
        Finding::bad(
            "sqlite",
            version,
            "build with the bundled library, 3.51.3 or newer",
        )
    }
}

fn boot() -> Finding {
    match platform::boot_identity() {
        Ok(boot) => Finding::good("boot identity", boot),
        Err(error) => Finding::bad("boot identity", error.to_string(), "mount /proc"),
    }
}

fn file_system(root: &Root) -> Finding {
    match platform::fs_name(root.dir()) {
        Ok(name) => Finding::good(
            "file system",
            format!("{name} at {}", root.path().display()),
        ),
        Err(error) => Finding::weak("file system", error.to_string(), "its kind is unknown"),
    }
}

fn configuration(root: &Path) -> Finding {
    match config_file::load(root) {
        Ok(loaded) if unsupported(&loaded.config).is_some() => Finding::bad(
            "configuration",
            format!(
                "{} is not supported in this version",
                unsupported(&loaded.config).unwrap_or("")
            ),
            "leave it out",
        ),
        Ok(loaded) if !loaded.warnings.is_empty() => Finding::weak(
            "configuration",
            loaded.warnings.join("; "),
            "see the warning",
        ),
        Ok(loaded) => Finding::good(
            "configuration",
            loaded
                .source
                .map_or("defaults".into(), |source| source.display().to_string()),
        ),
        Err(error) => Finding::bad("configuration", error.to_string(), "correct that line"),
    }
}

fn examine_state(state: &StateDir) -> Vec<Finding> {
    let mut findings = vec![renames(state)];
    match sqlite::repair::examine(state) {
        Ok(faults) if faults.is_empty() => {}
        Ok(faults) => {
            findings.extend(faults.iter().map(damaged));
            return findings;
        }
        Err(error) => {
            let advice = "see the message";
            findings.push(Finding::bad("store", error.to_string(), advice));
            // One of them may be what was waited for in vain.
            findings.extend(stopped_inside(state));
            return findings;
        }
    }
    match View::open(state.path()) {
        Ok(None) => findings.push(Finding::good("store", "none yet")),
        Ok(Some(view)) => findings.extend(examine_store(state, &view)),
        Err(error) => {
            let advice = "see the message";
            findings.push(Finding::bad("store", error.to_string(), advice));
        }
    }
    findings.extend(stopped_inside(state));
    findings
}

fn damaged(fault: &Fault) -> Finding {
    Finding::bad(
        "damage",
        format!("{}: {}", fault.path.display(), fault.what),
        "end every maasl here, then run maasl doctor --repair",
    )
}

/// Tries the two renames a commit is made of, where commits stage.
fn renames(state: &StateDir) -> Finding {
    let check = "atomic renames";
    match try_renames(state) {
        Ok((SwapMode::Exchanged, PlaceMode::Placed)) => {
            Finding::good(check, "exchange and no-replace")
        }
        Ok(_) => Finding::weak(
            check,
            "not supported here: commits use plain renames",
            "an editor that saves within the same microseconds can lose its save; use ext4, xfs or btrfs",
        ),
        Err(error) => Finding::bad(check, error.to_string(), "make the folder writable"),
    }
}

fn try_renames(state: &StateDir) -> io::Result<(SwapMode, PlaceMode)> {
    let session = SessionId::new(format!("doctor-{}", std::process::id()));
    let live = liveness(state)?;
    // Servers remove the staging folders of those who do not live.
    let _life = live.hold(&session, &[])?;
    let folder = state.path().join("stage").join(session.as_str());
    std::fs::create_dir(&folder)?;
    let tried = try_renames_in(&folder);
    std::fs::remove_dir_all(&folder)?;
    live.leave(&session).close()?;
    tried
}

fn try_renames_in(folder: &Path) -> io::Result<(SwapMode, PlaceMode)> {
    let dir = File::open(folder)?;
    for name in ["a", "b"] {
        std::fs::write(folder.join(name), name)?;
    }
    let swapped = platform::swap(dir.as_fd(), "a", dir.as_fd(), "b")?;
    let placed = platform::place(dir.as_fd(), "a", dir.as_fd(), "c")?;
    Ok((swapped, placed))
}

fn liveness(state: &StateDir) -> io::Result<Liveness> {
    let dir = File::open(state.path().join("live"))?;
    Ok(Liveness::new(dir.into()))
}

fn examine_store(state: &StateDir, view: &View) -> Vec<Finding> {
    let (snapshot, clock) = match view.snapshot() {
        Ok(found) => found,
        Err(error) => {
            let advice = "see the message";
            return vec![Finding::bad("store", error.to_string(), advice)];
        }
    };
    let Ok(live) = liveness(state) else {
        return vec![Finding::bad(
            "liveness",
            "no folder",
            "run any maasl command",
        )];
    };
    let dead = |session: &SessionId| live.is_dead(session).unwrap_or(false);
    let open = snapshot
        .intents
        .iter()
        .filter(|intent| dead(&intent.owner.session))
        .count();
    let held = snapshot
        .leases
        .iter()
        .filter(|lease| dead(&lease.owner.session))
        .count();
    let expired = snapshot
        .leases
        .iter()
        .filter(|lease| lease.is_expired(clock.now))
        .count();
    vec![
        Finding::good(
            "store",
            format!(
                "generation {}, {} leases, {} waiters",
                snapshot.meta.generation,
                snapshot.leases.len(),
                snapshot.tickets.len()
            ),
        ),
        count(
            "open commits of dead processes",
            open,
            "the next server or access settles them",
        ),
        count(
            "leases of dead processes",
            held,
            "the next request takes them over",
        ),
        count(
            "expired leases",
            expired,
            "the next request takes them over",
        ),
    ]
}

fn count(check: &'static str, number: usize, advice: &'static str) -> Finding {
    if number == 0 {
        Finding::good(check, "none")
    } else {
        Finding::weak(check, number.to_string(), advice)
    }
}

/// Processes of this repository that are stopped: whoever stands inside a latch
/// or the write gate holds others up.
fn stopped_inside(state: &StateDir) -> Vec<Finding> {
    let Ok(Some(view)) = View::open(state.path()) else {
        return Vec::new();
    };
    let (Ok((snapshot, _)), Ok(live)) = (view.snapshot(), liveness(state)) else {
        return Vec::new();
    };
    // The number of a process that has gone may be another's by now.
    let lives = |session: &SessionId| live.is_dead(session).is_ok_and(|dead| !dead);
    let stopped = snapshot
        .sessions
        .iter()
        .filter(|session| lives(&session.id) && latch::process(session.pid).stopped);
    stopped
        .map(|session| {
            Finding::bad(
                "stopped process",
                format!("{} ({})", session.pid, session.role),
                "continue it (kill -CONT) or end it (kill -KILL): what it holds is freed at once",
            )
        })
        .collect()
}
