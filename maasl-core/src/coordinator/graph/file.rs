//! Graphs in files.
//!
//! Owns: writing a graph to the file that other tools read, and bringing in what
//! such a file says. Promises: a graph is written under the lease on it and on the
//! file, by a fenced commit like any other change; what the file has that this
//! version has no word for stays, and is counted; a file that names what the graph
//! never heard of is not overwritten; a file that cannot be brought in whole changes
//! nothing. Leaves to others: the shapes of such files (`graph::llmc`), the commit
//! (`change`).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::call::Cx;
use super::super::change;
use super::super::io::{Call, FileOp, Reply};
use super::super::right::{self, Right};
use super::{
    GraphFile, GraphImported, MAIN, append, catch_up, check, check_name, check_whole, graph_key,
};
use crate::graph::changes::{Changes, Node};
use crate::graph::llmc::{self, Imported};
use crate::graph::patch::Checked;
use crate::graph::query::Question;
use crate::graph::seen::Seen;
use crate::graph::state::{Graph, Merged};
use crate::id::ContentHash;
use crate::policy::{CRIT_CODE, MERGE_META};
use crate::refusal::Refusal;
use crate::reply::Receipt;
use crate::resource::Want;

/// Writes a graph to a file.
pub(crate) async fn export(cx: &Cx, call: &Call, asked: GraphFile) -> Result<Receipt, Refusal> {
    if let Some(earlier) = change::recall(cx, call.request.as_ref()).await? {
        return Ok(earlier);
    }
    let result = exported(cx, call, asked).await;
    change::unless_answered(cx, call.request.as_ref(), result).await
}

async fn exported(cx: &Cx, call: &Call, asked: GraphFile) -> Result<Receipt, Refusal> {
    check_name(&asked.graph)?;
    let path = located(cx, &asked).await?;
    let wants = [
        Want::exclusive(graph_key(cx, &asked.graph), MERGE_META),
        Want::exclusive(change::file_key(cx, &path), CRIT_CODE),
    ];
    let needs = right::Needs {
        wants: wants.into(),
        class: MERGE_META,
        purpose: "graph_export",
    };
    let right = right::for_call(cx, call, needs).await?;
    match written(cx, &asked.graph, &path).await {
        Ok(op) => {
            let ops = [op];
            let asked = change::Changes::of_files(call.request.as_ref(), &ops);
            change::under(cx, asked, &right).await
        }
        Err(refusal) => Err(give_up(cx, &right, refusal).await),
    }
}

/// Brings what a file says into a graph, as somebody would who has seen nothing of
/// the graph: what differs from what others say is a conflict, and named.
pub(crate) async fn import(cx: &Cx, call: &Call, asked: GraphFile) -> Result<Reply, Refusal> {
    check_name(&asked.graph)?;
    let path = located(cx, &asked).await?;
    let Some(content) = cx.read(&path).await? else {
        let message = format!("{path} does not exist");
        return Err(Refusal::invalid("path", message));
    };
    let Imported {
        changes, skipped, ..
    } = read(&path, &content)?;
    catch_up(cx, &asked.graph, false).await?;
    let shared = &cx.seed.shared;
    let lacking = |graph: &Graph| graph.lacking(changes);
    let changes = shared.borrow().graphs.view(&asked.graph, lacking);
    let mut imported = GraphImported {
        path,
        patches: 0,
        effect: Merged::default(),
        skipped,
    };
    for checked in checked_parts(cx, changes)? {
        let own = Call {
            request: None,
            ..call.clone()
        };
        let receipt = append(cx, &own, &asked.graph, checked, Seen::nothing()).await?;
        if let Receipt::Patched(changed) = receipt {
            let effect = changed.effect;
            imported.patches += 1;
            imported.effect.nodes_added += effect.nodes_added;
            imported.effect.edges_added += effect.edges_added;
            imported.effect.properties_updated += effect.properties_updated;
            imported.effect.conflicts += effect.conflicts;
        }
    }
    Ok(Reply::Imported(imported))
}

