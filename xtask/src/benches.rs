//! The benchmarks, and what they are compared with.
//!
//! Owns: `cargo xtask bench`: Criterion, the peers, and the comparison with
//! them. Promises: a peer that cannot be had here shows in the summary with the
//! reason, and in the comparison's own table. Leaves to others: measuring
//! (`maasl-benches`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::needs::{self, answers};
use crate::steps::{Outcome, Step};
use crate::workspace::{Workspace, run};

pub(crate) const CRITERION: Step = Step {
    name: "bench: criterion",
    run: criterion,
};
pub(crate) const REDIS: Step = Step {
    name: "bench: redis",
    run: redis,
};
pub(crate) const FILESYSTEM_SERVER: Step = Step {
    name: "bench: server-filesystem",
    run: filesystem_server,
};
pub(crate) const BUILD: Step = Step {
    name: "bench: build",
    run: build,
};
pub(crate) const PING_TURMOIL: Step = Step {
    name: "bench: ping on turmoil",
    run: ping_turmoil,
};
pub(crate) const PING_MADSIM: Step = Step {
    name: "bench: ping on madsim",
    run: ping_madsim,
};
pub(crate) const COMPARE: Step = Step {
    name: "bench: compare",
    run: compare,
};

/// The server everybody has, at the release the figures were last taken with.
const PACKAGE: &str = "@modelcontextprotocol/server-filesystem";
const PACKAGE_VERSION: &str = "2026.8.31";

/// The program that carries the ping workload on other simulators.
const PING: &str = "maasl-ping";
const BUILD_PING: &[&str] = &["build", "--release", "--package", PING];

fn criterion(workspace: &Workspace) -> Outcome {
    run(workspace.cargo(&["bench", "--package", "maasl-benches"]))
}

fn redis(workspace: &Workspace) -> Outcome {
    missing_unless_passed(
        "redis-server",
        needs::install(workspace, "redis-server", "redis-server"),
    )
}

fn filesystem_server(workspace: &Workspace) -> Outcome {
    if script(workspace).is_file() {
        return Outcome::Passed(format!("{PACKAGE} is installed"));
    }
    if !answers("node", "--version") || !answers("npm", "--version") {
        return Outcome::NotRun(format!("no node or no npm, so no {PACKAGE}"));
    }
    let folder = peers(workspace);
    if let Err(error) = std::fs::create_dir_all(&folder) {
        return Outcome::Failed(format!("{}: {error}", folder.display()));
    }
    let mut install = Command::new("npm");
    install
        .args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(&folder)
        .arg(format!("{PACKAGE}@{PACKAGE_VERSION}"))
        .current_dir(workspace.root())
        .stdin(Stdio::null());
    missing_unless_passed(PACKAGE, run(install))
}

/// Both programs at once, so that they share what both are built from.
fn build(workspace: &Workspace) -> Outcome {
    run(workspace.cargo(&[
        "build",
        "--release",
        "--package",
        "maasl-mcp",
        "--package",
        "maasl-benches",
    ]))
}

/// turmoil is a feature, so that no other command builds it.
fn ping_turmoil(workspace: &Workspace) -> Outcome {
    let command = workspace.cargo(&[BUILD_PING, &["--features", "turmoil"]].concat());
    build_ping(&ping_with_turmoil(workspace), command)
}

/// madsim exists under its own cfg only. That goes to every crate, so it builds
/// in a folder of its own and leaves what the other commands built alone.
fn ping_madsim(workspace: &Workspace) -> Outcome {
    let mut command = workspace.cargo(BUILD_PING);
    command
        .env("CARGO_ENCODED_RUSTFLAGS", "--cfg\x1fmadsim")
        .env("CARGO_TARGET_DIR", madsim_dir(workspace));
    build_ping(&ping_with_madsim(workspace), command)
}

/// Whatever an earlier build left is removed first: if this one fails, it would
/// be measured in its stead.
fn build_ping(program: &Path, command: Command) -> Outcome {
    if let Err(error) = std::fs::remove_file(program)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Outcome::Failed(format!("{}: {error}", program.display()));
    }
    missing_unless_passed(PING, run(command))
}

fn compare(workspace: &Workspace) -> Outcome {
    let program = workspace.target_dir().join("release").join("compare");
    let mut command = Command::new(program);
    command.current_dir(workspace.root()).stdin(Stdio::null());
    for (option, peer) in [
        ("--filesystem-server", script(workspace)),
        ("--ping-turmoil", ping_with_turmoil(workspace)),
        ("--ping-madsim", ping_with_madsim(workspace)),
    ] {
        if peer.is_file() {
            command.arg(option).arg(peer);
        }
    }
    run(command)
}

/// A peer that could not be made leaves a gap in the table; our own figures are
/// still worth having.
fn missing_unless_passed(peer: &str, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(why) => Outcome::NotRun(format!("{peer} could not be made: {why}")),
        other => other,
    }
}

fn madsim_dir(workspace: &Workspace) -> PathBuf {
    workspace.target_dir().join("madsim")
}

fn ping_with_turmoil(workspace: &Workspace) -> PathBuf {
    workspace.target_dir().join("release").join(PING)
}

fn ping_with_madsim(workspace: &Workspace) -> PathBuf {
    madsim_dir(workspace).join("release").join(PING)
}

fn peers(workspace: &Workspace) -> PathBuf {
    workspace.target_dir().join("xtask").join("peers")
}

fn script(workspace: &Workspace) -> PathBuf {
    let modules = peers(workspace).join("node_modules");
    modules.join(PACKAGE).join("dist").join("index.js")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_cannot_be_made_is_missing_and_no_failure() {
        let failed = Outcome::Failed("exit code 1".into());
        let expected = Outcome::NotRun("redis could not be made: exit code 1".into());
        assert_eq!(missing_unless_passed("redis", failed), expected);
        let passed = Outcome::Passed("done".into());
        assert_eq!(
            missing_unless_passed("redis", passed),
            Outcome::Passed("done".into())
        );
    }
}
