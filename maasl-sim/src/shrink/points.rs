//! Faults that strike at a step instead of an instant.
//!
//! Owns: finding the step that an instant falls beside. Promises: a fault at a
//! step stays where it is when times around it change. Leaves to others: whether
//! the failure stays (`search`).

use super::search::Search;
use crate::plan::{Plan, Point, Side, When};
use crate::record::{Kind, Record};
use crate::world::World;

pub(super) fn cut(search: &mut Search<'_>) -> bool {
    let mut any = false;
    for fault in 0..search.plan.faults.len() {
        if matches!(search.plan.faults[fault].when, When::Point(_)) {
            continue;
        }
        for point in beside(&search.plan, fault) {
            let mut candidate = search.plan.clone();
            candidate.faults[fault].when = When::Point(point);
            if search.accept(candidate) {
                any = true;
                break;
            }
        }
    }
    any
}

/// The steps beside the instant at which a fault strikes: the next and the last
/// of the process it strikes, or of any.
fn beside(plan: &Plan, fault: usize) -> Vec<Point> {
    let kept = World::new(plan, true).run().kept;
    let struck =
        |record: &Record| record.kind == Kind::Fault && usize::try_from(record.detail) == Ok(fault);
    let Some(at) = kept.iter().position(struck) else {
        return Vec::new();
    };
    let process = plan.faults[fault].what.process();
    let process = process.and_then(|name| plan.processes.iter().position(|one| one.name == name));
    let is_step = |index: &usize| {
        let record = &kept[*index];
        matches!(record.kind, Kind::Command | Kind::Effect)
            && process.is_none_or(|process| process == usize::from(record.who))
    };
    let next = (at..kept.len()).find(is_step);
    let last = (0..at).rev().find(is_step);
    let point = |index: usize, side| {
        let step = kept[index];
        let same = kept[..=index].iter().filter(|record| {
            record.kind == step.kind && record.who == step.who && record.label == step.label
        });
        Point {
            process: plan.processes[usize::from(step.who)].name.clone(),
            step: step.label.to_owned(),
            nth: u32::try_from(same.count()).unwrap_or(u32::MAX),
            side,
        }
    };
    let before = next.map(|index| point(index, Side::Before));
    let after = last.map(|index| point(index, Side::After));
    let inside = next.map(|index| point(index, Side::Inside));
    [before, after, inside].into_iter().flatten().collect()
}
