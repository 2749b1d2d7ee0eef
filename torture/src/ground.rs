//! The directory that is attacked, and the disk under it.
//!
//! Owns: a small file system of the run's own, what stands on it at the start,
//! and what a nemesis can do to it. Promises: nothing outside `base` is touched;
//! what is done to the disk is undone by [`Ground::heal`]. Leaves to others: when
//! (`nemesis`).

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::Failure;

/// Large enough for some hours of kept contents, small enough to be filled at
/// once.
const DISK_MIB: u64 = 192;

/// As on any disk of today. On one with smaller blocks SQLite's shared memory has
/// holes, and a full disk kills whoever reaches into one (SIGBUS).
const BLOCK_BYTES: &str = "4096";

/// Leases are short, so that servers are stopped beyond them often. A section
/// that `maasl run` guards is renewed by a process that nobody stops.
const CONFIG: &str = "\
[maasl.history]
max_mib = 24
[maasl.resource.CRIT_CODE]
lease_ttl_sec = 2
[maasl.resource.CRIT_DB]
lease_ttl_sec = 2
[maasl.resource.IDEMP_DOCS]
lease_ttl_sec = 2
[maasl.resource.SECTION]
lease_ttl_sec = 60
[maasl.db.main]
path = \"main.db\"
";

/// What kind of file system the run stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// ext4 in a file.
    Ext4,
    /// Memory.
    Tmpfs,
    /// A directory of the file system that is there: it cannot be filled.
    Plain,
}

/// What became of the state when it was to be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It is as it was.
    None,
    /// It is not what it was, nor what it was to become: some of it is gone, or all
    /// of it and nothing was put in its place.
    Half,
    /// All that was to happen.
    Whole,
}

/// The directory that is attacked.
#[derive(Debug)]
pub(crate) struct Ground {
    base: PathBuf,
    disk: Disk,
}

impl Ground {
    /// A new one in `base`, which must exist and be empty. `may_mount` says
    /// whether mounts of this process are its own.
    pub(crate) fn new(base: PathBuf, may_mount: bool) -> Result<Self, Failure> {
        let mount = base.join("disk");
        make_folder(&mount)?;
        let disk = if may_mount {
            mounted(&base)
        } else {
            Disk::Plain
        };
        let ground = Self { base, disk };
        for folder in ["root/src/sub", "outside"] {
            make_folder(&mount.join(folder))?;
        }
        for folder in ["history", "logs", "sections"] {
            make_folder(&ground.base.join(folder))?;
        }
        let config = ground.root().join("maasl.toml");
        fs::write(&config, CONFIG).map_err(Failure::at(&config))?;
        Ok(ground)
    }

    /// The root that the servers guard.
    pub(crate) fn root(&self) -> PathBuf {
        self.base.join("disk/root")
    }

    /// The state of the servers.
    pub(crate) fn state(&self) -> PathBuf {
        self.root().join(".maasl")
    }

    /// A place on the same disk that the servers do not know of.
    pub(crate) fn outside(&self) -> PathBuf {
        self.base.join("disk/outside")
    }

    /// Where sections that exclude each other say that somebody is inside, on a
    /// disk that nobody attacks.
    pub(crate) fn sections(&self) -> PathBuf {
        self.base.join("sections")
    }

    /// A place for files of the run itself, on a disk that nobody attacks.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// Where histories go, on a disk that nobody attacks.
    pub(crate) fn history(&self) -> PathBuf {
        self.base.join("history")
    }

    /// Where the standard error of servers goes.
    pub(crate) fn logs(&self) -> PathBuf {
        self.base.join("logs")
    }

    /// What the run stands on.
    pub(crate) fn disk(&self) -> Disk {
        self.disk
    }

    /// Takes all the room there is; whether that could be done.
    pub(crate) fn fill(&self) -> bool {
        if self.disk == Disk::Plain {
            return false;
        }
        let Ok(mut ballast) = File::create(self.ballast()) else {
            // There was not even room for a name.
            return true;
        };
        if let Ok(space) = statvfs(self.base.join("disk")) {
            let free_bytes = space.f_bfree * space.f_frsize;
            let _ = fallocate(&ballast, FallocateFlags::empty(), 0, free_bytes.max(1));
            let _ = std::io::Seek::seek(&mut ballast, std::io::SeekFrom::End(0));
        }
        let block = vec![0_u8; 4096];
        while ballast.write_all(&block).is_ok() {}
        true
    }

