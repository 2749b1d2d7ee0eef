//! Knowledge graphs that several processes patch at once.
//!
//! Whatever came in which order, over which process, twice or in one batch with
//! what: every process shows one graph, one conflict log and one digest.

use maasl_core::graph::checkpoint::Checkpoint;
use maasl_core::graph::patch::Patch;
use maasl_core::graph::state::Graph;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::facts::{maasl, run, shown_json};
use crate::harness::{PATIENCE, Server, repository};
use crate::observe::{history, leased};

const FILE: &str = ".llmc/rag_graph.json";

fn node(id: &str) -> Value {
    json!({ "nodes_to_add": [{ "id": id, "kind": "function" }] })
}

/// All of a graph, conflicts included.
fn whole(server: &mut Server) -> Value {
    server.ok(
        "graph_query",
        json!({ "conflicts": true, "limit": 100_000 }),
    )
}

fn ids(view: &Value) -> Vec<&str> {
    let nodes = view["nodes"].as_array().unwrap();
    nodes
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect()
}

#[test]
fn a_patch_shows_and_says_what_it_did() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let patch = json!({
        "nodes_to_add": [{ "id": "a", "kind": "function", "lines": [1, 9] }, { "id": "b" }],
        "edges_to_add": [{ "source": "a", "type": "calls", "target": "b" }],
        "idempotency_key": "first",
    });
    let done = a.ok("graph_patch", patch.clone());
    assert_eq!(
        (
            &done["nodes_added"],
            &done["edges_added"],
            &done["conflicts_total"]
        ),
        (&json!(2), &json!(1), &json!(0))
    );
    let mut b = Server::start(dir.path(), "a");
    assert_eq!(
        b.ok("graph_patch", patch),
        done,
        "the same answer, from another process"
    );
    let shown = b.ok("graph_query", json!({ "node": "a", "depth": 0 }));
    let expected = json!([{ "id": "a", "kind": "function", "lines": [1, 9] }]);
    assert_eq!((&shown["nodes"], &shown["edges"]), (&expected, &json!([])));
    assert_eq!(shown["patches"], 1);
    let around = b.ok("graph_query", json!({ "node": "b" }));
    assert_eq!(ids(&around), ["a", "b"]);
    assert_eq!(leased(&mut b), Vec::<Value>::new(), "it takes no lease");
    let stats = b.ok("llmc_stomp_stats", json!({}));
    assert_eq!(stats["graph_merges"], 1);
}

#[test]
fn who_has_seen_overwrites_and_who_has_not_is_told_of_a_conflict() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    let set = |value: &str| json!({ "properties_to_set": { "n": { "owner": value } } });
    a.ok("graph_patch", node("n"));
    a.ok("graph_patch", set("a"));
    // b has not looked.
    let blind = b.ok("graph_patch", set("b"));
    let conflict = &blind["conflicts"][0];
    assert_eq!(blind["conflicts_total"], 1, "{blind}");
    assert_eq!(
        (&conflict["property"], &conflict["reason"]),
        (&json!("owner"), &json!("other_value"))
    );
    assert_eq!(
        (&conflict["lost_value"], &conflict["won_value"]),
        (&json!("a"), &json!("b"))
    );
    assert_eq!(conflict["winner"]["patch_id"], blind["patch_id"]);
    let seen = whole(&mut a);
    assert_eq!(seen["conflicts_total"], 1);
    let settled = a.ok("graph_patch", set("both"));
    assert_eq!(settled["conflicts_total"], 0, "{settled}");
    let view = whole(&mut b);
    assert_eq!(
        (&view["nodes"][0]["owner"], &view["conflicts_total"]),
        (&json!("both"), &json!(0))
    );
    // What somebody else saw can be passed on.
    let mut stale = set("old");
    stale["seen"] = seen["seen"].clone();
    let stale = b.ok("graph_patch", stale);
    assert_eq!(
        stale["conflicts_total"], 1,
        "it did not know of what settled it"
    );
    let unknown = json!({ "nodes_to_add": [{ "id": "x" }], "seen": "9.0;elsewhere=3" });
    let refused = b.refused("graph_patch", unknown, "invalid_request");
    assert_eq!(refused["field"], "seen");
}

