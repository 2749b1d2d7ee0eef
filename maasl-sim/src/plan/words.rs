//! Plans in words.
//!
//! Owns: how actions and faults are told to people. Promises: one line each,
//! with the names of the plan. Leaves to others: whole stories.

use core::fmt;

use super::fault::Route;
use super::{Action, Fault, FaultKind, GraphChange, GraphEdit, Point, Side, Together, When};

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path } => write!(f, "read {path}"),
            Self::Write {
                path, from_memory, ..
            } => {
                let how = if *from_memory { " from memory" } else { "" };
                write!(f, "write {path}{how}")
            }
            Self::Edit { path } => write!(f, "edit {path}"),
            Self::Create { path } => write!(f, "create {path}"),
            Self::Move { path, to, blind } => {
                let how = if *blind { " unread" } else { "" };
                write!(f, "move {path} to {to}{how}")
            }
            Self::Delete { path } => write!(f, "delete {path}"),
            Self::Refactor { paths } => write!(f, "refactor {}", paths.join(", ")),
            Self::Restore { path } => write!(f, "restore {path}"),
            Self::DbWrite { db, rows } => write!(f, "add {rows} rows to {db}"),
            Self::Docgen { path } => write!(f, "document {path}"),
            Self::Transact(parts) => parts.fmt(f),
            Self::GraphPatch(edit) => edit.fmt(f),
            Self::GraphQuery => f.write_str("look at the graph"),
            Self::GraphCompact => f.write_str("make a checkpoint of the graph"),
            Self::Reserve {
                paths,
                subtree,
                shared,
                ..
            } => {
                let below = if *subtree { " and all below" } else { "" };
                let shared = if *shared { " shared" } else { "" };
                write!(f, "reserve {}{below}{shared}", paths.join(", "))
            }
            Self::Renew => f.write_str("renew the reservation"),
            Self::Release => f.write_str("release the reservation"),
            Self::Revoke { path } => write!(f, "revoke {path}"),
            Self::Recover => f.write_str("recover what the dead left"),
        }
    }
}

impl fmt::Display for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, db, .. } = self;
        write!(
            f,
            "edit {} and add {rows} rows to {db}",
            self.paths.join(", ")
        )?;
        if !self.documents.is_empty() {
            write!(f, "; document {}", self.documents.join(", "))?;
        }
        self.patch.map_or(Ok(()), |edit| write!(f, "; {edit}"))
    }
}

impl fmt::Display for GraphEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, other) = (self.node, self.other);
        let how = if self.blind { " without a look" } else { "" };
        match self.change {
            GraphChange::Add => write!(f, "add node {node}{how}"),
            GraphChange::Set => write!(f, "set a property of node {node}{how}"),
            GraphChange::Clear => write!(f, "clear a property of node {node}{how}"),
            GraphChange::Link => write!(f, "add an edge from node {node} to {other}{how}"),
            GraphChange::Unlink => write!(f, "remove the edge from node {node} to {other}{how}"),
            GraphChange::Remove => write!(f, "remove node {node}{how}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.what, self.when)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { at_ms } => write!(f, "at {at_ms} ms"),
            Self::Point(point) => point.fmt(f),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::Inside => "inside",
            Side::After => "after",
        };
        let (process, step) = (&self.process, &self.step);
        write!(f, "{side} the {} {step} of {process}", Nth(self.nth))
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill {
                process,
                restart_after_ms: None,
            } => write!(f, "kill {process} for good"),
            Self::Kill {
                process,
                restart_after_ms: Some(ms),
            } => write!(f, "kill {process}, which starts again {ms} ms later"),
            Self::PowerCut {
                restart_after_ms, ..
            } => write!(f, "cut the power for {restart_after_ms} ms"),
            Self::Pause { process, for_ms } => write!(f, "pause {process} for {for_ms} ms"),
            Self::Suspend { for_ms } => write!(f, "suspend the machine for {for_ms} ms"),
            Self::ClockStep { process, by_ms } => {
                write!(f, "step the clock of {process} by {by_ms} ms")
            }
            Self::ClockDrift { process, ppm } => {
                write!(f, "let the clock of {process} run {ppm} ppm fast")
            }
            Self::ClockFreeze { process, for_ms } => {
                write!(f, "freeze the clock of {process} for {for_ms} ms")
            }
            Self::StoreRestored {
                commits_back,
                with_floor,
            } => {
                let floor = if *with_floor { "and" } else { "without" };
                write!(f, "put the store back by {commits_back} commits, ")?;
                write!(f, "{floor} its floor")
            }
            other => tell_messages(other, f),
        }
    }
}

