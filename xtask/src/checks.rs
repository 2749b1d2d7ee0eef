//! The steps that hand the work to cargo and its tools.
//!
//! Owns: the exact command lines. Promises: a warning is an error, and an
//! optional tool that is absent shows in the summary. Leaves to others: the
//! rules themselves (`clippy.toml`, `deny.toml`, `rustfmt.toml`, the manifests).

use std::path::PathBuf;

use crate::steps::{Outcome, Step};
use crate::workspace::{Workspace, run};

/// Where the property tests take their seed from.
const SEED: &str = "PROPTEST_RNG_SEED";

pub(crate) const FMT: Step = Step {
    name: "fmt",
    run: fmt,
};
pub(crate) const LINT: Step = Step {
    name: "lint",
    run: lint,
};
pub(crate) const DOC: Step = Step {
    name: "doc",
    run: doc,
};
pub(crate) const DENY: Step = Step {
    name: "deny",
    run: deny,
};
pub(crate) const ADVISORIES: Step = Step {
    name: "deny: advisories",
    run: advisories,
};
pub(crate) const DOCTESTS: Step = Step {
    name: "doctests",
    run: doctests,
};
pub(crate) const TESTS: Step = Step {
    name: "tests",
    run: tests,
};

pub(crate) const LINT_MUTANTS: Step = Step {
    name: "lint: mutants",
    run: lint_mutants,
};
pub(crate) const MUTANTS: Step = Step {
    name: "mutants",
    run: mutants,
};

fn fmt(workspace: &Workspace) -> Outcome {
    run(workspace.cargo(&["fmt", "--all", "--check"]))
}

fn lint(workspace: &Workspace) -> Outcome {
    run(workspace.cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// What is compiled only with planted bugs. Of the whole workspace, so that libraries
/// have the features they have elsewhere and are not compiled again.
fn lint_mutants(workspace: &Workspace) -> Outcome {
    let what = [
        &["clippy", "--lib", "--bins"],
        PLANTED,
        &["--", "-D", "warnings"],
    ];
    run(workspace.cargo(&what.concat()))
}

/// A short hunt for each planted bug, and cutting the hardest of them down;
/// `maasl-sim mutants` hunts longer.
fn mutants(workspace: &Workspace) -> Outcome {
    run(workspace.cargo(&[&["test"], PLANTED].concat()))
}

/// The tests that plant bugs, and the feature that lets them.
const PLANTED: &[&str] = &[
    "--workspace",
    "--features",
    "maasl-sim/mutants",
    "--test",
    "mutants",
    "--test",
    "shrink_mutants",
];

fn doc(workspace: &Workspace) -> Outcome {
    let mut command = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(command)
}

/// What needs no network. The tool is not installed from here: building it takes
/// minutes of every run, and where it is wanted it comes built
/// (`.github/workflows/ci.yml`), or by `cargo install cargo-deny --locked`.
fn deny(workspace: &Workspace) -> Outcome {
    if !workspace.has_cargo_tool("deny") {
        let why = "cargo-deny is not installed; licences, bans and sources unchecked";
        return Outcome::NotRun(why.into());
    }
    run(workspace.cargo(&["deny", "check", "bans", "licenses", "sources"]))
}

/// Advisories come from a database on the network. It is never fetched from here: a
/// change must not fail for what was published since, so the workflow has a job of
/// its own that fetches. Where the database is, it is asked as it is.
fn advisories(workspace: &Workspace) -> Outcome {
    if !workspace.has_cargo_tool("deny") {
        let why = "cargo-deny is not installed; known vulnerabilities unchecked";
        return Outcome::NotRun(why.into());
    }
    if !has_advisories() {
        let why = "no advisory database here (`cargo deny fetch db`); \
                   known vulnerabilities unchecked";
        return Outcome::NotRun(why.into());
    }
    run(workspace.cargo(&["deny", "check", "--disable-fetch", "advisories"]))
}

/// Whether cargo-deny has fetched a database, into its usual place.
fn has_advisories() -> bool {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let Some(cargo) = cargo.or(home) else {
        return false;
    };
    std::fs::read_dir(cargo.join("advisory-dbs")).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.path().is_dir()))
    })
}

fn doctests(workspace: &Workspace) -> Outcome {
    run(workspace.cargo(&["test", "--doc", "--workspace", "--no-fail-fast"]))
}

/// Builds every test, and with them every program of the workspace unoptimised.
pub(crate) fn build_tests(workspace: &Workspace) -> Outcome {
    let mut command = workspace.cargo(runner(workspace));
    command.arg("--no-run");
    run(command)
}

/// One process per test if nextest is there, so that a test that kills or stops
/// what it should not ends alone; otherwise the same tests by cargo alone.
fn runner(workspace: &Workspace) -> &'static [&'static str] {
    if workspace.has_cargo_tool("nextest") {
        &["nextest", "run", "--workspace"]
    } else {
        // `--tests` and not the default, which would run the doctests again.
        &["test", "--workspace", "--tests"]
    }
}

fn tests(workspace: &Workspace) -> Outcome {
    let mut command = workspace.cargo(runner(workspace));
    command.arg("--no-fail-fast");
    if std::env::var_os(SEED).is_none() {
        // The same inputs on every run: a change fails for what it does, not for
        // what chance found today. Set it to explore; what is found stays in
        // `proptest-regressions/`.
        command.env(SEED, "1");
    }
    run(command)
}
