//! Which faults this machine allows.
//!
//! Owns: trying, before a run, what needs rights or programs that may be missing.
//! Promises: a fault that cannot be made, or was switched off, is named with the
//! reason, and nothing is drawn for it that would not happen. Leaves to others:
//! making them (`nemesis`, `syscalls`, `clocks`, `ground`).

use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::ground::Disk;
use crate::syscalls::Spoiled;

/// A fault that not every machine allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// The disk is full for a while
    FullDisk,
    /// Writes and syncs of a server fail with an error of the disk
    IoErrors,
    /// A server finds its disk read-only, as after an error that the file system met
    ReadOnlyCalls,
    /// The whole disk is remounted read-only
    ReadOnlyDisk,
    /// Servers and commands have clocks of their own
    Clocks,
}

/// What can be done in this run.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    missing: Vec<(Fault, String)>,
}

impl Means {
    /// Tries all that is not switched off.
    pub(crate) fn of(disk: Disk, without: &[Fault]) -> Self {
        let missing = Fault::value_variants().iter().filter_map(|fault| {
            let why = if without.contains(fault) {
                Some("switched off".to_owned())
            } else {
                why_not(*fault, disk)
            };
            Some((*fault, why?))
        });
        Self {
            missing: missing.collect(),
        }
    }

    /// Whether this fault is among what comes.
    pub(crate) fn allow(&self, fault: Fault) -> bool {
        !self.missing.iter().any(|(missing, _)| *missing == fault)
    }

    /// What does not come, each with the reason.
    pub(crate) fn missing(&self) -> Vec<String> {
        let each = self.missing.iter();
        each.map(|(fault, why)| format!("{}: {why}", name(*fault)))
            .collect()
    }
}

/// The word for it on the command line.
pub(crate) fn name(fault: Fault) -> String {
    let value = fault.to_possible_value();
    value
        .map(|value| value.get_name().to_owned())
        .expect("no fault is hidden")
}

fn why_not(fault: Fault, disk: Disk) -> Option<String> {
    match fault {
        Fault::FullDisk | Fault::ReadOnlyDisk => {
            (disk == Disk::Plain).then(|| "no file system may be mounted here".to_owned())
        }
        Fault::IoErrors | Fault::ReadOnlyCalls => Spoiled::why_not(),
        Fault::Clocks => why_no_clocks(),
    }
}

/// Whether a program can be started in a time namespace, and is in it: older
/// kernels put only its children there.
fn why_no_clocks() -> Option<String> {
    let own = std::fs::metadata("/proc/self/ns/time");
    let Ok(own) = own.map(|own| own.ino()) else {
        return Some("the kernel has no time namespaces".to_owned());
    };
    let tried = Command::new("unshare")
        .args(["--time", "--boottime", "1", "--monotonic", "1"])
        .args(["stat", "-L", "-c", "%i", "/proc/self/ns/time"])
        .stderr(Stdio::null())
        .output();
    let inside = tried.ok().filter(|tried| tried.status.success());
    let inside = inside.and_then(|tried| String::from_utf8(tried.stdout).ok());
    match inside.and_then(|inside| inside.trim().parse::<u64>().ok()) {
        None => Some("no time namespace can be made here".to_owned()),
        Some(inside) if inside == own => {
            Some("the kernel gives only children of a program another clock".to_owned())
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_off_does_not_come_and_is_named() {
        let means = Means::of(Disk::Plain, &[Fault::Clocks]);
        assert!(!means.allow(Fault::Clocks) && !means.allow(Fault::ReadOnlyDisk));
        let missing = means.missing();
        assert!(missing.contains(&"clocks: switched off".to_owned()));
        let plain = "full-disk: no file system may be mounted here".to_owned();
        assert!(missing.contains(&plain));
    }
}
