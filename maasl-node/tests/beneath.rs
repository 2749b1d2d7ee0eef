//! Both ways of opening beneath a directory give the same answers.
//!
//! Every path of up to four pieces (three, where opening creates), over pieces
//! chosen to be difficult, is opened with several sets of flags through
//! `openat2` and by the walk.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(
    clippy::print_stderr,
    reason = "what could not be checked here is said"
)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use maasl_node::platform::{FileMeta, open_beneath, walk_beneath};
use rustix::fs::{Mode, OFlags, ResolveFlags, mkfifoat, openat2};

const PIECES: [&str; 16] = [
    "/", "//", ".", "..", "/.", "a", "/a", "file", "/file", "link", "dirlink", "/up", "loop",
    "pipe", "none", "/none",
];

const FLAGS: [OFlags; 6] = [
    OFlags::RDONLY.union(OFlags::NONBLOCK),
    OFlags::RDONLY.union(OFlags::DIRECTORY),
    OFlags::RDONLY
        .union(OFlags::NONBLOCK)
        .union(OFlags::NOFOLLOW),
    OFlags::PATH,
    OFlags::PATH.union(OFlags::NOFOLLOW),
    OFlags::PATH
        .union(OFlags::NOFOLLOW)
        .union(OFlags::DIRECTORY),
];

/// What was opened, or the error number; wrong permissions have one, too.
fn answer(opened: io::Result<OwnedFd>) -> Result<(u64, u64), Option<i32>> {
    let fd = opened.map_err(|error| error.raw_os_error())?;
    let meta = FileMeta::of(fd.as_fd()).unwrap();
    Ok((meta.dev, meta.ino))
}

fn tree() -> (tempfile::TempDir, File) {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir_all(temp.path().join("root/a/a")).unwrap();
    fs::write(temp.path().join("outside"), "").unwrap();
    let root = temp.path().join("root");
    for dir in ["", "a"] {
        fs::write(root.join(dir).join("file"), "").unwrap();
        symlink("file", root.join(dir).join("link")).unwrap();
        symlink("a", root.join(dir).join("dirlink")).unwrap();
        symlink("..", root.join(dir).join("up")).unwrap();
        symlink("loop", root.join(dir).join("loop")).unwrap();
        let dir = File::open(root.join(dir)).unwrap();
        mkfifoat(&dir, "pipe", Mode::from_raw_mode(0o600)).unwrap();
    }
    let root = File::open(root).unwrap();
    (temp, root)
}

/// All paths of at most `pieces` pieces, and some that are wrong from the start.
fn paths(pieces: usize) -> BTreeSet<String> {
    let mut paths = BTreeSet::from([String::new(), "a\0b".to_owned(), "x".repeat(256)]);
    for _ in 0..pieces {
        let longer = paths
            .iter()
            .flat_map(|path| PIECES.map(|piece| format!("{path}{piece}")));
        let longer: Vec<String> = longer.filter(|path| path.len() < 24).collect();
        paths.extend(longer);
    }
    paths
}

fn has_openat2(root: BorrowedFd<'_>) -> bool {
    let opened = openat2(
        root,
        ".",
        OFlags::PATH,
        Mode::empty(),
        ResolveFlags::BENEATH,
    );
    if opened.is_err() {
        eprintln!("NOT CHECKED: openat2 is missing here, {opened:?}");
    }
    opened.is_ok()
}

#[test]
fn opening_agrees() {
    let (_temp, root) = tree();
    let root = root.as_fd();
    if !has_openat2(root) {
        return;
    }
    let (mut opened, mut refused) = (0, 0);
    for path in paths(4) {
        for flags in FLAGS {
            let kernel = answer(open_beneath(root, &path, flags, Mode::empty()));
            let walk = answer(walk_beneath(root, &path, flags, Mode::empty()));
            assert_eq!(walk, kernel, "{path:?} with {flags:?}");
            let count = if kernel.is_ok() {
                &mut opened
            } else {
                &mut refused
            };
            *count += 1;
        }
    }
    assert!(
        opened > 1000 && refused > 1000,
        "{opened} opened, {refused} refused"
    );
}

