//! The renames of a swap.
//!
//! Owns: exchanging, placing and taking away, in the strongest way that the file
//! system has, and what is left of an exchange in steps that was cut short.
//! Promises: each reports the content it really displaced; nothing displaced is
//! ever without a name. Leaves to others: where the file is (`root`), and what a
//! surprising answer means (the core).
//!
//! An exchange in steps goes, for a file `f` that is staged as `s`: `f` is linked as
//! `s.out`, `s` is renamed to `f`, `s.out` is renamed to `s`. What is left of it is
//! known by its names: with `s`, nothing was displaced yet and `s.out` is `f` once
//! more; without, `s.out` is what was displaced. Only who holds the latch of `f`
//! asks for `s`, so nobody comes upon an exchange that still goes on.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use maasl_core::coordinator::io::Swapped;
use rustix::fs::{AtFlags, linkat, statat, unlinkat};
use rustix::io::Errno;

use crate::platform::{self, PlaceMode, SwapMode};
use crate::root::Located;
use crate::stage::StagedName;

/// Exchanges a file and its staged content.
pub(crate) fn exchange(located: &Located, staged: &StagedName) -> io::Result<Swapped> {
    let (dir, name) = (located.parent.as_fd(), located.name.as_str());
    match platform::swap(staged.dir.as_fd(), &staged.name, dir, name) {
        Ok(SwapMode::Exchanged) => {}
        Ok(SwapMode::Unsupported) => return in_steps(located, staged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Swapped::Vanished),
        Err(error) => return Err(error),
    }
    Ok(Swapped::Displaced(staged.hash()?))
}

/// The weaker exchange: the displaced file gets a second name first, so that its
/// bytes survive the rename. What an outside writer puts there between the first
/// two steps is lost; `doctor` says so where a file system lacks the exchange.
fn in_steps(located: &Located, staged: &StagedName) -> io::Result<Swapped> {
    let (dir, name) = (located.parent.as_fd(), located.name.as_str());
    let (stage, aside) = (staged.dir.as_fd(), aside(staged));
    match linkat(dir, name, stage, &*aside, AtFlags::empty()) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(Swapped::Vanished),
        Err(error) => return Err(error.into()),
    }
    if let Err(error) = platform::replace(stage, &staged.name, dir, name) {
        // With a second name the file would be refused from now on.
        finish(staged)?;
        return Err(error);
    }
    platform::replace(stage, &aside, stage, &staged.name)?;
    Ok(Swapped::Displaced(staged.hash()?))
}

/// Ends an exchange in steps that was cut short, if there was one.
pub(crate) fn finish(staged: &StagedName) -> io::Result<()> {
    let (stage, aside) = (staged.dir.as_fd(), aside(staged));
    if !is_there(stage, &aside)? {
        return Ok(());
    }
    if is_there(stage, &staged.name)? {
        Ok(unlinkat(stage, &*aside, AtFlags::empty())?)
    } else {
        platform::replace(stage, &aside, stage, &staged.name)
    }
}

/// The name of a displaced file until it has the staged one.
fn aside(staged: &StagedName) -> String {
    format!("{}.out", staged.name)
}

