//! Writing a database, guarded and plain.
//!
//! Owns: measure 9: small writes of several processes, and of one; and describing
//! pieces of source. Promises: guarded and plain writers take turns, a run each,
//! on databases of the same shape, mode and durability; a row that was
//! acknowledged and is not there is an error, not a figure. Leaves to others: the
//! loops of the writers (`worker`).

use std::path::Path;
use std::time::{Duration, Instant};

use maasl_core::coordinator::enrich::Span;
use maasl_core::coordinator::io::Request;
use maasl_core::database::RAG_PATH;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::crew::{Crew, PROCESSES};
use crate::local::{self, Local};
use crate::report::{Figure, Row, Target};
use crate::tally::Tally;
use crate::times::Times;
use crate::worker::Kind;
use crate::{Bench, Result};

/// The database that small rows are written to, below the root.
const ROWS_PATH: &str = "rows.db";
const CONFIG: &str = "[maasl.db.rows]\npath = \"rows.db\"\n";
const TABLE: &str = "CREATE TABLE row (writer INTEGER, n INTEGER, text TEXT)";

/// Descriptions in one call, and how many of them are of one file.
const SPANS: usize = 1_000;
const SPANS_PER_FILE: usize = 20;
const LINES_PER_SPAN: usize = 10;
/// How often so many are written.
const ENRICHMENTS: usize = 25;
/// Rounds that are not counted: caches, prepared statements.
const WARM_UP: usize = 3;

/// Measure 9.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = contended(bench)?;
    rows.push(alone(bench)?);
    rows.push(enriched(bench)?);
    Ok(rows)
}

fn contended(bench: &Bench) -> Result<Vec<Row>> {
    let (ours, peer) = both(bench, PROCESSES)?;
    let row = |name: &str, figure: fn(&Tally) -> Figure, target| {
        let name = format!("9 five processes, a row each time: {name}");
        Row::new(name, figure(&ours), target)
            .beside("BEGIN IMMEDIATE, busy_timeout", figure(&peer))
            .note(spreads(&ours.wait, &peer.wait))
    };
    Ok(vec![
        row("writes", writes, Target::RatioAtLeast(2.5)),
        row(
            "longest from asking to the disk",
            |tally| Figure::us(tally.wait.max_us()),
            Target::RatioAtMost(0.02),
        ),
        row(
            "from asking to the disk, p50",
            |tally| Figure::us(tally.wait.p50_us()),
            Target::Nothing,
        ),
        row(
            "least share of writes",
            |tally| Figure::percent(tally.least_share),
            Target::AtLeast(17.0),
        ),
    ])
}

fn alone(bench: &Bench) -> Result<Row> {
    let (ours, peer) = both(bench, 1)?;
    let row = Row::new(
        "9 one process, a row each time: writes",
        writes(&ours),
        Target::RatioAtLeast(0.9),
    );
    Ok(row
        .beside("BEGIN IMMEDIATE", writes(&peer))
        .note(spreads(&ours.wait, &peer.wait)))
}

fn writes(tally: &Tally) -> Figure {
    Figure::per_second(tally.per_second(tally.turns))
}

fn spreads(ours: &Times, peer: &Times) -> String {
    format!("ours {}; peer {}", ours.spread(), peer.spread())
}

/// So many processes through the guard, and as many past it.
fn both(bench: &Bench, processes: usize) -> Result<(Tally, Tally)> {
    let (root, dir) = (bench.dir()?, bench.dir()?);
    std::fs::write(root.path().join("maasl.toml"), CONFIG)?;
    let (ours, peer) = (root.path().join(ROWS_PATH), dir.path().join(ROWS_PATH));
    let (ours_db, peer_db) = (make(&ours, TABLE)?, make(&peer, TABLE)?);
    let (mut of_ours, mut of_peer) = (Tally::new(), Tally::new());
    let crew = |kind, place| Crew {
        kind,
        place,
        processes,
        hold_us: 0,
    };
    for _ in 0..bench.runs {
        of_ours.add(&crew(Kind::GuardedRows, root.path()).run(bench)?)?;
        of_peer.add(&crew(Kind::PlainRows, &peer).run(bench)?)?;
    }
    expect_rows(&ours_db, of_ours.turns)?;
    expect_rows(&peer_db, of_peer.turns)?;
    Ok((of_ours, of_peer))
}

fn expect_rows(db: &Connection, acknowledged: u64) -> Result<()> {
    let rows: u64 = db.query_row("SELECT count(*) FROM row", [], |row| row.get(0))?;
    if rows == acknowledged {
        return Ok(());
    }
    Err(format!("{acknowledged} rows were acknowledged, {rows} are there").into())
}

/// A database as either side writes it.
fn make(path: &Path, tables: &str) -> Result<Connection> {
    let db = Connection::open(path)?;
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    db.execute_batch(tables)?;
    Ok(db)
}

