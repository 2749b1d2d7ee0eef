//! The proof that the core needs no standard library, and holds no planted bug.
//!
//! Owns: three independent checks of `maasl-core`. Promises: if the first two
//! pass, no clock, file, socket, thread or randomly seeded map can be named there
//! or in anything it is built from; if the third passes, no default build of any
//! crate has its planted bugs. Leaves to others: what the core then does.
//!
//! The first reads the dependency tree, for every platform, and names the crate
//! that asks for `std`. The second compiles the core against a copy of this
//! machine's libraries from which `std` was left out, so it cannot be fooled by
//! a dependency without such a feature; and it needs no second target installed.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::files;
use crate::output;
use crate::steps::{Outcome, Step};
use crate::workspace::{Workspace, read, run};

pub(crate) const FEATURES: Step = Step {
    name: "purity: features",
    run: features,
};
pub(crate) const BUILD: Step = Step {
    name: "purity: build",
    run: build,
};

pub(crate) const MUTANTS: Step = Step {
    name: "purity: mutants",
    run: mutants,
};

/// The feature of the core that plants bugs in it.
const PLANTED: &str = "mutants";

/// The crates of the standard library that `no_std` code may use.
const ALLOWED: [&str; 3] = ["core", "alloc", "compiler_builtins"];

fn features(workspace: &Workspace) -> Outcome {
    match feature_faults(workspace) {
        Ok(faults) => Outcome::from_faults("no `std` feature under maasl-core", &faults),
        Err(error) => Outcome::Failed(error),
    }
}

/// Asks for the core alone, since a build of the whole workspace would switch on
/// in its dependencies what the other crates want. Procedural macros run in the
/// compiler and are left out.
fn feature_faults(workspace: &Workspace) -> Result<Vec<String>, String> {
    let edges = ["-e", "normal,no-proc-macro", "--target", "all"];
    let shape = ["--prefix", "none", "--no-dedupe", "-f", "{p}|{f}"];
    let args = [&["tree", "-p", "maasl-core"], &edges[..], &shape].concat();
    let mut faults = std_features(&read(workspace.cargo(&args))?);
    let root = files::read(workspace.root(), "maasl-core/src/lib.rs".to_owned())?;
    if !root.text.lines().any(|line| line == "#![no_std]") {
        faults.push(format!("{}:1: not unconditionally `#![no_std]`", root.path));
    }
    Ok(faults)
}

