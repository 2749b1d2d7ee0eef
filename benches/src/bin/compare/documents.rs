//! Checking the documents of a repository.
//!
//! Owns: measure 8, on sources that are unchanged and on sources nobody has read.
//! Promises: every look is a process of its own, from its start to its end, beside
//! a peer's that looks at the same files. Leaves to others: what the check is.

use std::path::Path;
use std::process::{Command, Stdio};

use maasl_core::docgen::{DocgenSettings, HeaderForm, Layout};
use maasl_core::id::ContentHash;
use maasl_node::docgen::check::Check;
use maasl_node::root::Root;
use maasl_node::state_dir::StateDir;

use crate::report::{Figure, Row, Target};
use crate::times::Times;
use crate::{Bench, Result, output};

const SOURCES: u32 = 10_000;
/// In one folder.
const TOGETHER: u32 = 100;
/// How often each is timed: a look takes some ten milliseconds.
const TIMES: usize = 25;
/// Longest source, in bytes, as by default.
const MAX_BYTES: u64 = 64 << 20;

/// Measure 8.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for documented in [false, true] {
        let root = bench.dir()?;
        let sources = fill(root.path(), documented)?;
        let name = if documented {
            "sources with their documents"
        } else {
            "sources"
        };
        rows.push(unchanged(root.path(), name)?);
        if !documented {
            rows.push(unread(root.path(), &sources)?);
        }
    }
    Ok(rows)
}

/// What the process that is measured does.
pub(crate) fn check(root: &Path) -> Result<()> {
    let root = Root::open(root)?;
    let settings = DocgenSettings::default();
    let check = Check {
        root: &root,
        settings: &settings,
        max_bytes: MAX_BYTES,
    };
    output::figures(&check.all()?.len().to_string());
    Ok(())
}

/// Makes the repository; its sources, relative to it.
fn fill(root: &Path, documented: bool) -> Result<Vec<String>> {
    StateDir::open(root)?;
    let settings = DocgenSettings::default();
    let mut sources = Vec::new();
    for n in 0..SOURCES {
        let path = format!("pkg_{:03}/module_{n}.py", n / TOGETHER);
        let content = format!("value = {n}\n{}", "# a line of text\n".repeat(60));
        write(&root.join(&path), content.as_bytes())?;
        if documented {
            let place = Layout::Tree.place(&settings.root, &path);
            let hash = ContentHash::of(content.as_bytes());
            write(
                &root.join(place),
                &HeaderForm::Comment.document(hash, "# a"),
            )?;
        }
        sources.push(path);
    }
    Ok(sources)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::create_dir_all(path.parent().ok_or("a path without a folder")?)?;
    Ok(std::fs::write(path, content)?)
}

/// Beside `git status`, which knows the files as well.
fn unchanged(root: &Path, name: &str) -> Result<Row> {
    let git = |words: &[&str]| run(Command::new("git").arg("-C").arg(root).args(words));
    let has_git = git(&["init", "-q"]).is_ok();
    if has_git {
        git(&["add", "-A"])?;
        let who = ["-c", "user.name=bench", "-c", "user.email=bench@invalid"];
        git(&[&who[..], &["commit", "-q", "-m", "all"]].concat())?;
    }
    // What was changed in the tick of the first look is believed in from the third.
    for _ in 0..3 {
        look(root)?;
        git(&["status"]).or_else(|error| if has_git { Err(error) } else { Ok(()) })?;
    }
    let (mut ours, mut peer) = (Times::new(), Times::new());
    for _ in 0..TIMES {
        ours.time(|| look(root))?;
        if has_git {
            peer.time(|| git(&["status"]))?;
        }
    }
    let row = Row::new(
        format!("8 check of {SOURCES} unchanged {name}, start to exit, p50"),
        Figure::us(ours.p50_us()),
        Target::RatioAtMost(0.9),
    );
    let row = row.note(ours.spread());
    Ok(if has_git {
        row.beside("git status", Figure::us(peer.p50_us()))
    } else {
        row.alone("no git")
    })
}

/// Beside `sha256sum` over the same files.
fn unread(root: &Path, sources: &[String]) -> Result<Row> {
    let list = root.join(".maasl/sources");
    std::fs::write(&list, sources.join("\0"))?;
    let manifest = root.join(".maasl/docgen-manifest");
    let (mut ours, mut peer) = (Times::new(), Times::new());
    for _ in 0..TIMES {
        std::fs::remove_file(&manifest)?;
        ours.time(|| look(root))?;
        let list = std::fs::File::open(&list)?;
        let mut sum = Command::new("xargs");
        sum.args(["-0", "sha256sum"]).current_dir(root).stdin(list);
        peer.time(|| run(&mut sum))?;
    }
    let row = Row::new(
        format!("8 check of {SOURCES} sources nobody has read, start to exit, p50"),
        Figure::us(ours.p50_us()),
        Target::RatioAtMost(0.35),
    );
    let peer = Figure::us(peer.p50_us());
    Ok(row.beside("sha256sum", peer).note(ours.spread()))
}

fn look(root: &Path) -> Result<()> {
    let own = std::env::current_exe()?;
    run(Command::new(own).arg("check").arg(root))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {status}").into())
}