fn enriched(bench: &Bench) -> Result<Row> {
    let (root, dir) = (bench.dir()?, bench.dir()?);
    let mut descriptions = Descriptions::start(root.path(), dir.path())?;
    let (mut of_ours, mut of_peer) = (Times::new(), Times::new());
    for round in 1..=WARM_UP + ENRICHMENTS {
        let (ours, peer) = descriptions.round(root.path(), round)?;
        if round > WARM_UP {
            of_ours.add(ours);
            of_peer.add(peer);
        }
    }
    descriptions.node.close()?;
    let row = Row::new(
        format!("9 rag_enrich of {SPANS} spans by Node::call, p50"),
        Figure::us(of_ours.p50_us()),
        Target::RatioAtMost(1.5),
    );
    Ok(row
        .beside("bare insertion", Figure::us(of_peer.p50_us()))
        .note(spreads(&of_ours, &of_peer)))
}

/// Descriptions through the guard, which reads and hashes what they are about,
/// and the rows that come of it once more in a database of the same tables.
struct Descriptions {
    node: Local,
    written: Connection,
    peer: Connection,
}

impl Descriptions {
    /// Has the guard make its tables, and makes the same for the peer.
    fn start(root: &Path, dir: &Path) -> Result<Self> {
        let node = Local::open(root)?;
        let spans = sources(root, 0)?;
        node.run(|node| async move { local::call(&node, Request::Enrich(spans)).await })?;
        let written = Connection::open(root.join(RAG_PATH))?;
        let peer = make(&dir.join("bare.db"), &tables_of(&written)?)?;
        Ok(Self {
            node,
            written,
            peer,
        })
    }

    /// What either took for as many new ones.
    fn round(&mut self, root: &Path, round: usize) -> Result<(Duration, Duration)> {
        let spans = sources(root, round)?;
        let since = Instant::now();
        self.node
            .run(|node| async move { local::call(&node, Request::Enrich(spans)).await })?;
        let ours = since.elapsed();
        let rows = newest(&self.written)?;
        let since = Instant::now();
        insert(&mut self.peer, &rows)?;
        Ok((ours, since.elapsed()))
    }
}

/// Sources nobody has described, and descriptions of them.
fn sources(root: &Path, round: usize) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    for file in 0..SPANS / SPANS_PER_FILE {
        let path = format!("round_{round}/module_{file}.py");
        let mut text = String::new();
        for n in 0..SPANS_PER_FILE {
            let line = format!("value_{n} = compute({round}, {file})\n");
            text.push_str(&line.repeat(LINES_PER_SPAN));
            let start = n * LINES_PER_SPAN;
            spans.push(span(&path, start, round * SPANS + spans.len()));
        }
        let place = root.join(&path);
        std::fs::create_dir_all(place.parent().ok_or("a path without a folder")?)?;
        std::fs::write(place, text)?;
    }
    Ok(spans)
}

/// A description in a dozen words, as agents write them.
fn span(path: &str, start: usize, n: usize) -> Span {
    let word = |by: usize| format!("word{}", n.wrapping_mul(by) % 5_000);
    Span {
        path: path.into(),
        start_line: start as u64 + 1,
        end_line: (start + LINES_PER_SPAN) as u64,
        summary: format!(
            "Computes the {} of {} from {} and keeps {} for the next {} of the {}.",
            word(31),
            word(37),
            word(41),
            word(43),
            word(47),
            word(53)
        ),
        tags: vec![word(59), word(61), word(67)],
        sha256: None,
    }
}

/// What the guard made to keep descriptions in.
fn tables_of(db: &Connection) -> Result<String> {
    let mut read = db.prepare(
        "SELECT group_concat(sql, ';') FROM sqlite_schema
         WHERE name IN ('maasl_span', 'maasl_span_text') OR tbl_name = 'maasl_span'
             AND type = 'trigger'",
    )?;
    Ok(read.query_row([], |row| row.get(0))?)
}

/// A description as it lies in its table.
type Described = (String, u64, u64, String, String, String, String, u64);

/// The descriptions that were written last.
fn newest(db: &Connection) -> Result<Vec<Described>> {
    let mut read = db.prepare_cached(
        "SELECT path, start_line, end_line, sha256, summary, tags, agent, wall_ms
         FROM maasl_span ORDER BY id DESC LIMIT ?1",
    )?;
    let rows = read.query_map([SPANS as u64], |row| row.try_into())?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<Described>>>()?;
    rows.reverse();
    Ok(rows)
}

fn insert(db: &mut Connection, rows: &[Described]) -> Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO maasl_span
             (path, start_line, end_line, sha256, summary, tags, agent, wall_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for row in rows {
        let (path, start, end, sha256, summary, tags, agent, wall_ms) = row;
        insert.execute(params![
            path, start, end, sha256, summary, tags, agent, wall_ms
        ])?;
    }
    drop(insert);
    Ok(transaction.commit()?)
}