fn tell_messages(fault: &FaultKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match fault {
        FaultKind::Delay {
            process,
            route,
            nth,
            by_ms,
        } => {
            let nth = Nth(*nth);
            write!(f, "delay the {nth} {route} of {process} by {by_ms} ms")
        }
        FaultKind::Drop {
            process,
            route,
            nth,
        } => write!(f, "lose the {} {route} of {process}", Nth(*nth)),
        FaultKind::Duplicate {
            process,
            route,
            nth,
            after_ms,
        } => {
            let nth = Nth(*nth);
            write!(f, "repeat the {nth} {route} of {process} {after_ms} ms on")
        }
        FaultKind::Partition {
            process,
            route,
            for_ms,
        } => write!(f, "lose every {route} of {process} for {for_ms} ms"),
        FaultKind::Hold {
            process,
            route,
            for_ms,
        } => write!(f, "hold every {route} of {process} for {for_ms} ms"),
        other => tell_store_and_disk(other, f),
    }
}

fn tell_store_and_disk(fault: &FaultKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match fault {
        FaultKind::StoreClockStep { by_ms } => {
            write!(f, "step the clock of the store by {by_ms} ms")
        }
        FaultKind::WallClockStep { by_ms } => write!(f, "set the wall clock by {by_ms} ms"),
        FaultKind::StoreBusy { for_ms } => write!(f, "shut the gate of the store for {for_ms} ms"),
        FaultKind::StoreSlow { by_us, for_ms } => {
            write!(f, "slow the store by {by_us} us for {for_ms} ms")
        }
        FaultKind::StoreFull { for_ms } => write!(f, "fill the store for {for_ms} ms"),
        FaultKind::DiskFull { for_ms } => write!(f, "fill the disk for {for_ms} ms"),
        FaultKind::Forbidden { path, for_ms } => {
            write!(f, "forbid to change {path} for {for_ms} ms")
        }
        FaultKind::StoreFails {
            process,
            step,
            nth,
            executed,
        }
        | FaultKind::EffectFails {
            process,
            step,
            nth,
            executed,
        } => {
            let all_the_same = if *executed { ", though it is done" } else { "" };
            let nth = Nth(*nth);
            write!(f, "fail the {nth} {step} of {process}{all_the_same}")
        }
        FaultKind::ShortWrite {
            process,
            nth,
            bytes,
        } => {
            let nth = Nth(*nth);
            write!(f, "keep {bytes} bytes of the {nth} stage of {process}")
        }
        FaultKind::BitFlip { path, bit } => write!(f, "flip bit {bit} of {path}"),
        FaultKind::OutsideWrite { path, .. } => write!(f, "save {path} from outside"),
        FaultKind::OutsideDelete { path } => write!(f, "remove {path} from outside"),
        told_before => write!(f, "{told_before:?}"),
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Command => "command",
            Self::Outcome => "outcome",
            Self::Bell => "doorbell",
        })
    }
}

/// A number for people that counts from 1.
struct Nth(u32);

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match (self.0 % 10, self.0 % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        write!(f, "{}{end}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_with_its_names() {
        let fault = Fault {
            when: When::Point(Point {
                process: "east".into(),
                step: "swap".into(),
                nth: 12,
                side: Side::Before,
            }),
            what: FaultKind::Drop {
                process: "west".into(),
                route: Route::Bell,
                nth: 3,
            },
        };
        let told = "lose the 3rd doorbell of west, before the 12th swap of east";
        assert_eq!(fault.to_string(), told);
    }
}
