//! Tests of the search against brute force.

use super::*;
use crate::linear::register::{File, FileOp};
use crate::linear::tests_brute::{Draw, brute};

fn timed(from_ns: u64, to_ns: Option<u64>, op: FileOp) -> Timed<FileOp> {
    Timed { from_ns, to_ns, op }
}

#[test]
fn the_search_agrees_with_brute_force() {
    let mut draw = Draw::new(7);
    let (mut held, mut broken) = (0, 0);
    for _ in 0..20_000 {
        let length = 1 + draw.below(6);
        let history: Vec<_> = (0..length)
            .map(|_| {
                let from_ns = draw.below(8);
                let to_ns = (draw.below(5) > 0).then(|| from_ns + draw.below(5));
                let op = match draw.below(8) {
                    0 => FileOp::Put { new: draw.below(3) },
                    1 => FileOp::Blur,
                    _ => FileOp::Change {
                        base: draw.below(3),
                        new: draw.below(3),
                    },
                };
                timed(from_ns, to_ns, op)
            })
            .collect();
        let found = search(&File, &history, u64::MAX);
        let expected = brute(&File, &history);
        assert_eq!(found == Verdict::Linearizable, expected, "{history:?}");
        held += u32::from(expected);
        broken += u32::from(!expected);
    }
    assert!(
        held > 1_000 && broken > 1_000,
        "{held} held, {broken} did not"
    );
}

#[test]
fn two_changes_of_the_same_content_lose_one() {
    let first = FileOp::Change { base: 0, new: 1 };
    let second = FileOp::Change { base: 0, new: 2 };
    let history = [timed(0, Some(5), first), timed(1, Some(9), second)];
    assert!(matches!(
        search(&File, &history, 1_000),
        Verdict::Broken { .. }
    ));
    let history = [timed(0, Some(5), first), timed(1, None, second)];
    assert_eq!(search(&File, &history, 1_000), Verdict::Linearizable);
}

#[test]
fn a_budget_that_runs_out_decides_nothing() {
    let history: Vec<_> = (0..20)
        .map(|n| {
            timed(
                0,
                Some(9),
                FileOp::Change {
                    base: n,
                    new: n + 2,
                },
            )
        })
        .collect();
    assert_eq!(search(&File, &history, 10), Verdict::Undecided);
}

#[test]
fn nothing_is_linearizable() {
    assert_eq!(search(&File, &[], 0), Verdict::Linearizable);
}
