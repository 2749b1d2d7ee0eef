//! The old root against a new one, in the same seconds.
//!
//! Owns: a sequence of calls over the tools, and the turns in which the two roots
//! get it. Promises: both hold the same files, rows and spans and are asked the
//! same; each goes first as often as the other, so that what else the machine does
//! meets both. Leaves to others: what a ratio is worth (`verdict`).

use std::path::Path;
use std::time::Instant;

use maasl_client::Server;
use serde_json::{Value, json};

use super::latency::Latencies;
use super::place::{self, Limits, NODES, Place, SLOTS, edit_of, path_of};
use crate::Failure;
use crate::world::PATIENCE;

/// Rounds before times are taken: both are warm then, and both have versions.
const WARMING: u64 = 30;

/// How long the same calls took on both.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// Calls that the old root had seen.
    pub(super) operations: u64,
    pub(super) aged: Latencies,
    pub(super) fresh: Latencies,
}

impl Probe {
    /// Asks both for so many rounds; the new root is made for it and removed.
    pub(super) fn take(
        aged: &mut Server,
        (base, program): (&Path, &Path),
        limits: &Limits,
        operations: u64,
        rounds: u64,
    ) -> Result<Self, Failure> {
        let place = Place::make(&base.join("fresh"), program, limits)?;
        let mut fresh = place.start("a0")?;
        let mut probe = Self {
            operations,
            aged: Latencies::default(),
            fresh: Latencies::default(),
        };
        for round in 0..WARMING {
            ask(aged, operations, round, &mut Latencies::default())?;
            ask(&mut fresh, operations, round, &mut Latencies::default())?;
        }
        for round in WARMING..WARMING + rounds {
            if round % 2 == 0 {
                ask(aged, operations, round, &mut probe.aged)?;
                ask(&mut fresh, operations, round, &mut probe.fresh)?;
            } else {
                ask(&mut fresh, operations, round, &mut probe.fresh)?;
                ask(aged, operations, round, &mut probe.aged)?;
            }
        }
        place::close(fresh)?;
        place.remove();
        Ok(probe)
    }

    /// The old root's time as a multiple of the new one's, at this share of the
    /// calls of a tool.
    pub(super) fn ratio(&self, tool: &str, share: f64) -> Option<f64> {
        let aged = self.aged.quantile(tool, share)?;
        let fresh = self.fresh.quantile(tool, share)?;
        #[expect(clippy::cast_precision_loss, reason = "microseconds, not centuries")]
        Some(aged as f64 / fresh as f64)
    }

    /// The geometric mean of the ratios of all tools: a tool that takes longer than
    /// others counts no more than they do.
    pub(super) fn mean_ratio(&self, share: f64) -> f64 {
        let ratios = self.aged.tools().filter_map(|tool| self.ratio(tool, share));
        let logs: Vec<f64> = ratios.map(f64::ln).collect();
        #[expect(clippy::cast_precision_loss, reason = "there are some twenty tools")]
        let count = logs.len().max(1) as f64;
        (logs.iter().sum::<f64>() / count).exp()
    }

    /// For a file.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "kind": "probe", "operations": self.operations,
            "aged_us": self.aged.to_json(), "fresh_us": self.fresh.to_json(),
            "ratio_p50": self.mean_ratio(0.5), "ratio_p95": self.mean_ratio(0.95),
        })
    }
}

/// One round on one server.
fn ask(
    server: &mut Server,
    operations: u64,
    round: u64,
    times: &mut Latencies,
) -> Result<(), Failure> {
    let path = path_of(0);
    let mut call = |tool: &'static str, arguments: &Value| {
        let began = Instant::now();
        let answer = server.call(tool, arguments, PATIENCE);
        times.record(tool, began.elapsed());
        match answer {
            Ok(answer) if answer["ok"] == true => Ok(answer),
            Ok(answer) => Err(Failure::Confused(format!("{tool}: {answer}"))),
            Err(gone) => Err(Failure::Confused(format!("{tool}: {gone}"))),
        }
    };
    let value = format!("probe was here at {operations:08} for the {round:08}th time");
    let seen = call("read_file", &json!({ "path": path }))?;
    let content = seen["content"].as_str().unwrap_or_default().to_owned();
    let edit = edit_of(&content, round % SLOTS, &value);
    call("edit_file", &json!({ "path": path, "edits": [edit] }))?;
    let wanted = json!({ "resources": [{ "id": path_of(1) }], "ttl_sec": 10 });
    let lease = json!({ "lease": call("lease_acquire", &wanted)?["lease"] });
    call("lease_renew", &lease)?;
    call("lease_release", &lease)?;
    let update = json!({
        "sql": "UPDATE t SET value = ?1 WHERE id = ?2", "params": [value, round % 100],
    });
    let key = format!("probe-{operations}-{round}");
    let write = json!({ "db": "main", "statements": [update] });
    let mut keyed = write.clone();
    keyed["idempotency_key"] = json!(key);
    call("db_write", &keyed)?;
    call("rag_search", &json!({ "query": "py" }))?;
    let span = json!({ "path": path, "start_line": 1, "end_line": 1, "summary": value });
    call("rag_enrich", &json!({ "spans": [span] }))?;
    let node = format!("n{}", round % NODES);
    let patch = json!({
        "graph": "probe", "nodes_to_add": [{ "id": node }],
        "properties_to_set": { &node: { "value": value } },
    });
    call("graph_patch", &patch)?;
    call("graph_query", &json!({ "graph": "probe", "depth": 1 }))?;
    let asked = call("docgen_file", &json!({ "path": path }))?;
    let document = json!({
        "path": path, "content": format!("# {value}\n"), "source_sha256": asked["sha256"],
    });
    call("docgen_file", &document)?;
    call("docgen_check", &json!({}))?;
    let history = call("file_history", &json!({ "path": path, "limit": 10 }))?;
    let version = &history["versions"][1]["version"];
    call("read_file", &json!({ "path": path }))?;
    if version.is_number() {
        call("file_restore", &json!({ "path": path, "version": version }))?;
    }
    let changed = content.replace("furnisher", "somebody");
    call("read_file", &json!({ "path": path }))?;
    let whole = json!({ "path": path, "content": format!("{changed}\n# {key}\n") });
    call("write_file", &whole)?;
    let back = json!({ "path": path, "content": changed });
    call("write_file", &back)?;
    let together = json!({
        "changes": [{ "op": "write", "path": path, "content": content }],
        "database": write, "graph": patch,
    });
    call("transaction", &together)?;
    call("llmc_locks", &json!({}))?;
    call("llmc_stomp_stats", &json!({}))?;
    call("llmc_docgen_status", &json!({ "limit": 20 })).map(drop)
}