#[test]
fn a_null_that_lost_is_told_alike_whenever_it_is_told() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    let add = |owner: Value| json!({ "nodes_to_add": [{ "id": "n", "owner": owner }] });
    a.ok("graph_patch", add(Value::Null));
    let mut blind = add(json!("b"));
    blind["idempotency_key"] = json!("once");
    let told = b.ok("graph_patch", blind.clone());
    let lost = |told: &Value| told["conflicts"][0].get("lost_value").cloned();
    assert_eq!(lost(&told), Some(Value::Null), "{told}");
    let mut c = Server::start(dir.path(), "b");
    assert_eq!(c.ok("graph_patch", blind), told);
    assert_eq!(lost(&whole(&mut a)), Some(Value::Null));
}

#[test]
fn an_edge_may_come_before_its_nodes_and_what_cannot_be_is_refused() {
    let dir = repository("[maasl.limits]\nmax_graph_operations = 3\nmax_graphs = 1\n");
    let mut a = Server::start(dir.path(), "a");
    let edge = json!({ "edges_to_add": [{ "src": "a", "edge": "calls", "dst": "b" }] });
    let early = a.ok("graph_patch", edge);
    assert_eq!(
        (&early["edges_added"], &early["conflicts"][0]["reason"]),
        (&json!(0), &json!("no_node"))
    );
    let done = a.ok(
        "graph_patch",
        json!({ "nodes_to_add": [{ "id": "a" }, { "id": "b" }] }),
    );
    assert_eq!(done["nodes_added"], 2, "{done}");
    let view = whole(&mut a);
    assert_eq!(
        (&view["edges"][0]["type"], &view["conflicts_total"]),
        (&json!("calls"), &json!(0))
    );
    let large = json!({ "nodes_to_remove": ["a", "b", "c", "d"] });
    a.refused("graph_patch", large, "limit_reached");
    let second = json!({ "graph": "other", "nodes_to_add": [{ "id": "a" }] });
    a.refused("graph_patch", second, "limit_reached");
    for (arguments, field) in [
        (json!({}), "nodes_to_add"),
        (json!({ "graph": "a/b", "nodes_to_remove": ["a"] }), "graph"),
        (
            json!({ "nodes_to_add": [{ "id": "a" }, { "id": "" }] }),
            "nodes_to_add[1]",
        ),
        (
            json!({ "nodes_to_remove": ["a"], "seen": "yesterday" }),
            "seen",
        ),
    ] {
        let refused = a.refused("graph_patch", arguments, "invalid_request");
        assert_eq!(refused["field"], field, "{refused}");
    }
    assert_eq!(
        whole(&mut a)["patches"],
        2,
        "a refused patch changes nothing"
    );
}

/// A patch of one of eight agents in one of some rounds: they meet in nodes,
/// properties and edges, add and remove.
fn meeting(agent: usize, round: usize) -> Value {
    let n = |offset: usize| format!("n{}", (agent + round + offset) % 5);
    let edge = json!([{ "source": n(0), "type": "uses", "target": n(2) }]);
    let mut patch = json!({
        "idempotency_key": format!("{agent}-{round}"),
        "agent": format!("agent-{agent}"),
    });
    let changes = match (agent + round) % 4 {
        0 => json!({ "nodes_to_add": [{ "id": n(0), "by": agent }, { "id": n(1) }] }),
        1 => json!({ "edges_to_add": edge, "properties_to_set": { n(0): { "by": agent } } }),
        2 => json!({ "nodes_to_remove": [n(0)], "nodes_to_add": [{ "id": n(3), "by": agent }] }),
        _ => json!({ "edges_to_remove": edge, "properties_to_clear": { n(1): ["by"] } }),
    };
    for (name, value) in changes.as_object().unwrap() {
        patch[name] = value.clone();
    }
    patch
}

