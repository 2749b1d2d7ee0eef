//! What the simulated node answered, in the form of the tools.
//!
//! Owns: the core's replies as the published results. Promises: written from the
//! contract of the tools, not from their code, which it is to be compared with.
//! Leaves to others: what of it is compared (`normal`).

use maasl_core::coordinator::graph::GraphView;
use maasl_core::coordinator::io::{FileRead, NeedsContent, Reply, Request};
use maasl_core::graph::conflict::{Conflict, Contested, Reason};
use maasl_core::graph::patches::Origin;
use maasl_core::id::AgentId;
use maasl_core::reply::{Beyond, FileChanged, GraphChanged, Receipt};
use maasl_core::resource::Want;
use serde_json::{Map, Value, json};

use super::ask::{edge, edges, hash, mode, scope, text, value};
use super::object;
use crate::world::sequence::Exchange;

/// The answer to a call.
pub(super) fn of(exchange: &Exchange) -> Value {
    let mut told = match &exchange.response.result {
        Ok(reply) => {
            let mut told = body(reply, &exchange.call.request_body);
            told["ok"] = json!(true);
            told
        }
        Err(refusal) => json!({ "ok": false, "error": { "code": refusal.code() } }),
    };
    let lost = exchange.response.lost.iter();
    told["lost_leases"] = lost.map(|one| json!(format!("{one:?}"))).collect();
    told
}

fn body(reply: &Reply, asked: &Request) -> Value {
    match reply {
        Reply::Receipt(receipt) => receipt_body(receipt, asked),
        Reply::Read(read) => read_body(read),
        Reply::Renewed { .. } | Reply::Released { .. } | Reply::Compacted(_) => json!({}),
        Reply::Revoked(agents) => {
            let agents: Vec<&str> = agents.iter().map(AgentId::as_str).collect();
            json!({ "revoked": agents })
        }
        Reply::Graph(view) => view_body(view),
        Reply::NeedsContent(needs) => needs_body(needs),
        other => unreachable!("no action of a plan is answered with {other:?}"),
    }
}

fn receipt_body(receipt: &Receipt, asked: &Request) -> Value {
    match receipt {
        Receipt::Changed {
            files,
            token,
            beyond,
            ..
        } => {
            let mut told = match (asked, files.as_slice()) {
                (Request::Transact(_), _) => together(files, beyond),
                (Request::Document(_), [file]) => generated(file, true),
                (_, [file]) => changed(file),
                _ => json!({ "files": files.iter().map(changed).collect::<Vec<_>>() }),
            };
            told["fencing_token"] = json!(token.number());
            told
        }
        Receipt::Written {
            rows_affected,
            token,
            ..
        } => json!({ "rows_affected": rows_affected, "fencing_token": token.number() }),
        Receipt::Leased {
            lease,
            token,
            wants,
            ..
        } => json!({
            "lease": lease.as_str(),
            "fencing_token": token.number(),
            "resources": wants.iter().map(granted).collect::<Vec<_>>(),
        }),
        Receipt::Patched(changed) => patched(changed),
        Receipt::Fresh {
            source,
            document,
            source_sha256,
            sha256,
            ..
        } => json!({
            "status": "noop",
            "source_path": source,
            "doc_path": document,
            "sha256": source_sha256.to_string(),
            "document_sha256": sha256.to_string(),
        }),
        Receipt::Released { .. } => unreachable!("a call is told of a return in another form"),
        Receipt::Enriched { .. } => unreachable!("no action of a plan describes source"),
    }
}

fn read_body(read: &FileRead) -> Value {
    object([
        ("path", json!(read.path)),
        ("content", json!(text(&read.content))),
        ("sha256", json!(read.sha256.to_string())),
        ("size", json!(read.content.len())),
        ("version", json!(read.version)),
        (
            "held_by",
            read.held_by.as_ref().map_or(
                Value::Null,
                |held| json!({ "agent": held.owner.agent.as_str() }),
            ),
        ),
    ])
}

fn changed(file: &FileChanged) -> Value {
    let conflict = file.conflict.as_ref().map(|conflict| {
        object([
            ("found_sha256", hash(conflict.found)),
            ("outside_stands", json!(conflict.outside_stands)),
        ])
    });
    object([
        ("path", json!(file.path)),
        ("op", json!(file.op)),
        ("source", json!(file.source)),
        ("bytes_written", json!(file.bytes_written)),
        ("sha256", hash(file.sha256)),
        ("previous_sha256", hash(file.previous_sha256)),
        ("version", version(file.version)),
        ("merged", json!(file.merged)),
        ("rebased", json!(file.rebased)),
        ("replacements", json!(file.replacements)),
        ("conflict", json!(conflict)),
    ])
}

