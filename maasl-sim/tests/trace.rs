//! A trace is read as it was written, or refused.

use std::sync::OnceLock;

use maasl_sim::plan::Plan;
use maasl_sim::record::varint;
use maasl_sim::trace::{Part, Trace, TraceError};
use maasl_sim::world::World;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

/// The trace of the plan, run once for all tests.
fn traced() -> Trace {
    static TRACED: OnceLock<Trace> = OnceLock::new();
    TRACED.get_or_init(run).clone()
}

fn run() -> Trace {
    let plan: Plan = toml::from_str(include_str!("plans/contended.toml")).expect("a plan");
    let finished = World::new(&plan, true).run();
    Trace::of(&plan, &finished).expect("a plan that can be written")
}

/// Many times the records, so that there are several blocks.
fn long() -> Trace {
    let mut trace = traced();
    let once = trace.clone();
    while trace.len() < 1_500 {
        for entry in once.entries() {
            trace.append(&entry);
        }
    }
    trace
}

#[test]
fn what_was_written_is_read() {
    for trace in [traced(), long()] {
        assert!(trace.len() > 50);
        assert_eq!(Trace::from_bytes(&trace.to_bytes().unwrap()), Ok(trace));
    }
}

#[test]
fn the_plan_can_be_cut_out_as_text() {
    let trace = traced();
    let bytes = trace.to_bytes().unwrap();
    let text = trace.plan_text.as_bytes();
    assert!(bytes.windows(text.len()).any(|window| window == text));
    assert_eq!(
        toml::from_str::<Plan>(&trace.plan_text).unwrap(),
        trace.plan
    );
}

#[test]
fn a_trace_that_was_cut_off_says_where_it_ends() {
    let bytes = long().to_bytes().unwrap();
    let mut parts = std::collections::BTreeSet::new();
    // Every place near the end, where a part may be a byte long.
    let ends = (0..bytes.len()).filter(|end| end % 13 == 0 || end + 400 > bytes.len());
    for end in ends {
        match Trace::from_bytes(&bytes[..end]) {
            Err(TraceError::Truncated(part)) => parts.insert(part.to_string()),
            other => panic!("cut off after {end} bytes it was read as {other:?}"),
        };
    }
    let parts: Vec<String> = parts.into_iter().collect();
    assert_eq!(
        parts,
        [
            "block 1",
            "block 2",
            "block 3",
            "block 4",
            "the head",
            "the verdict"
        ]
    );
}

#[test]
fn an_altered_record_is_found_in_its_block() {
    let trace = long();
    let mut bytes = trace.to_bytes().unwrap();
    let head = trace.head_bytes();
    bytes[head + 10] ^= 1;
    let error = Trace::from_bytes(&bytes).unwrap_err();
    assert_eq!(error, TraceError::DigestMismatch(Part::Block(1)));
}

#[test]
fn another_form_and_another_file_are_told_apart() {
    let mut bytes = traced().to_bytes().unwrap();
    bytes[16] += 1;
    assert_eq!(Trace::from_bytes(&bytes), Err(TraceError::OtherVersion(2)));
    bytes[0] = b'M';
    assert_eq!(Trace::from_bytes(&bytes), Err(TraceError::WrongMagic));
    let followed = [traced().to_bytes().unwrap(), vec![0]].concat();
    let error = Trace::from_bytes(&followed).unwrap_err();
    assert!(
        matches!(error, TraceError::Malformed(Part::End, _)),
        "{error}"
    );
}

/// A head with a right digest and an empty plan, and whatever follows sealed
/// again as a writer would seal it.
fn sealed(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut digest = [0_u8; 32];
    for part in parts {
        let mut hash = Sha256::new();
        hash.update(digest);
        hash.update(part);
        digest = hash.finalize().into();
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(&digest);
    }
    bytes
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let magic = b"maasl-sim trace\n\x01".to_vec();
        prop_assert!(Trace::from_bytes(&bytes).is_err());
        prop_assert!(Trace::from_bytes(&[magic, bytes].concat()).is_err());
    }

    #[test]
    fn arbitrary_blocks_with_right_digests_never_panic(
        body in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..60),
        count in any::<u8>(),
    ) {
        let trace = traced();
        let bytes = trace.to_bytes().unwrap();
        let head = bytes[..trace.head_bytes() - 32].to_vec();
        let length = u8::try_from(body.len()).unwrap();
        let block = [vec![count & 0x7f, length], body].concat();
        let verdict = toml::to_string(&trace.verdict).unwrap().into_bytes();
        let mut end = vec![0];
        varint(&mut end, verdict.len() as u64);
        end.extend(verdict);
        let forged = sealed(&[head, block, end]);
        // It is refused, or it is a trace that can be written again.
        if let Ok(trace) = Trace::from_bytes(&forged) {
            prop_assert!(trace.to_bytes().is_ok());
        }
    }

    #[test]
    fn one_changed_bit_is_always_noticed(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = long().to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(Trace::from_bytes(&bytes).is_err());
    }
}