#[test]
fn eight_processes_show_one_graph_over_restarts_repeats_and_checkpoints() {
    let dir = repository("");
    let mut servers: Vec<Server> = (0..8)
        .map(|n| Server::start(dir.path(), &format!("agent-{n}")))
        .collect();
    for round in 0..6 {
        let sent: Vec<u64> = servers
            .iter_mut()
            .enumerate()
            .map(|(agent, server)| server.send("graph_patch", meeting(agent, round)))
            .collect();
        let answers: Vec<Value> = servers
            .iter_mut()
            .zip(sent)
            .map(|(server, id)| server.result(id))
            .collect();
        // Each is sent again, over another process.
        for (agent, answer) in answers.iter().enumerate() {
            assert_eq!(answer["ok"], true, "{answer}");
            let other = (agent + round + 1) % servers.len();
            let again = servers[other].ok("graph_patch", meeting(agent, round));
            assert_eq!(&again, answer);
        }
        // One looks now and then, one dies, one makes a checkpoint.
        whole(&mut servers[round]);
        servers[round + 1].kill();
        servers[round + 1] = Server::start(dir.path(), &format!("agent-{}", round + 1));
        if round % 3 == 1 {
            let compacted = shown_json(dir.path(), &["graph", "compact"]);
            assert_eq!(compacted["checkpoints"], 1);
        }
    }
    let expected = whole(&mut servers[0]);
    assert_eq!(expected["patches"], 48);
    assert!(
        expected["conflicts_total"].as_u64() > Some(0),
        "they meet: {expected}"
    );
    for server in &mut servers {
        assert_eq!(whole(server).to_string(), expected.to_string());
    }
    let mut late = Server::start(dir.path(), "late");
    assert_eq!(whole(&mut late).to_string(), expected.to_string());
    assert_eq!(
        shown_json(dir.path(), &["graph", "show"]),
        expected_of(&expected)
    );
}

/// What the command line shows: the same without the envelope.
fn expected_of(view: &Value) -> Value {
    let mut view = view.clone();
    view.as_object_mut().unwrap().remove("ok");
    view
}

