//! A directory that becomes a link, again and again, while it is walked through.
//!
//! A path that was checked and is then opened by name could be another one by then.
//! Here every step is checked as it is taken, by `openat2` or by the walk; whatever
//! was opened must lie inside, however the names change meanwhile.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use maasl_node::platform::{FileMeta, SwapMode, open_beneath, swap, walk_beneath};
use maasl_node::root::{Root, State};
use rustix::fs::{Mode, OFlags};

/// Attempts of each kind: enough for both answers to come many times.
const ATTEMPTS: usize = 30_000;

struct Ground {
    keep: tempfile::TempDir,
}

impl Ground {
    /// `root/dir`, which is exchanged with `root/link`, a link to `outside`.
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        for (folder, content) in [("root/dir/deep", "inside"), ("outside/deep", "secret")] {
            fs::create_dir_all(keep.path().join(folder)).unwrap();
            fs::write(keep.path().join(folder).join("f"), content).unwrap();
        }
        std::os::unix::fs::symlink("../outside", keep.path().join("root/link")).unwrap();
        Self { keep }
    }

    fn root(&self) -> PathBuf {
        self.keep.path().join("root")
    }

    /// Runs `work` while the two are exchanged as fast as can be.
    fn while_swapping<T>(&self, work: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let root = File::open(self.root()).unwrap();
                while !over.load(Ordering::Relaxed) {
                    let mode = swap(root.as_fd(), "dir", root.as_fd(), "link").unwrap();
                    assert_eq!(mode, SwapMode::Exchanged);
                }
            });
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            over.store(true, Ordering::Relaxed);
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Everything outside, by name.
    fn outside(&self) -> Vec<(String, String)> {
        let folder = self.keep.path().join("outside/deep");
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let mut all: Vec<_> = entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        all.sort();
        all
    }
}

type Opener = fn(BorrowedFd<'_>, &str, OFlags, Mode) -> io::Result<OwnedFd>;

fn both_answers_come(open: Opener) {
    let ground = Ground::new();
    let root = File::open(ground.root()).unwrap();
    let inside = FileMeta::of(
        File::open(ground.root().join("dir/deep/f"))
            .unwrap()
            .as_fd(),
    );
    let inside = inside.unwrap().ino;
    let flags = OFlags::RDWR | OFlags::CREATE;
    let mode = Mode::from_raw_mode(0o600);
    let (mut opened, mut refused) = (0, 0);
    ground.while_swapping(|| {
        for n in 0..ATTEMPTS {
            match open(root.as_fd(), "dir/deep/f", flags, mode) {
                Ok(file) => {
                    assert_eq!(FileMeta::of(file.as_fd()).unwrap().ino, inside);
                    opened += 1;
                }
                Err(_) => refused += 1,
            }
            // What would be made is made inside, or not at all.
            drop(open(
                root.as_fd(),
                &format!("dir/deep/new-{}", n % 8),
                flags,
                mode,
            ));
        }
    });
    assert!(
        opened > 10 && refused > 10,
        "{opened} opened, {refused} refused"
    );
    assert_eq!(ground.outside(), [("f".into(), "secret".into())]);
}

#[test]
fn the_kernel_never_opens_outside() {
    both_answers_come(open_beneath);
}

#[test]
fn the_walk_never_opens_outside() {
    both_answers_come(walk_beneath);
}

#[test]
fn the_root_never_reads_or_makes_anything_outside() {
    let ground = Ground::new();
    let root = Root::open(&ground.root()).unwrap();
    let rel = root.relative("dir/deep/f").unwrap();
    let (mut read, mut refused) = (0, 0);
    ground.while_swapping(|| {
        for n in 0..ATTEMPTS {
            match root.locate(&rel) {
                Ok(located) if matches!(located.state, State::Present(_)) => {
                    assert_eq!(located.read(100).unwrap(), b"inside");
                    read += 1;
                }
                Ok(_) | Err(_) => refused += 1,
            }
            let new = root
                .relative(&format!("dir/deep/made-{}/x", n % 8))
                .unwrap();
            drop(root.create_parents(&new));
        }
    });
    assert!(read > 10 && refused > 10, "{read} read, {refused} refused");
    assert_eq!(ground.outside(), [("f".into(), "secret".into())]);
}
