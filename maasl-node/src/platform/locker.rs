//! Who has a file locked, by the system's own table.
//!
//! Owns: reading `/proc/locks`. Promises: what is told is a help, never a decision.
//! Leaves to others: the locks (`lock`), and what the process is doing.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::BorrowedFd;

use rustix::fs::{major, minor};

use super::FileMeta;

/// How often the table is read for a lock that it does not show. It comes in
/// pages, each a state of its own: a lock moves past the edge of a page when
/// others before it go in between.
const LOOKS: usize = 5;

/// The process that has a `flock` on this file, as far as the system tells.
#[must_use]
pub fn locker_of(file: BorrowedFd<'_>) -> Option<u32> {
    let meta = FileMeta::of(file).ok()?;
    let device = format!("{:02x}:{:02x}", major(meta.dev), minor(meta.dev));
    find(|| fs::read_to_string("/proc/locks").ok(), &device, meta.ino)
}

/// The process that has a `flock` on the file with this number on this device, by a
/// table that may miss it while it changes. Some file systems (btrfs, overlays) say
/// of their files that they are on another device than the table does: there the
/// number alone has to do, if only one process has a lock on a file of that number.
fn find(mut table: impl FnMut() -> Option<String>, device: &str, inode: u64) -> Option<u32> {
    let mut elsewhere = BTreeSet::new();
    for _ in 0..LOOKS {
        let locks = table()?;
        let here = lockers(&locks, inode).find(|(on, _)| *on == device);
        if let Some((_, pid)) = here {
            return Some(pid);
        }
        elsewhere.extend(lockers(&locks, inode).map(|(_, pid)| pid));
    }
    // One of several would be a guess, and who is named may be advised to be killed.
    elsewhere.pop_first().filter(|_| elsewhere.is_empty())
}

/// Where files with this number are, and which processes have a `flock` on them, in
/// the text of `/proc/locks`: `1: FLOCK  ADVISORY  WRITE 701 fe:00:1234 0 EOF`,
/// where a waiter has `->` before `FLOCK`.
fn lockers(locks: &str, inode: u64) -> impl Iterator<Item = (&str, u32)> {
    locks.lines().filter_map(move |line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = words[..] else {
            return None;
        };
        let (device, number) = file.rsplit_once(':')?;
        let is_it = number.parse() == Ok(inode);
        is_it.then_some((device, pid.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd as _;

    fn locker(locks: &str, inode: u64) -> Option<u32> {
        find(|| Some(locks.to_owned()), "fe:00", inode)
    }

    #[test]
    fn the_holder_is_told_from_those_who_wait() {
        let locks = "1: POSIX  ADVISORY  WRITE 5 fe:00:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 701 fe:00:42 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 702 fe:00:42 0 EOF\n";
        assert_eq!(locker(locks, 42), Some(701));
        assert_eq!(locker(locks, 43), None);
    }

    #[test]
    fn files_of_one_number_on_two_devices_are_told_apart() {
        let locks = "1: FLOCK  ADVISORY  WRITE 5 00:2a:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 701 fe:00:42 0 EOF\n";
        assert_eq!(locker(locks, 42), Some(701));
        assert_eq!(find(|| Some(locks.into()), "00:17", 42), None, "a guess");
        let one = locks.lines().next().unwrap();
        assert_eq!(find(|| Some(one.into()), "00:17", 42), Some(5));
    }

    #[test]
    fn a_lock_that_one_reading_missed_is_found_by_the_next() {
        let mut readings = 0;
        let table = || {
            readings += 1;
            let elsewhere = "1: FLOCK  ADVISORY  WRITE 5 00:2a:42 0 EOF\n";
            let shown = "2: FLOCK  ADVISORY  WRITE 701 fe:00:42 0 EOF\n";
            Some(if readings == 1 { elsewhere } else { shown }.to_owned())
        };
        assert_eq!(find(table, "fe:00", 42), Some(701));
        assert_eq!(find(|| Some(String::new()), "fe:00", 42), None);
        assert_eq!(find(|| None, "fe:00", 42), None);
    }

    #[test]
    fn the_own_lock_is_found_in_the_table_of_this_system() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("file")).unwrap();
        file.lock().unwrap();
        let other = File::open(dir.path().join("file")).unwrap();
        assert_eq!(locker_of(other.as_fd()), Some(std::process::id()));
    }
}