/// Picks the crates with `std` on from lines of `name version|feature,feature`.
fn std_features(tree: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (package, features) in tree.lines().filter_map(|line| line.rsplit_once('|')) {
        if features.split(',').any(|feature| feature == "std") {
            faults.push(format!("{package}: switch its `std` feature off"));
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

fn mutants(workspace: &Workspace) -> Outcome {
    let args = ["tree", "--workspace", "-e", "normal,build,dev"];
    let shape = ["--prefix", "none", "--no-dedupe", "-f", "{p}|{f}"];
    match read(workspace.cargo(&[&args[..], &shape].concat())) {
        Ok(tree) => Outcome::from_faults("no planted bugs by default", &planted(&tree)),
        Err(error) => Outcome::Failed(error),
    }
}

/// Picks the crates with planted bugs from lines of `name version|feature,…`. A
/// tree without the core proves nothing.
fn planted(tree: &str) -> Vec<String> {
    let lines = || tree.lines().filter_map(|line| line.rsplit_once('|'));
    let ours = lines().filter(|(package, features)| {
        package.starts_with("maasl-") && features.split(',').any(|one| one == PLANTED)
    });
    let mut faults: Vec<String> = ours
        .map(|(package, _)| format!("{package}: `{PLANTED}` is on without being asked for"))
        .collect();
    if !lines().any(|(package, _)| package.starts_with("maasl-core ")) {
        faults.push("maasl-core is not in the dependency tree".to_owned());
    }
    faults.sort();
    faults.dedup();
    faults
}

fn build(workspace: &Workspace) -> Outcome {
    let (sysroot, host) = match sysroot_without_std(workspace) {
        Ok(made) => made,
        Err(error) => return Outcome::Failed(error),
    };
    // With an explicit target, these flags leave build scripts and macros alone.
    let mut command = workspace.cargo(&["check", "-p", "maasl-core", "--target", &host]);
    command.env(
        "CARGO_ENCODED_RUSTFLAGS",
        format!("--sysroot={}", sysroot.display()),
    );
    output::line("against a library folder without std:");
    run(command)
}

/// Copies the allowed libraries to a folder of their own, each time anew, as the
/// compiler may have been updated. Returns it and the name of this platform.
fn sysroot_without_std(workspace: &Workspace) -> Result<(PathBuf, String), String> {
    let ask = |what| read(workspace.rustc(&["--print", what]));
    let (full, host) = (ask("sysroot")?, ask("host-tuple")?);
    let libraries = Path::new("lib/rustlib").join(host.trim()).join("lib");
    let bare = workspace
        .target_dir()
        .join("xtask")
        .join("sysroot-without-std");
    let copied = copy_allowed(
        &Path::new(full.trim()).join(&libraries),
        &bare.join(&libraries),
    )
    .map_err(|error| format!("{}: {error}", bare.display()))?;
    if let Some(missing) = ALLOWED.iter().find(|name| !copied.contains(name)) {
        return Err(format!("the compiler's libraries hold no lib{missing}"));
    }
    Ok((bare, host.trim().to_owned()))
}

fn copy_allowed(from: &Path, to: &Path) -> io::Result<Vec<&'static str>> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    let mut copied = Vec::new();
    for entry in fs::read_dir(from)? {
        let file = entry?.file_name();
        if let Some(name) = allowed_library(&file.to_string_lossy()) {
            fs::copy(from.join(&file), to.join(&file))?;
            copied.push(name);
        }
    }
    Ok(copied)
}

/// The allowed crate that a file such as `libcore-0123.rlib` belongs to.
fn allowed_library(file: &str) -> Option<&'static str> {
    let (name, _hash) = file.strip_prefix("lib")?.split_once('-')?;
    ALLOWED.into_iter().find(|allowed| *allowed == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_std_feature_is_found_once() {
        let tree = "maasl-core v0.1.0 (/a|b)|\nserde v1.0.0|alloc,std\nserde v1.0.0|alloc,std\n";
        assert_eq!(
            std_features(tree),
            ["serde v1.0.0: switch its `std` feature off"]
        );
    }

    #[test]
    fn a_feature_that_only_sounds_like_std_is_allowed() {
        assert!(std_features("a v1.0.0|default,std_detect,no-std\nb v1.0.0|\n").is_empty());
    }

    #[test]
    fn a_planted_bug_is_found_wherever_it_is_switched_on() {
        let clean = "maasl-mcp v0.1.0 (/a)|\nmaasl-core v0.1.0 (/b)|\n";
        assert!(planted(clean).is_empty());
        let on = "maasl-mcp v0.1.0 (/a)|\nmaasl-core v0.1.0 (/b)|mutants\n";
        let fault = "maasl-core v0.1.0 (/b): `mutants` is on without being asked for";
        assert_eq!(planted(on), [fault]);
        assert_eq!(
            planted("serde v1.0.0|alloc\n"),
            ["maasl-core is not in the dependency tree"]
        );
    }

    #[test]
    fn only_the_allowed_libraries_are_copied() {
        assert_eq!(allowed_library("libcore-120c.rlib"), Some("core"));
        assert_eq!(allowed_library("liballoc-6e6d.rmeta"), Some("alloc"));
        for other in [
            "libstd-d123.so",
            "libcore_extra-1.rlib",
            "libc.a",
            "core-1.rlib",
        ] {
            assert_eq!(allowed_library(other), None, "{other}");
        }
    }
}
