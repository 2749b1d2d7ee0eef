//! Traces of the simulator.
//!
//! Owns: trace files as arbitrary bytes, and traces whose records are changed.
//! Promises: what is read is written as it was and read again; what was altered is
//! refused. Leaves to others: what a record means.

use std::sync::OnceLock;

use maasl_sim::plan::Plan;
use maasl_sim::record::Kind;
use maasl_sim::trace::{Entry, Trace, TraceError};
use maasl_sim::world::World;

const PLAN: &str = include_str!("../../../maasl-sim/tests/plans/a-lost-answer.toml");
/// Records that an input may add.
const ADDED_MAX: usize = 64;

/// Tries bytes as a trace; if they are none, as changes of one. The digests of a
/// trace would otherwise keep most bytes out.
pub fn run(bytes: &[u8]) {
    match Trace::from_bytes(bytes) {
        Ok(trace) => drop(kept(&trace)),
        Err(TraceError::WrongMagic) => changed(bytes),
        Err(error) => assert!(error.to_string().len() <= 1024 + 8 * bytes.len()),
    }
}

fn kept(trace: &Trace) -> Vec<u8> {
    let bytes = trace.to_bytes().expect("what was read can be written");
    let again = Trace::from_bytes(&bytes);
    assert_eq!(again.as_ref(), Ok(trace));
    assert_eq!(trace.entries().count(), trace.len());
    bytes
}

/// Adds a record for every ten bytes, then alters one byte of the file.
fn changed(bytes: &[u8]) {
    let mut trace = sample().shortened(8);
    let (records, rest) = bytes.as_chunks::<10>();
    for record in records.iter().take(ADDED_MAX) {
        trace.append(&entry(record));
    }
    let mut file = kept(&trace);
    let Some((at, flip)) = rest.split_first() else {
        return;
    };
    let at = usize::from(*at) * file.len() / 256;
    let flip = flip.first().copied().unwrap_or(1).max(1);
    file[at] ^= flip;
    assert!(
        Trace::from_bytes(&file).is_err(),
        "byte {at} of {}",
        file.len()
    );
    assert!(Trace::from_bytes(&file[..at]).is_err(), "cut off at {at}");
}

fn entry(bytes: &[u8; 10]) -> Entry<'static> {
    let [kind, who, label, call, at @ .., detail] = *bytes;
    let at_ns = at
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    Entry {
        at_ns: at_ns << (label % 24),
        kind: Kind::ALL[usize::from(kind) % Kind::ALL.len()],
        who: u16::from(who) << (label % 9),
        label: ["", "write", "\u{e9}\0"][usize::from(label) % 3],
        call: u64::from(call) << (label % 57),
        detail: u64::from(detail) << (label % 57),
    }
}

fn sample() -> &'static Trace {
    static SAMPLE: OnceLock<Trace> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let plan: Plan = toml::from_str(PLAN).expect("a plan");
        let finished = World::new(&plan, true).run();
        Trace::of(&plan, &finished).expect("a plan that can be written")
    })
}