fn is_there(dir: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Moves the file to the staged name.
pub(crate) fn take_away(located: &Located, staged: &StagedName) -> io::Result<Swapped> {
    let (dir, name) = (located.parent.as_fd(), located.name.as_str());
    match place(dir, name, staged.dir.as_fd(), &staged.name) {
        Ok(()) => Ok(Swapped::Displaced(staged.hash()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Swapped::Vanished),
        Err(error) => Err(error),
    }
}

/// Puts staged content under a name that must be free: fails as `AlreadyExists` if
/// it is not.
pub(crate) fn bring(located: &Located, staged: &StagedName) -> io::Result<()> {
    let (dir, name) = (located.parent.as_fd(), located.name.as_str());
    place(staged.dir.as_fd(), &staged.name, dir, name)
}

/// Moves a file to a name that must be free.
fn place(
    from_dir: BorrowedFd<'_>,
    from_name: &str,
    to_dir: BorrowedFd<'_>,
    to_name: &str,
) -> io::Result<()> {
    match platform::place(from_dir, from_name, to_dir, to_name)? {
        PlaceMode::Placed => Ok(()),
        PlaceMode::Unsupported => platform::place_by_link(from_dir, from_name, to_dir, to_name),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::PathBuf;
    use std::sync::Arc;

    use maasl_core::id::ContentHash;
    use maasl_core::path::PathReason;

    use super::*;
    use crate::root::Root;

    /// A root with the file `f`, and a folder with its staged content `s`.
    struct Ground {
        dir: tempfile::TempDir,
        root: Root,
    }

    impl Ground {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("root")).unwrap();
            fs::create_dir(dir.path().join("stage")).unwrap();
            let root = Root::open(&dir.path().join("root")).unwrap();
            let ground = Self { dir, root };
            fs::write(ground.at("root/f"), "old").unwrap();
            fs::write(ground.at("stage/s"), "new").unwrap();
            ground
        }

        fn at(&self, path: &str) -> PathBuf {
            self.dir.path().join(path)
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.at(path)).unwrap()
        }

        fn staged(&self) -> StagedName {
            let dir = File::open(self.at("stage")).unwrap();
            StagedName {
                dir: Arc::new(dir.into()),
                name: "s".into(),
            }
        }

        fn located(&self) -> Result<Located, PathReason> {
            let rel = self.root.relative("f").unwrap();
            self.root.locate(&rel).map_err(|refusal| refusal.reason)
        }

        /// Each has one name: the file, and what is staged for it.
        fn holds(&self, file: &str, staged: &str) {
            assert_eq!(self.read("root/f"), file);
            assert_eq!(self.read("stage/s"), staged);
            assert_eq!(fs::read_dir(self.at("stage")).unwrap().count(), 1);
            self.located().unwrap();
        }
    }

    fn displaced(content: &str) -> Swapped {
        Swapped::Displaced(Some(ContentHash::of(content.as_bytes())))
    }

    #[test]
    fn both_ways_of_exchanging_go_there_and_back() {
        for way in [exchange, in_steps] {
            let ground = Ground::new();
            let swapped = way(&ground.located().unwrap(), &ground.staged()).unwrap();
            assert_eq!(swapped, displaced("old"));
            ground.holds("new", "old");
            let swapped = way(&ground.located().unwrap(), &ground.staged()).unwrap();
            assert_eq!(swapped, displaced("new"));
            ground.holds("old", "new");
            let located = ground.located().unwrap();
            fs::remove_file(ground.at("root/f")).unwrap();
            let vanished = way(&located, &ground.staged()).unwrap();
            assert_eq!(vanished, Swapped::Vanished);
        }
    }

    #[test]
    fn an_exchange_that_died_after_its_link_has_not_happened() {
        let ground = Ground::new();
        fs::hard_link(ground.at("root/f"), ground.at("stage/s.out")).unwrap();
        let refused = ground.located().unwrap_err();
        assert!(matches!(refused, PathReason::HardLinked { .. }));
        for _ in 0..2 {
            finish(&ground.staged()).unwrap();
            ground.holds("old", "new");
        }
        let again = in_steps(&ground.located().unwrap(), &ground.staged()).unwrap();
        assert_eq!(again, displaced("old"));
        ground.holds("new", "old");
    }

    #[test]
    fn an_exchange_that_died_before_its_last_step_has_happened() {
        let ground = Ground::new();
        fs::hard_link(ground.at("root/f"), ground.at("stage/s.out")).unwrap();
        fs::rename(ground.at("stage/s"), ground.at("root/f")).unwrap();
        for _ in 0..2 {
            finish(&ground.staged()).unwrap();
            ground.holds("new", "old");
        }
    }

    #[test]
    fn an_exchange_in_steps_that_fails_leaves_the_file_its_only_name() {
        let ground = Ground::new();
        let located = ground.located().unwrap();
        fs::remove_file(ground.at("stage/s")).unwrap();
        fs::create_dir(ground.at("stage/s")).unwrap();
        in_steps(&located, &ground.staged()).unwrap_err();
        assert_eq!(ground.read("root/f"), "old");
        ground.located().unwrap();
    }

    #[test]
    fn what_is_no_file_is_displaced_as_such_and_comes_back() {
        let ground = Ground::new();
        let located = ground.located().unwrap();
        fs::remove_file(ground.at("root/f")).unwrap();
        fs::create_dir(ground.at("root/f")).unwrap();
        let odd = Swapped::Displaced(Some(ContentHash::ODD));
        assert_eq!(exchange(&located, &ground.staged()).unwrap(), odd);
        assert_eq!(ground.read("root/f"), "new");
        let back = exchange(&located, &ground.staged()).unwrap();
        assert_eq!(back, displaced("new"));
        fs::remove_file(ground.at("stage/s")).unwrap();
        assert_eq!(take_away(&located, &ground.staged()).unwrap(), odd);
        bring(&located, &ground.staged()).unwrap();
        assert!(ground.at("root/f").is_dir());
    }
}
