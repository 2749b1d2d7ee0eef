//! Power cuts inside recovery from a power cut.
//!
//! Owns: which first cuts are followed, and judging what a second one leaves.
//! Promises: recovery itself is recorded like any program, from its start on.
//! Leaves to others: everything else (`campaign`, `cuts`, `judge`).
//!
//! The first cut comes inside the commit of a set: right after the intent is on the
//! disk, and after each swap, with everything that was done until then. So the set
//! must be there in the end, whatever the second cut takes. Of the second cut, all
//! beginnings of the sequence are tried, and all of it less each single one. With
//! the usual bound, the first cuts are the one after the intent and one half-way.

use super::campaign::{Recorded, judge_all, record, record_program, scratch};
use super::cuts::{self, State};
use super::disk::{Disk, Extent, Inode, Op, OpNo, Survivors};

const SCRIPT: &str = "set";

/// Judges at least so many states after a second cut.
pub(crate) fn recovery_survives(states_min: usize) {
    let first = record(SCRIPT);
    let mut inside = swaps(&first.disk);
    if cuts::bound() <= cuts::BOUND_USUAL {
        inside = vec![inside[0], inside[inside.len() / 2]];
    }
    let mut judged = 0;
    for cut in inside {
        let second = recover(&first, cut);
        let mut found = cuts::enumerate(&second.disk, 0);
        for State { progress, .. } in &mut found.states {
            // What the intent says is going to be there.
            (progress.asked, progress.answered) = (1, 1);
        }
        let verdict = judge_all(&second, &found);
        let wrong = verdict.wrong.first();
        assert!(wrong.is_none(), "after a first cut before {cut}: {wrong:?}");
        judged += found.states.len();
    }
    tell(judged);
    assert!(judged >= states_min, "only {judged} states");
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are what this test is asked for"
)]
fn tell(judged: usize) {
    println!("recovery of {SCRIPT}: {judged} states after a second cut");
}

/// Right after the sync before the first swap of a file, and after each swap.
fn swaps(disk: &Disk) -> Vec<OpNo> {
    let paths = disk.first_paths();
    let is_staged = |folder: &Inode| paths[folder].starts_with(".maasl/stage/");
    let is_swap = |op: &Op| match op {
        Op::Rename { from, to, .. } => {
            is_staged(&from.0) != is_staged(&to.0) && !is_kept(&paths[&to.0])
        }
        _ => false,
    };
    let swaps = disk.ops.iter().enumerate().filter(|(_, op)| is_swap(op));
    let mut cuts: Vec<OpNo> = swaps.map(|(no, _)| no + 1).collect();
    cuts.insert(0, cuts[0] - 1);
    cuts
}

fn is_kept(folder: &str) -> bool {
    folder.starts_with(".maasl/objects")
}

/// Records recovery after a cut that took nothing of what had been done.
fn recover(first: &Recorded, cut: OpNo) -> Recorded {
    let survivors = Survivors {
        ops: (0..cut)
            .filter(|no| first.disk.ops[*no].is_change())
            .collect(),
        of_last: Extent::Whole,
    };
    let (dir, root) = scratch();
    cuts::build(&first.disk, &first.disk.tree(&survivors), &root);
    let disk = record_program("recover", &root, SCRIPT);
    drop(dir);
    Recorded {
        script: super::script::named(SCRIPT),
        told: first.told.clone(),
        disk,
    }
}
