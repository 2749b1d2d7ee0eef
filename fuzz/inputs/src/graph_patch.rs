//! Patches of graphs.
//!
//! Owns: changes, patches, checkpoints and what was seen as arbitrary bytes.
//! Promises: the bytes of a patch are canonical; two orders of merging make one
//! graph; a checkpoint stands for its patches. Leaves to others: journals.

use maasl_core::graph::changes::Changes;
use maasl_core::graph::checkpoint::Checkpoint;
use maasl_core::graph::patch::{Header, Patch};
use maasl_core::graph::seen::{Dot, Seen};
use maasl_core::graph::state::Graph;
use maasl_core::id::ActorId;

/// Patches that one input may make.
const PATCHES_MAX: usize = 6;

/// Tries bytes as a list of changes, and as the bytes and texts of all that is kept.
pub fn run(bytes: &[u8]) {
    if let Ok(patch) = Patch::from_bytes(bytes) {
        assert_eq!(patch.to_bytes(), bytes, "two spellings of a patch");
        merged(&[patch]);
    }
    if let Ok(checkpoint) = Checkpoint::from_bytes(bytes) {
        absorbed(&checkpoint);
    }
    if let Some(seen) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse::<Seen>().ok())
    {
        assert_eq!(seen.to_string().parse::<Seen>().as_ref(), Ok(&seen));
    }
    if let Ok(list) = serde_json::from_slice::<Vec<Changes>>(bytes) {
        merged(&patches(&list));
    }
}

/// Patches of two authors; every third one knows all before it, the others what
/// its author knew.
fn patches(list: &[Changes]) -> Vec<Patch> {
    let mut all: Vec<Patch> = Vec::new();
    let mut known = [Seen::nothing(), Seen::nothing()];
    let mut made = [0, 0];
    for (index, changes) in list.iter().take(PATCHES_MAX).enumerate() {
        let author = index % 2;
        if index % 3 == 2 {
            for patch in &all {
                known[author].insert(&patch.header().dot, patch.header().stamp);
            }
        }
        made[author] += 1;
        let dot = Dot {
            actor: ActorId::new(["a", "b"][author]),
            counter: made[author],
        };
        let header = Header::new(dot, known[author].clone(), 1_000).expect("stamps are left");
        match Patch::seal(header, changes) {
            Ok(patch) => {
                let bytes = patch.to_bytes();
                assert_eq!(Patch::from_bytes(&bytes).as_ref(), Ok(&patch));
                known[author].insert(&patch.header().dot, patch.header().stamp);
                all.push(patch);
            }
            Err(invalid) => {
                assert!(!invalid.to_string().is_empty());
                made[author] -= 1;
            }
        }
    }
    all
}

fn built<'p>(patches: impl Iterator<Item = &'p Patch>) -> Graph {
    let mut graph = Graph::new();
    for patch in patches {
        graph.merge(std::slice::from_ref(patch));
    }
    graph
}

fn merged(patches: &[Patch]) {
    let mut forth = built(patches.iter());
    let back = built(patches.iter().rev());
    let mut at_once = Graph::new();
    at_once.merge(patches);
    assert_eq!(forth.digest(), back.digest(), "the order matters");
    assert_eq!(forth.digest(), at_once.digest(), "batching matters");
    forth.merge(patches);
    assert_eq!(forth.digest(), back.digest(), "repetition matters");
    let bytes = forth.checkpoint().to_bytes();
    let checkpoint = Checkpoint::from_bytes(&bytes).expect("it was made just now");
    assert_eq!(checkpoint.to_bytes(), bytes);
    let mut from = Graph::new();
    from.absorb(&checkpoint);
    assert_eq!(
        from.digest(),
        back.digest(),
        "a checkpoint says something else"
    );
}

/// A checkpoint by whoever wrote one: it need not be one that patches make.
fn absorbed(checkpoint: &Checkpoint) {
    let bytes = checkpoint.to_bytes();
    let again = Checkpoint::from_bytes(&bytes).expect("what was written is read");
    assert_eq!(again.to_bytes(), bytes);
    let mut graph = Graph::new();
    graph.absorb(checkpoint);
    let digest = graph.digest();
    graph.absorb(checkpoint);
    assert_eq!(graph.digest(), digest, "repetition matters");
}
