//! Everything that differs between operating systems.
//!
//! Owns: clocks, boot identity, opening beneath a directory, renaming, syncing,
//! kernel locks and who has them, names of file systems, states of processes, file
//! metadata.
//! Promises: functions that act on files take a directory descriptor and a
//! single name (or a path that is resolved beneath it), so nothing is checked
//! under one path and used under another. Leaves to others: what to do where a
//! weaker mode is all there is; that is typed, never chosen here.
//!
//! What each missing feature weakens:
//!
//! | missing | where | then |
//! |---|---|---|
//! | `openat2` | macOS, Linux before 5.6, some sandboxes | [`walk_beneath`]: as strict, one call per component |
//! | mount ids | macOS, Linux before 5.8 without `/proc` | mounts are told apart by device number; a bind mount of the same file system is not seen |
//! | `O_PATH` | macOS | directories on the way must be readable, not only searchable |
//! | exchange | some file systems | [`swap`] says `Unsupported`; [`replace`] cannot show what it displaced, so a foreign write in that instant is lost |
//! | no-replace | some file systems | [`place`] says `Unsupported`; [`place_by_link`] leaves two names if the process dies half-way |
//! | time namespaces | macOS, Linux before 5.6 | none there to tell apart |
//! | process states | macOS | a refusal cannot say that the process in the way is stopped |
//! | the table of locks | macOS, some sandboxes | a refusal names who last said that it has the lock |

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "linux")]
mod locker;
#[cfg(target_os = "linux")]
mod time_namespace;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as system;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!(
    "MAASL needs renames that exchange or refuse to replace, opening relative to directories, \
     and locks that die with their process; it knows where to find them on Linux and macOS only"
);

mod lock;
mod metadata;
mod rename;
mod walk;

pub use lock::{try_lock_exclusive, try_lock_shared, unlock};
pub use metadata::{FileMeta, Uncopied, copy_metadata};
pub use rename::{PlaceMode, SwapMode, place, place_by_link, replace, swap};
pub use system::{
    boot_identity, examine, fs_name, locker_of, mount_of, network_fs_name, now_ns, open_beneath,
    process_state, stamp_of_stat, sync_dir, sync_file,
};
pub use walk::walk_beneath;

/// What a process is doing, as far as the system tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessState {
    /// Stopped by a signal or a debugger: alive, and not moving.
    pub stopped: bool,
    /// Dead, and not yet waited for by its parent.
    pub zombie: bool,
    /// When it started, in clock ticks since boot: tells a reused number apart.
    pub start_ticks: u64,
    /// Its short name, at most 15 bytes on Linux.
    pub command: String,
}

/// A directory entry as it stands, looked at without opening what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// What the entry is; a symlink is not followed.
    pub meta: FileMeta,
    /// The mount it is on, comparable with [`mount_of`].
    pub mount: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn the_clock_does_not_run_backwards() {
        let earlier = now_ns();
        assert!(earlier > 0 && now_ns() >= earlier);
    }

    #[test]
    fn the_boot_has_one_identity() {
        let identity = boot_identity().unwrap();
        assert!(identity.len() >= 36, "{identity}");
        assert_eq!(identity, boot_identity().unwrap());
    }

    #[test]
    fn a_temporary_directory_is_local_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(dir.path()).unwrap();
        assert_eq!(network_fs_name(file.as_fd()).unwrap(), None);
        assert!(!fs_name(file.as_fd()).unwrap().is_empty());
        sync_dir(file.as_fd()).unwrap();
    }

    #[test]
    fn one_lock_excludes_another_until_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latch");
        let (one, other) = (File::create(&path).unwrap(), File::open(&path).unwrap());
        assert!(try_lock_exclusive(one.as_fd()).unwrap());
        assert!(!try_lock_exclusive(other.as_fd()).unwrap());
        assert!(!try_lock_shared(other.as_fd()).unwrap());
        unlock(one.as_fd()).unwrap();
        assert!(try_lock_shared(other.as_fd()).unwrap());
        assert!(try_lock_shared(one.as_fd()).unwrap());
        drop(one);
        assert!(try_lock_exclusive(other.as_fd()).unwrap());
    }
}