fn version(version: u64) -> Value {
    json!(Some(version).filter(|version| *version > 0))
}

/// A document; a transaction does not tell what it displaced.
fn generated(file: &FileChanged, with_previous: bool) -> Value {
    let made = file.document.as_ref();
    let previous = file.previous_sha256.filter(|_| with_previous);
    object([
        ("status", json!("generated")),
        ("source_path", json!(made.map(|made| &made.source))),
        ("doc_path", json!(file.path)),
        ("sha256", hash(made.map(|made| made.source_sha256))),
        ("document_sha256", hash(file.sha256)),
        ("previous_sha256", hash(previous)),
        ("version", version(file.version)),
    ])
}

fn needs_body(needs: &NeedsContent) -> Value {
    json!({
        "status": "needs_content",
        "source_path": needs.source,
        "doc_path": needs.document,
        "sha256": needs.source_sha256.to_string(),
        "source": text(&needs.content),
    })
}

fn together(files: &[FileChanged], beyond: &Beyond) -> Value {
    let is_document = |file: &&FileChanged| file.document.is_some();
    let made = files.iter().filter(is_document);
    let made = made.map(|file| generated(file, false));
    let fresh = beyond.fresh.iter().map(|fresh| {
        json!({
            "status": "noop",
            "source_path": fresh.source,
            "doc_path": fresh.document,
            "sha256": fresh.source_sha256.to_string(),
            "document_sha256": fresh.sha256.to_string(),
        })
    });
    let others = files.iter().filter(|file| !is_document(file));
    let database = beyond.database.as_ref();
    object([
        ("files", others.map(changed).collect()),
        ("documents", made.chain(fresh).collect()),
        (
            "database",
            database.map_or(
                Value::Null,
                |changed| json!({ "db": changed.db, "rows_affected": changed.rows_affected }),
            ),
        ),
        ("graph", json!(beyond.graph.as_deref().map(patched))),
    ])
}

fn granted(want: &Want) -> Value {
    json!({
        "resource_key": want.extent.key.as_str(),
        "class": want.class.to_string(),
        "scope": scope(want.extent.scope),
        "mode": mode(want.mode),
    })
}

fn patched(changed: &GraphChanged) -> Value {
    let effect = &changed.effect;
    json!({
        "patch_id": changed.patch.to_string(),
        "nodes_added": effect.nodes_added,
        "nodes_removed": effect.nodes_removed,
        "edges_added": effect.edges_added,
        "edges_removed": effect.edges_removed,
        "properties_updated": effect.properties_updated,
        "properties_cleared": effect.properties_cleared,
        "conflicts": changed.conflicts.iter().map(conflict).collect::<Vec<_>>(),
        "conflicts_total": changed.conflicts_total,
    })
}

fn view_body(view: &GraphView) -> Value {
    let nodes = view.answer.nodes.iter().map(|node| {
        let mut shown = Map::from_iter([("id".to_owned(), json!(node.id))]);
        let properties = node.properties.iter();
        shown.extend(properties.map(|(key, one)| (key.clone(), value(one))));
        Value::Object(shown)
    });
    json!({
        "nodes": nodes.collect::<Vec<_>>(),
        "edges": edges(&view.answer.edges),
        "is_cut": view.answer.is_cut,
        "conflicts": view.conflicts.iter().map(conflict).collect::<Vec<_>>(),
        "conflicts_total": view.conflicts_total,
        "patches": view.patches,
    })
}

fn conflict(conflict: &Conflict) -> Value {
    let (about, node, property, of_edge) = match &conflict.about {
        Contested::Node { node } => ("node", Some(node), None, None),
        Contested::Property { node, key } => ("property", Some(node), Some(key), None),
        Contested::Edge(of) => ("edge", None, None, Some(edge(of))),
        Contested::Dot(_) => ("patch", None, None, None),
    };
    let (reason, missing) = match &conflict.reason {
        Reason::OtherValue => ("other_value", None),
        Reason::Updated => ("updated", None),
        Reason::NoNode { nodes } => ("no_node", Some(nodes)),
        Reason::SharedDot => ("shared_dot", None),
    };
    object([
        ("about", json!(about)),
        ("node", json!(node)),
        ("property", json!(property)),
        ("edge", json!(of_edge)),
        ("reason", json!(reason)),
        ("missing", json!(missing)),
        ("loser", origin(&conflict.loser)),
        ("winner", json!(conflict.winner.as_ref().map(origin))),
        ("lost_value", json!(conflict.lost.as_ref().map(value))),
        ("won_value", json!(conflict.won.as_ref().map(value))),
    ])
}

fn origin(origin: &Origin) -> Value {
    json!({ "patch_id": origin.patch.to_string(), "index": origin.index })
}
