//! `maasl graph`

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use maasl_core::coordinator::graph::{GraphFile, GraphView, MAIN};
use maasl_core::coordinator::io::{Reply, Request};
use maasl_core::graph::changes::{Edge, Node};
use maasl_core::reply::Receipt;
use serde_json::json;

use super::serve::block_on;
use super::{Failure, output, run::Session};
use crate::server::{graph_json, graph_query};

/// Arguments of `maasl graph`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Which graph.
    #[arg(long, global = true, value_name = "NAME", default_value = MAIN)]
    graph: String,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show nodes and edges, with the conflicts of the graph.
    Show {
        /// The node to look around; the whole graph where none is named.
        #[arg(long, value_name = "ID")]
        node: Option<String>,
        /// How many edges away from it.
        #[arg(long, value_name = "N")]
        depth: Option<u32>,
        /// Most nodes shown.
        #[arg(long, value_name = "N", default_value_t = 500)]
        limit: u32,
    },
    /// Write the graph to a file, keeping what else is in it.
    Export {
        /// The file; by default the one that LLMC has.
        path: Option<String>,
    },
    /// Bring the nodes and edges of a file into the graph.
    Import {
        /// The file; by default the one that LLMC has.
        path: Option<String>,
    },
    /// Put a checkpoint in the place of the patches.
    Compact,
}

pub(super) fn run(root: &Path, arguments: Arguments) -> Result<ExitCode, Failure> {
    block_on(async {
        let session = Session::open(root, "graph")?;
        let is_json = arguments.json;
        let reply = session.call(request(arguments)).await;
        session.close().await;
        show(reply?, is_json)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn request(arguments: Arguments) -> Request {
    let graph = arguments.graph;
    match arguments.command {
        Command::Show { node, depth, limit } => {
            Request::Query(graph_query(Some(graph), node, depth, limit, true))
        }
        Command::Export { path } => Request::ExportGraph(GraphFile { graph, path }),
        Command::Import { path } => Request::ImportGraph(GraphFile { graph, path }),
        Command::Compact => Request::CompactGraphs(Some(graph)),
    }
}

fn show(reply: Reply, is_json: bool) -> Result<(), Failure> {
    let (text, json) = match reply {
        Reply::Graph(view) if is_json => (String::new(), graph_json(*view)),
        Reply::Graph(view) => (words(&view), json!(null)),
        Reply::Receipt(Receipt::Changed { files, token, .. }) => {
            let file = files.first();
            let path = file.map_or("", |file| file.path.as_str());
            let bytes = file.map_or(0, |file| file.bytes_written);
            let left = file.and_then(|file| file.carried_over).unwrap_or(0);
            let text =
                format!("{path}: {bytes} bytes; {left} entries of the file left as they are");
            let json = json!({
                "path": path, "bytes_written": bytes, "carried_over": left,
                "fencing_token": token.number(),
            });
            (text, json)
        }
        Reply::Imported(imported) => {
            let effect = imported.effect;
            let (nodes, edges) = (effect.nodes_added, effect.edges_added);
            let (properties, skipped) = (effect.properties_updated, imported.skipped);
            let text = format!(
                "{}: {nodes} nodes, {edges} edges and {properties} properties are new in {} \
                 patches; {} conflicts, {skipped} entries left out",
                imported.path, imported.patches, effect.conflicts
            );
            let json = json!({
                "path": imported.path, "patches": imported.patches, "nodes_added": nodes,
                "edges_added": edges, "properties_updated": properties,
                "conflicts": effect.conflicts, "skipped": skipped,
            });
            (text, json)
        }
        Reply::Compacted(compacted) => {
            let count = compacted.kept;
            let text = if count == 0 {
                "nothing to do"
            } else {
                "a checkpoint was made"
            };
            (text.to_owned(), json!({"checkpoints": count}))
        }
        other => {
            let message = format!("a graph was answered with something else: {other:?}");
            return Err(Failure::Internal(message));
        }
    };
    if is_json {
        output::json(&json);
    } else {
        output::line(&text);
    }
    Ok(())
}

fn words(view: &GraphView) -> String {
    let node = |node: &Node| {
        let properties = node.properties.iter();
        let properties = properties.map(|(key, value)| format!(" {key}={value}"));
        format!("{}{}", node.id, properties.collect::<String>())
    };
    let edge = |edge: &Edge| format!("{} -{}-> {}", edge.source, edge.relation, edge.target);
    let answer = &view.answer;
    let mut lines: Vec<String> = answer.nodes.iter().map(node).collect();
    lines.extend(answer.edges.iter().map(edge));
    if answer.is_cut {
        lines.push("… and more; see --limit and --node".to_owned());
    }
    for conflict in &view.conflicts {
        lines.push(format!(
            "conflict: {:?}: {:?}",
            conflict.about, conflict.reason
        ));
    }
    lines.push(format!(
        "{} patches, {} conflicts, digest {}",
        view.patches, view.conflicts_total, view.digest
    ));
    let lines: Vec<String> = lines.iter().map(|line| output::plain(line)).collect();
    lines.join("\n")
}