/// The file that a graph is written to, and read from, where none is named.
fn default_path(graph: &str) -> String {
    if graph == MAIN {
        llmc::PATH.into()
    } else {
        format!(".llmc/rag_graph.{graph}.json")
    }
}

async fn located(cx: &Cx, asked: &GraphFile) -> Result<String, Refusal> {
    let path = asked.path.clone();
    let path = path.unwrap_or_else(|| default_path(&asked.graph));
    cx.locate_one(path).await
}

/// The change of the file that makes it say what the graph says. The caller has
/// the lease, so whoever writes it next has read at least as much.
async fn written(cx: &Cx, graph: &str, path: &str) -> Result<FileOp, Refusal> {
    cx.still_wanted()?;
    let old = cx.read(path).await?;
    let Imported { changes, frame, .. } = match &old {
        Some(content) => read(path, content)?,
        None => Imported::default(),
    };
    // Last: while a call waits, others of its process may put the graph out of memory.
    catch_up(cx, graph, true).await?;
    let whole = Question {
        node: None,
        depth: 0,
        nodes_max: usize::MAX,
        edges_max: usize::MAX,
    };
    let look = |graph: &Graph| match graph.unheard_of(&changes) {
        0 => Ok(llmc::export(graph.ask(&whole), &frame, |edge| {
            graph.waits(edge)
        })),
        strange => Err(strange),
    };
    let exported = cx.seed.shared.borrow().graphs.view(graph, look);
    let exported = exported.map_err(|strange| Refusal::InvalidRequest {
        field: "path".into(),
        message: format!(
            "{path} names {strange} nodes, edges and properties that graph {graph:?} never had"
        ),
        hint: Some("import the file first, or export to another one".into()),
    })?;
    let mut content = exported.document.to_string();
    content.push('\n');
    Ok(FileOp::Graph {
        path: path.into(),
        content: content.into_bytes(),
        base: old.as_deref().map(ContentHash::of),
        carried_over: exported.carried_over,
    })
}

fn read(path: &str, content: &Arc<[u8]>) -> Result<Imported, Refusal> {
    let refuse = |what: String| {
        let message = format!("{path} is not a graph file: {what}");
        Refusal::invalid("path", message)
    };
    let text = core::str::from_utf8(content).map_err(|fault| refuse(fault.to_string()))?;
    let text = text.trim_start_matches('\u{feff}');
    let document = llmc::parse(text).map_err(|fault| refuse(fault.to_string()))?;
    llmc::import(document).map_err(|fault| refuse(fault.to_string()))
}

/// What patches are to be made of, all of it checked before the first is appended.
fn checked_parts(cx: &Cx, changes: Changes) -> Result<Vec<Checked>, Refusal> {
    let max = cx.config().limits.max_graph_operations;
    let parts = parts(changes, usize::try_from(max).unwrap_or(usize::MAX));
    let checked = parts.iter().map(|part| {
        let checked = check(cx, part)?;
        check_whole(&checked, &Seen::nothing())?;
        Ok(checked)
    });
    checked.collect()
}

/// Cuts additions into patches of at most `max` operations. Nodes come first.
fn parts(changes: Changes, max: usize) -> Vec<Changes> {
    let mut parts = Vec::new();
    let mut part = Changes::default();
    let mut size = 0;
    let weight = |node: &Node| 1 + node.properties.len();
    for node in changes.nodes_to_add {
        size += weight(&node);
        if size > max && !part.nodes_to_add.is_empty() {
            parts.push(core::mem::take(&mut part));
            size = weight(&node);
        }
        part.nodes_to_add.push(node);
    }
    for edge in changes.edges_to_add {
        size += 1;
        if size > max {
            parts.push(core::mem::take(&mut part));
            size = 1;
        }
        part.edges_to_add.push(edge);
    }
    if part != Changes::default() {
        parts.push(part);
    }
    parts
}

async fn give_up(cx: &Cx, right: &Right, refusal: Refusal) -> Refusal {
    change::give_up(cx, right, refusal, MERGE_META).await
}