/// What the store keeps of a graph: the checkpoint, if there is one, and the
/// patches after it.
fn kept(dir: &TempDir) -> (Option<Checkpoint>, Vec<Patch>) {
    let db = rusqlite::Connection::open(dir.path().join(".maasl/maasl.db")).unwrap();
    let blobs = |sql: &str| -> Vec<Vec<u8>> {
        let mut select = db.prepare(sql).unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let checkpoint = blobs("SELECT bytes FROM graph_checkpoint").pop();
    let patches = blobs("SELECT bytes FROM graph_patch ORDER BY place");
    (
        checkpoint.map(|bytes| Checkpoint::from_bytes(&bytes).unwrap()),
        patches
            .iter()
            .map(|bytes| Patch::from_bytes(bytes).unwrap())
            .collect(),
    )
}

#[test]
fn the_journal_gives_one_graph_in_any_order_batch_and_repetition() {
    let dir = repository("");
    let mut servers: Vec<Server> = (0..4)
        .map(|n| Server::start(dir.path(), &format!("agent-{n}")))
        .collect();
    for round in 0..4 {
        for (agent, server) in servers.iter_mut().enumerate() {
            server.ok("graph_patch", meeting(agent, round));
        }
        if round == 1 {
            shown_json(dir.path(), &["graph", "compact"]);
        }
    }
    let shown = whole(&mut servers[0]);
    let (checkpoint, patches) = kept(&dir);
    let checkpoint = checkpoint.expect("one was made");
    assert_eq!(patches.len(), 8);
    let digest = |order: &[usize], batch: usize, first: bool| {
        let mut graph = Graph::new();
        if first {
            graph.absorb(&checkpoint);
        }
        let order: Vec<Patch> = order.iter().map(|n| patches[*n].clone()).collect();
        for part in order.chunks(batch) {
            graph.merge(part);
            graph.merge(&part[..1]);
        }
        graph.absorb(&checkpoint);
        (graph.digest().to_string(), graph.conflicts())
    };
    let expected = (
        shown["digest"].as_str().unwrap().to_owned(),
        shown["conflicts_total"].as_u64().unwrap(),
    );
    let mut order: Vec<usize> = (0..patches.len()).collect();
    for turn in 0..patches.len() {
        order.rotate_left(1);
        order.swap(0, turn);
        for (batch, first) in [(1, true), (3, false), (8, true)] {
            assert_eq!(
                digest(&order, batch, first),
                expected,
                "{order:?} by {batch}"
            );
        }
        order.reverse();
    }
}

/// The steps of a patch under a key, and whether it is in the journal after each.
const PATCH_STEPS: [(&str, usize, bool); 5] = [
    ("recall", 1, false),
    ("read_graph", 1, false),
    ("draw_dot", 1, false),
    ("read_graph", 2, false),
    ("append_patch", 1, true),
];

#[test]
fn a_patch_is_whole_or_absent_wherever_its_maker_dies() {
    let dir = repository("");
    let mut heir = Server::start(dir.path(), "heir");
    let mut cases = 0;
    for (step, time, appended) in PATCH_STEPS {
        for side in ["before", "after"] {
            let point = format!("{side}:{step}:{time}");
            let id = format!("n{cases}");
            let patch = json!({
                "nodes_to_add": [{ "id": id }, { "id": format!("{id}b") }],
                "idempotency_key": point, "agent": "victim",
            });
            let fault = format!("kill@{point}");
            let mut victim = Server::with_env(dir.path(), "victim", &[("MAASL_FAULT", &fault)]);
            let sent = victim.send("graph_patch", patch.clone());
            assert_eq!(
                victim.result_within(sent, PATIENCE),
                None,
                "{point} was never reached"
            );
            victim.wait_dead();
            let found = ids(&whole(&mut heir))
                .iter()
                .filter(|one| one.starts_with(&id))
                .count();
            let is_there = appended && side == "after";
            assert_eq!(found, if is_there { 2 } else { 0 }, "{point}");
            let again = heir.ok("graph_patch", patch);
            assert_eq!(again["nodes_added"], 2, "{point}: {again}");
            cases += 1;
            assert_eq!(whole(&mut heir)["patches"], cases, "{point}: once");
        }
    }
}

/// The steps of writing a graph to a file, how often each is taken, and whether the
/// commit point is passed before it.
const EXPORT_STEPS: [(&str, usize, bool); 11] = [
    ("acquire", 1, false),
    ("read_graph", 1, false),
    ("read", 2, false),
    ("stage", 1, false),
    ("latch", 1, false),
    ("hash", 1, false),
    ("begin_commit", 1, false),
    ("swap", 1, true),
    ("keep", 1, true),
    ("finish_commit", 1, true),
    ("unlatch", 1, true),
];

#[test]
fn a_graph_file_is_old_or_new_wherever_its_writer_dies() {
    let dir = repository("");
    let mut heir = Server::start(dir.path(), "heir");
    heir.ok("graph_patch", node("n"));
    shown_json(dir.path(), &["graph", "export"]);
    let read = || std::fs::read_to_string(dir.path().join(FILE)).unwrap();
    let mut cases = 0;
    for (step, times, committed) in EXPORT_STEPS {
        for time in 1..=times {
            for side in ["before", "after"] {
                let point = format!("{side}:{step}:{time}");
                let id = format!("n{cases}");
                heir.ok("graph_patch", node(&id));
                let old = read();
                let mut command = maasl(dir.path(), &["graph", "export"]);
                command.env("MAASL_FAULT", format!("kill@{point}"));
                let status = command.output().unwrap().status;
                assert_eq!(status.code(), None, "{point} was never reached");
                // Whoever reads it through MAASL settles what the dead left open.
                let found = heir.ok("read_file", json!({ "path": FILE }));
                assert_eq!(found["content"].as_str().unwrap(), read(), "{point}");
                let is_new = committed || (step == "begin_commit" && side == "after");
                assert_eq!(read() != old, is_new, "{point}");
                assert_eq!(read().contains(&format!("{id:?}")), is_new, "{point}");
                shown_json(dir.path(), &["graph", "export"]);
                assert!(read().contains(&format!("{id:?}")), "{point}");
                cases += 1;
            }
        }
    }
    assert_eq!(history(&mut heir, FILE).len(), cases + 1);
    assert_eq!(leased(&mut heir), Vec::<Value>::new());
}

#[test]
fn an_older_export_cannot_land_after_a_newer_one() {
    let hasty = "[maasl.resource.MERGE_META]\nlease_ttl_sec = 0.5\n";
    let dir = repository(hasty);
    let mut a = Server::start(dir.path(), "a");
    a.ok("graph_patch", node("first"));
    let mut command = maasl(dir.path(), &["graph", "export"]);
    command.env("MAASL_FAULT", "stop@before:latch");
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let victim = command.spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&victim);
    let stopped = rustix::process::waitid(
        rustix::process::WaitId::Pid(pid),
        rustix::process::WaitIdOptions::STOPPED,
    );
    assert!(stopped.unwrap().is_some_and(|status| status.stopped()));
    a.ok("graph_patch", node("second"));
    let newer = shown_json(dir.path(), &["graph", "export"]);
    let content = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert!(content.contains("second"));
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let ended = victim.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    let now = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert_eq!(now, content, "token {}", newer["fencing_token"]);
}

