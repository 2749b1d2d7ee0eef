//! Tests of the fast path and the search against brute force.

use super::*;
use crate::linear::tests_brute::{Draw, brute};

fn timed(from_ns: u64, to_ns: Option<u64>, op: LeaseOp) -> Timed<LeaseOp> {
    Timed { from_ns, to_ns, op }
}

fn grant(token: u64) -> LeaseOp {
    LeaseOp::Grant {
        token,
        shared: false,
    }
}

fn drawn(draw: &mut Draw, shared: bool) -> Vec<Timed<LeaseOp>> {
    let length = 1 + draw.below(7);
    let ops = (0..length).map(|_| {
        let from_ns = draw.below(10);
        let to_ns = (draw.below(5) > 0).then(|| from_ns + draw.below(6));
        let token = 1 + draw.below(3);
        let op = match draw.below(5) {
            0 | 1 => LeaseOp::Grant {
                token,
                shared: shared && draw.below(2) == 0,
            },
            2 => LeaseOp::Write { token },
            _ => LeaseOp::End { token },
        };
        timed(from_ns, to_ns, op)
    });
    ops.collect()
}

/// Histories of three tenures that are nearly right, so that both answers come.
fn nearly_right(draw: &mut Draw) -> Vec<Timed<LeaseOp>> {
    let mut history = Vec::new();
    let mut at_ns = 0;
    for token in 1..=1 + draw.below(3) {
        for op in [
            grant(token),
            LeaseOp::Write { token },
            LeaseOp::End { token },
        ] {
            let from_ns = at_ns + draw.below(3);
            let to_ns = (draw.below(8) > 0).then(|| from_ns + draw.below(4));
            if draw.below(8) > 0 {
                history.push(timed(from_ns, to_ns, op));
            }
            at_ns += 1 + draw.below(2);
        }
    }
    history.truncate(7);
    history
}

fn agree(history: &[Timed<LeaseOp>]) -> (bool, bool) {
    let expected = brute(&Resource, history);
    let searched = search(&Resource, history, u64::MAX);
    assert_eq!(searched == Verdict::Linearizable, expected, "{history:?}");
    let fast = by_tokens(history);
    if let Some(verdict) = fast {
        assert_eq!(verdict == Verdict::Linearizable, expected, "{history:?}");
    }
    (expected, fast.is_some())
}

#[test]
fn fast_path_and_search_agree_with_brute_force() {
    let mut draw = Draw::new(11);
    let (mut held, mut broken, mut fast) = (0, 0, 0);
    for round in 0..30_000 {
        let history = match round % 3 {
            0 => drawn(&mut draw, true),
            1 => drawn(&mut draw, false),
            _ => nearly_right(&mut draw),
        };
        let (expected, by_tokens) = agree(&history);
        held += u32::from(expected);
        broken += u32::from(!expected);
        fast += u32::from(by_tokens);
    }
    assert!(held > 2_000 && broken > 2_000 && fast > 10_000);
}

/// Every history of up to four operations on two tokens with these intervals.
#[test]
fn all_small_histories_agree() {
    let ops = [
        grant(1),
        grant(2),
        LeaseOp::Write { token: 1 },
        LeaseOp::End { token: 1 },
    ];
    let intervals = [(0, Some(1)), (1, Some(3)), (2, Some(2)), (2, None)];
    let choices: Vec<Timed<LeaseOp>> = ops
        .iter()
        .flat_map(|op| intervals.map(|(from_ns, to_ns)| timed(from_ns, to_ns, *op)))
        .collect();
    let mut counted = 0;
    for length in 1..=4_u32 {
        for number in 0..choices.len().pow(length) {
            let mut rest = number;
            let history: Vec<_> = (0..length)
                .map(|_| {
                    let one = choices[rest % choices.len()].clone();
                    rest /= choices.len();
                    one
                })
                .collect();
            agree(&history);
            counted += 1;
        }
    }
    assert_eq!(counted, 16 + 256 + 4_096 + 65_536);
}

#[test]
fn a_write_after_the_next_grant_is_stale() {
    let history = |write: Option<u64>| {
        [
            timed(0, Some(1), grant(1)),
            timed(2, Some(4), LeaseOp::End { token: 1 }),
            timed(2, Some(4), grant(2)),
            timed(5, write, LeaseOp::Write { token: 1 }),
        ]
    };
    assert!(matches!(
        judge(&history(Some(6)), 1_000),
        Verdict::Broken { .. }
    ));
    assert_eq!(judge(&history(None), 1_000), Verdict::Linearizable);
}
