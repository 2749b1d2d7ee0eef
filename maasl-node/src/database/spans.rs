//! Descriptions of pieces of source in a retrieval database.
//!
//! Owns: their table, its full-text index, writing and finding them. Promises: a
//! piece, by file and lines, has one description; the index holds what the table
//! holds. Leaves to others: whether a description still fits (the core).

use maasl_core::database::{Enrichment, FoundSpan, Written};
use maasl_core::id::ContentHash;
use rusqlite::{Connection, params};

use super::DatabaseError;

/// The table and its index, which follows it by triggers.
const TABLES: &str = "
    CREATE TABLE maasl_span (
        id INTEGER PRIMARY KEY,
        path TEXT NOT NULL,
        start_line INTEGER NOT NULL,
        end_line INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        summary TEXT NOT NULL,
        tags TEXT NOT NULL,
        agent TEXT NOT NULL,
        wall_ms INTEGER NOT NULL,
        UNIQUE (path, start_line, end_line)
    ) STRICT;
    CREATE VIRTUAL TABLE maasl_span_text USING fts5 (
        path, summary, tags, content = 'maasl_span', content_rowid = 'id'
    );
    CREATE TRIGGER maasl_span_added AFTER INSERT ON maasl_span BEGIN
        INSERT INTO maasl_span_text (rowid, path, summary, tags)
        VALUES (new.id, new.path, new.summary, new.tags);
    END;
    CREATE TRIGGER maasl_span_removed AFTER DELETE ON maasl_span BEGIN
        INSERT INTO maasl_span_text (maasl_span_text, rowid, path, summary, tags)
        VALUES ('delete', old.id, old.path, old.summary, old.tags);
    END;
    CREATE TRIGGER maasl_span_changed AFTER UPDATE ON maasl_span BEGIN
        INSERT INTO maasl_span_text (maasl_span_text, rowid, path, summary, tags)
        VALUES ('delete', old.id, old.path, old.summary, old.tags);
        INSERT INTO maasl_span_text (rowid, path, summary, tags)
        VALUES (new.id, new.path, new.summary, new.tags);
    END;";

/// The triggers among them.
pub(super) const TRIGGERS: [&str; 3] = [
    "maasl_span_added",
    "maasl_span_removed",
    "maasl_span_changed",
];

/// Writes descriptions, making the table with the first.
pub(super) fn write(
    db: &Connection,
    spans: &[Enrichment],
    wall_ms: u64,
) -> rusqlite::Result<Written> {
    if !has_table(db)? {
        db.execute_batch(TABLES)?;
    }
    let mut put = db.prepare_cached(
        "INSERT INTO maasl_span
             (path, start_line, end_line, sha256, summary, tags, agent, wall_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (path, start_line, end_line) DO UPDATE SET
             sha256 = excluded.sha256, summary = excluded.summary, tags = excluded.tags,
             agent = excluded.agent, wall_ms = excluded.wall_ms",
    )?;
    for span in spans {
        let tags = serde_json::to_string(&span.tags).expect("texts are JSON");
        put.execute(params![
            span.path,
            span.start_line,
            span.end_line,
            String::from(span.sha256),
            span.summary,
            tags,
            span.agent.as_str(),
            wall_ms,
        ])?;
    }
    Ok(Written {
        rows_affected: spans.len() as u64,
        last_insert_rowid: None,
    })
}

/// Finds descriptions by words of them, best first. Every word must occur, or
/// begin a word that does.
pub(super) fn find(
    db: &Connection,
    query: &str,
    limit: u32,
) -> Result<Vec<FoundSpan>, DatabaseError> {
    let words = quoted(query);
    if words.is_empty() || !has_table(db)? {
        return Ok(Vec::new());
    }
    let mut find = db.prepare(
        "SELECT s.path, s.start_line, s.end_line, s.sha256, s.summary, s.tags, s.agent,
                s.wall_ms, -bm25(maasl_span_text, 0.5, 1.0, 2.0) AS score
         FROM maasl_span_text AS t JOIN maasl_span AS s ON s.id = t.rowid
         WHERE maasl_span_text MATCH ?1
         ORDER BY score DESC, s.path, s.start_line, s.end_line LIMIT ?2",
    )?;
    let found = find.query_map(params![words, limit], |row| {
        Ok(FoundSpan {
            path: row.get(0)?,
            start_line: row.get(1)?,
            end_line: row.get(2)?,
            sha256: ContentHash::parse(&row.get::<_, String>(3)?),
            summary: row.get(4)?,
            tags: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
            agent: row.get(6)?,
            wall_ms: row.get(7)?,
            score: row.get(8)?,
            is_current: false,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Words in quotes, each standing also for what begins with it: a query of
/// FTS5's own syntax is for people, and agents write plain text.
fn quoted(query: &str) -> String {
    let words = query.split(|letter: char| !letter.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(|word| format!("\"{word}\"*")).collect();
    words.join(" ")
}

fn has_table(db: &Connection) -> rusqlite::Result<bool> {
    let mut look = db.prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = 'maasl_span'")?;
    look.exists([])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_no_query_syntax() {
        assert_eq!(
            quoted("read_file AND (x:\"y\" OR)"),
            "\"read\"* \"file\"* \"AND\"* \"x\"* \"y\"* \"OR\"*"
        );
        assert_eq!(quoted(" *-\" "), "");
    }
}