#[test]
fn files_of_both_shapes_are_brought_in_and_keep_what_is_unknown() {
    let flat = r#"{"version":"3","nodes":[{"id":"a","kind":"fn","span":{"from":1}},{"id":"b"}],"edges":[{"source":"a","target":"b","type":"CALLS","weight":2}]}"#;
    let nested = r#"{"files":["a.py"],"schema_graph":{"version":1,"entities":[{"id":"c","path":"a.py:1"}],"relations":[{"src":"c","dst":"c","edge":"calls"}]}}"#;
    for (text, id) in [(flat, "a"), (nested, "c")] {
        let dir = repository("");
        std::fs::create_dir(dir.path().join(".llmc")).unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        // What the file says is not in the graph: it must not be lost.
        let (code, _, told) = run(maasl(dir.path(), &["graph", "export"]));
        assert_eq!(code, 1, "{told}");
        assert!(told.contains("import"), "{told}");
        let imported = shown_json(dir.path(), &["graph", "import"]);
        assert_eq!(imported["patches"], 1, "{imported}");
        let again = shown_json(dir.path(), &["graph", "import"]);
        assert_eq!(again["patches"], 0, "nothing is new: {again}");
        let mut a = Server::start(dir.path(), "a");
        assert!(ids(&whole(&mut a)).contains(&id));
        a.ok(
            "graph_patch",
            json!({ "properties_to_set": { id: { "new": true } } }),
        );
        shown_json(dir.path(), &["graph", "export"]);
        let written = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        let mut expected: Value = serde_json::from_str(text).unwrap();
        let place = if id == "a" {
            "/nodes/0"
        } else {
            "/schema_graph/entities/0"
        };
        expected.pointer_mut(place).unwrap()["new"] = true.into();
        let written: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(written, expected);
        assert_eq!(history(&mut a, FILE).len(), 2, "what it displaced is kept");
    }
}

#[test]
fn what_a_file_has_beyond_the_graph_stays_and_is_counted() {
    let text = r#"{"nodes":[{"id":"a"},{"id":7,"kind":"x"}],"edges":[{"source":"a","target":"far","type":"calls","line":3},{"source":"a","target":"far","type":"calls","line":9}]}"#;
    let dir = repository("");
    std::fs::create_dir(dir.path().join(".llmc")).unwrap();
    std::fs::write(dir.path().join(FILE), text).unwrap();
    let imported = shown_json(dir.path(), &["graph", "import"]);
    assert_eq!(imported["skipped"], 1, "{imported}");
    let exported = shown_json(dir.path(), &["graph", "export"]);
    assert_eq!(exported["carried_over"], 3, "{exported}");
    let written = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(text).unwrap());
}

#[test]
fn a_graph_that_lacks_a_patch_is_refused() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    for id in ["n", "m"] {
        a.ok("graph_patch", node(id));
    }
    a.close();
    let db = rusqlite::Connection::open(dir.path().join(".maasl/maasl.db")).unwrap();
    for place in [2, 1] {
        let sql = "DELETE FROM graph_patch WHERE place = ?1";
        assert_eq!(db.execute(sql, [place]).unwrap(), 1);
        let mut late = Server::start(dir.path(), "late");
        late.refused("graph_query", json!({}), "internal");
        late.close();
    }
}

#[test]
fn a_file_that_is_no_graph_is_refused_and_left_alone() {
    let dir = repository("");
    std::fs::create_dir(dir.path().join(".llmc")).unwrap();
    for text in ["not json", "[1]", r#"{"nodes":{}}"#] {
        std::fs::write(dir.path().join(FILE), text).unwrap();
        for command in ["import", "export"] {
            let (code, _, told) = run(maasl(dir.path(), &["graph", command]));
            assert_eq!(code, 1, "{command} {text}: {told}");
            assert!(told.contains("not a graph file"), "{told}");
        }
        let left = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(left, text);
    }
}