#[test]
fn creating_agrees() {
    let (temp, root) = tree();
    let root = root.as_fd();
    if !has_openat2(root) {
        return;
    }
    let mode = Mode::from_raw_mode(0o600);
    let plain = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK;
    for path in paths(3) {
        for flags in [plain, plain | OFlags::EXCL, plain | OFlags::TRUNC] {
            let kernel = open_beneath(root, &path, flags, mode);
            let kernel = kernel.map(|_| ()).map_err(|error| error.raw_os_error());
            remove_new(temp.path());
            let walk = walk_beneath(root, &path, flags, mode);
            let walk = walk.map(|_| ()).map_err(|error| error.raw_os_error());
            remove_new(temp.path());
            assert_eq!(walk, kernel, "{path:?} with {flags:?}");
        }
    }
    assert_eq!(
        fs::read_dir(temp.path()).unwrap().count(),
        2,
        "made something outside"
    );
}

/// Removes whatever a creation has added to the tree.
fn remove_new(temp: &Path) {
    let known = ["a", "file", "link", "dirlink", "up", "loop", "pipe"];
    for dir in ["root", "root/a", "root/a/a"] {
        for entry in fs::read_dir(temp.join(dir)).unwrap() {
            let entry = entry.unwrap();
            let expected = dir != "root/a/a"
                && entry
                    .file_name()
                    .to_str()
                    .is_some_and(|n| known.contains(&n));
            if !expected {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
}

#[test]
fn other_mounts_are_refused_by_both() {
    let root = File::open("/").unwrap();
    for path in ["proc/self/status", "proc", "dev/null", "sys/kernel"] {
        for open in [open_beneath, walk_beneath] {
            let opened = open(root.as_fd(), path, OFlags::PATH, Mode::empty());
            let errno = opened.unwrap_err().raw_os_error();
            assert_eq!(
                errno,
                Some(rustix::io::Errno::XDEV.raw_os_error()),
                "{path}"
            );
        }
    }
}

/// A bind mount has the device number of its source; only its mount tells.
/// Runs [`inside_a_mount_namespace`] in a namespace that dies with it.
#[test]
fn bind_mounts_of_the_same_file_system_are_refused() {
    let program = std::env::current_exe().unwrap();
    let run = Command::new("unshare")
        .arg("--mount")
        .arg(program)
        .args([
            "--exact",
            "inside_a_mount_namespace",
            "--ignored",
            "--nocapture",
        ])
        .output();
    match run {
        Ok(run) if String::from_utf8_lossy(&run.stderr).contains("unshare failed") => {
            eprintln!("NOT CHECKED: bind mounts; no permission to unshare");
        }
        Ok(run) => {
            let passed = String::from_utf8_lossy(&run.stdout).contains("1 passed");
            assert!(run.status.success() && passed, "{run:?}");
        }
        Err(error) => eprintln!("NOT CHECKED: bind mounts; unshare: {error}"),
    }
}

#[test]
#[ignore = "mounts; is run by the test above"] // tidy: it is run, in a namespace of its own
fn inside_a_mount_namespace() {
    let (temp, root) = tree();
    for (source, target) in [("root/a", "root/a/a"), ("outside", "root/a/file")] {
        let mounted = Command::new("mount")
            .arg("--bind")
            .args([temp.path().join(source), temp.path().join(target)])
            .status();
        assert!(mounted.unwrap().success());
    }
    let located = maasl_node::root::Root::open(&temp.path().join("root")).unwrap();
    for path in ["a/a/file", "a/file"] {
        for open in [open_beneath, walk_beneath] {
            let flags = OFlags::WRONLY | OFlags::TRUNC;
            let opened = open(root.as_fd(), path, flags, Mode::empty());
            let errno = opened.unwrap_err().raw_os_error();
            assert_eq!(
                errno,
                Some(rustix::io::Errno::XDEV.raw_os_error()),
                "{path}"
            );
        }
        let rel = located.relative(path).unwrap();
        assert_eq!(
            located.locate(&rel).unwrap_err().reason.code(),
            "other_file_system"
        );
    }
    for target in ["root/a/file", "root/a/a"] {
        let unmounted = Command::new("umount")
            .arg(temp.path().join(target))
            .status();
        assert!(unmounted.unwrap().success());
    }
}
