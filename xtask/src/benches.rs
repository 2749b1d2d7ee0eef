//! The benchmarks, and what they are compared with.
//!
//! Owns: `cargo xtask bench`: Criterion, the peers, and the comparison with
//! them. Promises: a peer that cannot be had here shows in the summary with the
//! reason, and in the comparison's own table. Leaves to others: measuring
//! (`maasl-benches`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
pub(crate) const COMPARE: Step = Step {
    name: "bench: compare",
    run: compare,
};

/// The server everybody has, at the release the figures were last taken with.
const PACKAGE: &str = "@modelcontextprotocol/server-filesystem";
const PACKAGE_VERSION: &str = "2026.8.31";

fn criterion(workspace: &Workspace) -> Outcome {
    run(workspace.cargo(&["bench", "--package", "maasl-benches"]))
}

fn redis(workspace: &Workspace) -> Outcome {
    if answers("redis-server", "--version") {
        return Outcome::Passed("redis-server is installed".into());
    }
    if !is_root() {
        return Outcome::NotRun("no redis-server, and only root can install it".into());
    }
    let mut install = Command::new("apt-get");
    install
        .args([
            "install",
            "--yes",
            "--no-install-recommends",
            "redis-server",
        ])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .current_dir(workspace.root())
        .stdin(Stdio::null());
    missing_unless_passed("redis-server", run(install))
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

fn compare(workspace: &Workspace) -> Outcome {
    let program = workspace.target_dir().join("release").join("compare");
    let mut command = Command::new(program);
    command.current_dir(workspace.root()).stdin(Stdio::null());
    let script = script(workspace);
    if script.is_file() {
        command.arg("--filesystem-server").arg(script);
    }
    run(command)
}

/// A peer that could not be installed leaves a gap in the table; our own
/// figures are still worth having.
fn missing_unless_passed(peer: &str, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(why) => Outcome::NotRun(format!("{peer} could not be installed: {why}")),
        other => other,
    }
}

fn peers(workspace: &Workspace) -> PathBuf {
    workspace.target_dir().join("xtask").join("peers")
}

fn script(workspace: &Workspace) -> PathBuf {
    let modules = peers(workspace).join("node_modules");
    modules.join(PACKAGE).join("dist").join("index.js")
}

fn answers(program: &str, question: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(question).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|own| own.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_cannot_be_installed_is_missing_and_no_failure() {
        let failed = Outcome::Failed("exit code 1".into());
        let expected = Outcome::NotRun("redis could not be installed: exit code 1".into());
        assert_eq!(missing_unless_passed("redis", failed), expected);
        let passed = Outcome::Passed("done".into());
        assert_eq!(
            missing_unless_passed("redis", passed),
            Outcome::Passed("done".into())
        );
    }
}