    /// Forbids or allows changes of names in the folder of the files, for the
    /// superuser too; whether that could be done.
    pub(crate) fn freeze(&self, frozen: bool) -> bool {
        let sign = if frozen { "+i" } else { "-i" };
        quietly(
            Command::new("chattr")
                .arg(sign)
                .arg(self.root().join("src")),
        )
    }

    /// Undoes what was done to the disk.
    pub(crate) fn heal(&self) {
        self.read_only(false);
        // Where there is no ballast there is nothing to undo.
        let _ = fs::remove_file(self.ballast());
        self.freeze(false);
    }

    /// Makes the whole disk read-only or writable; whether that could be done. The
    /// system refuses it while any file of it is open for writing.
    pub(crate) fn read_only(&self, read_only: bool) -> bool {
        let how = if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        let mount = self.base.join("disk");
        self.disk != Disk::Plain && quietly(Command::new("mount").args(["-o", how]).arg(mount))
    }

    /// Copies the state as it is to a place outside, over an earlier copy.
    pub(crate) fn copy_state(&self) -> bool {
        let copy = self.outside().join("old-state");
        let _ = fs::remove_dir_all(&copy);
        quietly(Command::new("cp").arg("-a").arg(self.state()).arg(copy))
    }

    /// Puts the copied state in the place of the one there is.
    pub(crate) fn put_old_state_back(&self) -> Loss {
        let (copy, aside) = (
            self.outside().join("old-state"),
            self.outside().join("aside"),
        );
        let _ = fs::remove_dir_all(&aside);
        let fresh = self.outside().join("fresh-copy");
        let _ = fs::remove_dir_all(&fresh);
        let is_ready = quietly(Command::new("cp").arg("-a").arg(copy).arg(&fresh));
        if !is_ready || fs::rename(self.state(), &aside).is_err() {
            return Loss::None;
        }
        // A server may have made a new one meanwhile.
        match fs::rename(fresh, self.state()) {
            Ok(()) => Loss::Whole,
            Err(_) => Loss::Half,
        }
    }

    /// Deletes the state.
    pub(crate) fn delete_state(&self) -> Loss {
        if !self.state().exists() {
            return Loss::None;
        }
        // A server may make a name in it meanwhile.
        if (0..20).any(|_| fs::remove_dir_all(self.state()).is_ok()) {
            Loss::Whole
        } else {
            Loss::Half
        }
    }

    fn ballast(&self) -> PathBuf {
        self.outside().join("ballast")
    }

    /// Keeps what is on the disk of the run where it is seen from outside.
    pub(crate) fn copy_out(&self) {
        if self.disk != Disk::Plain {
            let copy = self.base.join("after");
            quietly(Command::new("cp").arg("-a").arg(self.root()).arg(copy));
        }
    }

    /// Takes everything down.
    pub(crate) fn remove(self) {
        self.heal();
        if self.disk != Disk::Plain {
            quietly(Command::new("umount").arg("-l").arg(self.base.join("disk")));
        }
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// Mounts the best small disk that can be had.
fn mounted(base: &Path) -> Disk {
    let (mount, image) = (base.join("disk"), base.join("disk.img"));
    let sized = File::create(&image).and_then(|file| file.set_len(DISK_MIB << 20));
    let made = sized.is_ok()
        && quietly(
            Command::new("mkfs.ext4")
                .args(["-q", "-F", "-b", BLOCK_BYTES])
                .arg(&image),
        )
        && quietly(
            Command::new("mount")
                .args(["-o", "loop"])
                .args([&image, &mount]),
        );
    if made {
        return Disk::Ext4;
    }
    let size = format!("size={DISK_MIB}m");
    let mut tmpfs = Command::new("mount");
    tmpfs
        .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
        .arg(&mount);
    if quietly(&mut tmpfs) {
        Disk::Tmpfs
    } else {
        Disk::Plain
    }
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(Failure::at(path))
}

/// Runs a command that may be missing or refused; whether it succeeded.
fn quietly(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
