//! Eight writers of one database, killed at random moments.
//!
//! Five write rows with `db_write`, three describe source with `rag_enrich`. What
//! was acknowledged is there once, batches are whole, and nobody is told that the
//! database is busy.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::databases::rows_of;
use crate::harness::{PATIENCE, Server, repository};

const DATABASE: &str = ".llmc/index_v2.db";

/// How many spans an agent describes at once.
const BATCH: u64 = 3;

#[test]
fn every_acknowledged_row_is_there_once_whoever_is_killed() {
    let dir = repository("");
    let root = dir.path();
    let table =
        json!({ "db": "rag", "statements": [{ "sql": "CREATE TABLE t (who TEXT, n INTEGER)" }] });
    Server::start(root, "maker").ok("db_write", table);
    let stop = AtomicBool::new(false);
    let accounts: Vec<Account> = std::thread::scope(|scope| {
        let agents: Vec<_> = (0..8)
            .map(|no| {
                let stop = &stop;
                scope.spawn(move || Agent::new(root, no).work_until(stop))
            })
            .collect();
        std::thread::sleep(Duration::from_secs(seconds())); // tidy: how long the agents write
        stop.store(true, Ordering::Relaxed);
        let joined = agents.into_iter().map(|agent| agent.join().unwrap());
        joined.collect()
    });
    let db = Connection::open(root.join(DATABASE)).unwrap();
    for (kind, found) in [(Kind::Rows, rows_of(&db)), (Kind::Spans, spans(&db))] {
        let told = accounts.iter().filter(|account| account.kind == kind);
        judge(kind, &told.collect::<Vec<_>>(), &found);
    }
}

/// How long the agents write; `MAASL_SECONDS` makes it longer.
fn seconds() -> u64 {
    let set = std::env::var("MAASL_SECONDS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// What an agent writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One row a call.
    Rows,
    /// A batch of spans a call.
    Spans,
}

/// Something written: by whom, and its number.
type Written = (String, u64);

/// What an agent was told.
struct Account {
    kind: Kind,
    acknowledged: BTreeSet<Written>,
    kills: u64,
}

/// One agent and its server.
struct Agent<'a> {
    root: &'a Path,
    no: u64,
    who: String,
    server: Server,
    account: Account,
}

impl<'a> Agent<'a> {
    fn new(root: &'a Path, no: u64) -> Self {
        let who = format!("a{no}");
        let kind = if no < 5 { Kind::Rows } else { Kind::Spans };
        Self {
            root,
            no,
            server: Server::start(root, &who),
            who,
            account: Account {
                kind,
                acknowledged: BTreeSet::new(),
                kills: 0,
            },
        }
    }

    /// Writes, is killed now and then, and asks again under the same key.
    fn work_until(mut self, stop: &AtomicBool) -> Account {
        let mut n = 0;
        while !stop.load(Ordering::Relaxed) {
            n += 1;
            let (tool, write) = self.write(n);
            let id = self.server.send(tool, write.clone());
            let answer = if n % 37 == self.no {
                self.die();
                self.server.call(tool, write)
            } else {
                let answer = self.server.result_within(id, PATIENCE);
                answer.expect("it lives")
            };
            assert_eq!(answer["ok"], true, "{answer}");
            assert_eq!(answer.get("skipped").unwrap_or(&json!([])), &json!([]));
            self.account.acknowledged.insert((self.who.clone(), n));
        }
        self.account
    }

    /// The `n`th call.
    fn write(&self, n: u64) -> (&'static str, Value) {
        let (tool, mut write) = match self.account.kind {
            Kind::Rows => ("db_write", row(&self.who, n)),
            Kind::Spans => ("rag_enrich", batch(self.root, &self.who, n)),
        };
        write["idempotency_key"] = json!(format!("{}-{n}", self.who));
        write["max_wait_ms"] = json!(10_000);
        (tool, write)
    }

    /// Somewhere inside the write, a little later each time.
    fn die(&mut self) {
        let until = Instant::now() + Duration::from_micros(150 * (self.account.kills % 20));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        self.server.kill();
        self.account.kills += 1;
        self.server = Server::start(self.root, &self.who);
    }
}

fn row(who: &str, n: u64) -> Value {
    json!({ "db": "rag", "statements": [
        { "sql": "INSERT INTO t VALUES (?1, ?2)", "params": [who, n] }] })
}

/// Spans of a source of their own, so that each call adds what no other touches.
fn batch(root: &Path, who: &str, n: u64) -> Value {
    let path = format!("{who}-{n}.rs");
    std::fs::write(root.join(&path), "fn one() {}\n".repeat(3)).unwrap();
    let span = |line: u64| {
        json!({ "path": path, "start_line": line, "end_line": line,
            "summary": format!("line {line}"), "tags": [who] })
    };
    json!({ "spans": (1..=BATCH).map(span).collect::<Vec<_>>() })
}

/// The batches that are there, each of them whole and in the index.
fn spans(db: &Connection) -> Vec<Written> {
    let sql = "SELECT s.path, count(*), count(t.rowid) FROM maasl_span AS s
               LEFT JOIN maasl_span_text AS t ON t.rowid = s.id GROUP BY s.path";
    let mut read = db.prepare(sql).unwrap();
    let found = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let found = found.unwrap().map(Result::unwrap);
    let batches = found.map(|(path, spans, indexed): (String, u64, u64)| {
        assert_eq!((spans, indexed), (BATCH, BATCH), "{path}");
        let (who, n) = path.trim_end_matches(".rs").split_once('-').unwrap();
        (who.to_owned(), n.parse().unwrap())
    });
    batches.collect()
}

/// Compares what agents were told with what is there.
fn judge(kind: Kind, told: &[&Account], found: &[Written]) {
    let kills: u64 = told.iter().map(|account| account.kills).sum();
    let acknowledged = told.iter().flat_map(|account| &account.acknowledged);
    let acknowledged: BTreeSet<&Written> = acknowledged.collect();
    let distinct: BTreeSet<&Written> = found.iter().collect();
    eprintln!(
        "{kind:?}: {} acknowledged, {kills} kills",
        acknowledged.len()
    );
    assert_eq!(
        found.len(),
        distinct.len(),
        "{kind:?}: something is there twice"
    );
    let lost: Vec<_> = acknowledged.difference(&distinct).collect();
    assert!(
        lost.is_empty(),
        "{kind:?}: acknowledged and not there: {lost:?}"
    );
    let least = match kind {
        Kind::Rows => 50,
        Kind::Spans => 20,
    };
    assert!(
        kills > 0 && acknowledged.len() > least,
        "{kind:?}: too little"
    );
}
