//! Checkpoints of graphs.
//!
//! Owns: when patches give way to a checkpoint. Promises: it is made under the lease
//! on the graph, which the store looks at once more when it takes it; graph, log and
//! digest are the same afterwards for whoever reads it; nobody waits for it; a graph
//! of which none can be made is named, and keeps no other from getting one. Leaves
//! to others: what a checkpoint holds (`graph::compact`).

use super::super::acquire;
use super::super::call::{Cx, mixed_up};
use super::super::io::{Call, Reply};
use super::super::right;
use super::{GraphsCompacted, catch_up, check_name, graph_key};
use crate::graph::journal::{Bytes, Cursor, Journal};
use crate::lease::command::KeepCheckpoint;
use crate::lease::{Command, Outcome};
use crate::policy::MERGE_META;
use crate::refusal::Refusal;
use crate::resource::Want;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// So many patches after a checkpoint are worth another one.
const ENTRIES_GROWN: u64 = 1_000;
/// So many bytes of patches are, if they are as many as the checkpoint has: a graph
/// is then written at most twice.
const BYTES_GROWN: u64 = 1024 * 1024;

/// Puts checkpoints in the place of patches: of one graph, or of all that have
/// grown and that nobody holds.
pub(crate) async fn compact(cx: &Cx, call: &Call, graph: Option<String>) -> Result<Reply, Refusal> {
    let mut compacted = GraphsCompacted::default();
    if let Some(graph) = graph {
        check_name(&graph)?;
        compacted.kept = keep(cx, call, &graph).await?.into();
        return Ok(Reply::Compacted(compacted));
    }
    let journals = match cx.store(Command::ListGraphs).await? {
        Outcome::Graphs(journals) => journals,
        other => return mixed_up(&other),
    };
    let hasty = Call {
        max_wait_ms: Some(0),
        ..call.clone()
    };
    let grown = journals.iter().filter(|journal| has_grown(journal));
    for (journal, n) in grown.zip(1..) {
        // A lease of its own for each: one that was lost is not asked for again.
        let mut cx = cx.clone();
        cx.seed.entropy = cx.seed.entropy.again(n);
        match keep(&cx, &hasty, &journal.graph).await {
            Ok(is_new) => compacted.kept += u64::from(is_new),
            Err(Refusal::ResourceBusy(_)) => {}
            Err(Refusal::Cancelled) => return Err(Refusal::Cancelled),
            Err(refusal) => compacted.failed.push((journal.graph.clone(), refusal)),
        }
    }
    Ok(Reply::Compacted(compacted))
}

fn has_grown(journal: &Journal) -> bool {
    let bytes = journal.bytes;
    journal.entries() >= ENTRIES_GROWN || bytes >= BYTES_GROWN && bytes >= journal.checkpoint_bytes
}

/// Makes a checkpoint of a graph and puts it in place.
async fn keep(cx: &Cx, call: &Call, graph: &str) -> Result<bool, Refusal> {
    let key = graph_key(cx, graph);
    let needs = right::Needs {
        wants: [Want::exclusive(key.clone(), MERGE_META)].into(),
        class: MERGE_META,
        purpose: "graph_checkpoint",
    };
    let right = right::for_call(cx, call, needs).await?;
    let result = match checkpoint(cx, graph).await {
        Ok((through, checkpoint)) if through != Cursor::default() => {
            let keep = KeepCheckpoint {
                graph: graph.into(),
                through,
                checkpoint,
                lease: right.lease.id.clone(),
                key: key.clone(),
                counts: Vec::new(),
            };
            cx.store(Command::KeepCheckpoint(keep)).await.map(Some)
        }
        Ok(_) => Ok(None),
        Err(refusal) => Err(refusal),
    };
    if right.own {
        acquire::give_back(cx, &right.lease.id, Vec::new()).await;
    }
    match result? {
        None => Ok(false),
        Some(Outcome::Done { .. }) => Ok(true),
        Some(Outcome::NotCovered { key }) => Err(right::not_covered(&key)),
        Some(Outcome::Lost { ended, expired }) => {
            let names = [key.to_string()];
            Err(acquire::lost(&names, ended, expired.as_ref()))
        }
        Some(other) => mixed_up(&other),
    }
}

async fn checkpoint(cx: &Cx, graph: &str) -> Result<(Cursor, Bytes), Refusal> {
    catch_up(cx, graph, true).await?;
    let mut shared = cx.seed.shared.borrow_mut();
    shared.graphs.compact(graph);
    let bytes = shared
        .graphs
        .view(graph, |graph| graph.checkpoint().to_bytes());
    Ok((shared.graphs.cursor(graph), bytes.into()))
}
