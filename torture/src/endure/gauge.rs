//! What a run is measured by.
//!
//! Owns: reading memory, descriptors and threads of processes, sizes of the state
//! directory and rows of databases. Promises: it only looks, in transactions that
//! end at once; what cannot be read is left out and not guessed. Leaves to others:
//! when, and what the figures mean (`verdict`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

use crate::Failure;

/// Figures by name; the part before the first `/` says what kind it is.
pub(super) type Figures = BTreeMap<String, u64>;

/// Memory, descriptors and threads of a process, and the most of each that any
/// process has.
pub(super) fn process(agent: &str, pid: i32, figures: &mut Figures) {
    let folder = Path::new("/proc").join(pid.to_string());
    let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let descriptors = fs::read_dir(folder.join("fd")).map(Iterator::count);
    for (name, found) in [
        ("memory_kib", field("RssAnon:")),
        ("resident_kib", field("VmRSS:")),
        ("threads", field("Threads:")),
        ("descriptors", descriptors.ok().map(|count| count as u64)),
    ] {
        let Some(found) = found else { continue };
        figures.insert(format!("server/{agent} {name}"), found);
        let most = figures
            .entry(format!("{name}/most of a server"))
            .or_default();
        *most = found.max(*most);
    }
}

/// Bytes and files of everything below a folder, by its first names.
pub(super) fn folder(what: &str, folder: &Path, figures: &mut Figures) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::at(folder))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (bytes, files) = size(&entry.path());
        figures.insert(format!("bytes/{what}{name}"), bytes);
        figures.insert(format!("files/{what}{name}"), files);
    }
    Ok(())
}

/// Bytes and number of a file, or of all files below a folder. What goes away
/// meanwhile does not count.
fn size(path: &Path) -> (u64, u64) {
    let Ok(meta) = path.symlink_metadata() else {
        return (0, 0);
    };
    if !meta.is_dir() {
        return (meta.len(), 1);
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| size(&entry.path()))
        .fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
}

/// Rows of every table of the guard in a store or a database.
pub(super) fn rows(
    file: &Path,
    is_ours: fn(&str) -> bool,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let db = open(file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for table in tables.iter().filter(|table| is_ours(table)) {
        let count = number(&db, &format!("SELECT count(*) FROM \"{table}\""))?;
        figures.insert(format!("rows/{name} {table}"), count);
    }
    let free = number(&db, "PRAGMA freelist_count")?;
    figures.insert(format!("free_pages/{name}"), free);
    Ok(())
}

/// What the limits of the store speak of.
pub(super) fn limited(store: &Path, figures: &mut Figures) -> Result<(), Failure> {
    let db = open(store)?;
    let most = "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM version GROUP BY path)";
    figures.insert("limited/versions of one file".into(), number(&db, most)?);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now_ms.map_or(0, |since| since.as_millis());
    for table in ["answered", "ended"] {
        let oldest = number(
            &db,
            &format!("SELECT coalesce(min(wall_ms), 0) FROM {table}"),
        )?;
        let age_ms = match oldest {
            0 => 0,
            oldest => u64::try_from(now_ms).unwrap_or(0).saturating_sub(oldest),
        };
        figures.insert(format!("limited/seconds in {table}"), age_ms / 1_000);
    }
    // Counters are kept by hour: that a new one has begun is no growth.
    let most = "SELECT coalesce(max(n), 0) FROM (
                    SELECT count(*) AS n FROM counter WHERE name <> '' GROUP BY hour)";
    figures.insert("rows/counters of one hour".into(), number(&db, most)?);
    figures.remove("rows/maasl.db counter");
    Ok(())
}

fn open(file: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(db)
}

fn number(db: &Connection, sql: &str) -> Result<u64, Failure> {
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}
