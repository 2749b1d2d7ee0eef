//! Short names for what tests ask a coordinator for.

use maasl_core::coordinator::io::{FileOp, OnStale, Request, Reservation, ResourceWanted};
use maasl_core::id::{ContentHash, LeaseId};
use maasl_core::lease::RequestKey;
use maasl_core::refusal::{Refusal, Stale};
use maasl_core::reply::{FileChanged, Receipt};
use maasl_core::resource::{Mode, Scope};
use maasl_core::text::edit::Edit;

pub(crate) fn hash(content: &str) -> ContentHash {
    ContentHash::of(content.as_bytes())
}

pub(crate) fn write(path: &str, content: &str) -> FileOp {
    FileOp::Write {
        path: path.into(),
        content: content.into(),
        base: None,
        on_stale: OnStale::Refuse,
    }
}

pub(crate) fn write_over(path: &str, content: &str, base: &str) -> FileOp {
    FileOp::Write {
        path: path.into(),
        content: content.into(),
        base: Some(hash(base)),
        on_stale: OnStale::Refuse,
    }
}

pub(crate) fn write_merged(path: &str, content: &str, base: &str) -> FileOp {
    FileOp::Write {
        path: path.into(),
        content: content.into(),
        base: Some(hash(base)),
        on_stale: OnStale::Merge,
    }
}

pub(crate) fn edit(path: &str, old_text: &str, new_text: &str) -> FileOp {
    FileOp::Edit {
        path: path.into(),
        edits: vec![Edit {
            old_text: old_text.into(),
            new_text: new_text.into(),
            expected_replacements: 1,
        }],
        base: None,
    }
}

pub(crate) fn delete(path: &str) -> FileOp {
    FileOp::Delete {
        path: path.into(),
        base: None,
    }
}

pub(crate) fn rename(source: &str, destination: &str) -> FileOp {
    FileOp::Move {
        source: source.into(),
        destination: destination.into(),
        base: None,
    }
}

pub(crate) fn restore(path: &str, version: u64) -> FileOp {
    FileOp::Restore {
        path: path.into(),
        version,
        base: None,
    }
}

fn resource(id: &str) -> ResourceWanted {
    ResourceWanted {
        id: id.into(),
        class: "CRIT_CODE".into(),
        scope: Scope::Exact,
        mode: Mode::Exclusive,
    }
}

/// A reservation of these files that lapses unless it is used.
pub(crate) fn reservation(ids: &[&str]) -> Reservation {
    Reservation {
        resources: ids.iter().map(|id| resource(id)).collect(),
        ttl_ms: None,
        purpose: None,
        keep: false,
    }
}

pub(crate) fn reserve(ids: &[&str]) -> Request {
    Request::Reserve(reservation(ids))
}

/// A reservation of a database.
pub(crate) fn reserve_database(name: &str) -> Request {
    Request::Reserve(Reservation {
        resources: vec![database_resource(name)],
        ..reservation(&[])
    })
}

pub(crate) fn database_resource(name: &str) -> ResourceWanted {
    ResourceWanted {
        class: "CRIT_DB".into(),
        ..resource(name)
    }
}

/// An idempotency key, and what it was first used for.
pub(crate) fn key(name: &str, asked: &str) -> RequestKey {
    RequestKey {
        key: name.into(),
        fingerprint: hash(asked),
    }
}

/// The files of a receipt for changes.
pub(crate) fn files(receipt: &Receipt) -> &[FileChanged] {
    match receipt {
        Receipt::Changed { files, .. } => files,
        other => panic!("something else than changes: {other:?}"),
    }
}

/// The lease of a receipt for one.
pub(crate) fn lease(receipt: &Receipt) -> LeaseId {
    match receipt {
        Receipt::Leased { lease, .. } => lease.clone(),
        other => panic!("something else than a lease: {other:?}"),
    }
}

/// What a refusal of a stale write says.
#[track_caller]
pub(crate) fn stale<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Stale {
    match result {
        Err(Refusal::StaleVersion(stale)) => *stale,
        other => panic!("not stale: {other:?}"),
    }
}

/// The code of a refusal; `ok` where there is none.
pub(crate) fn code<T>(result: &Result<T, Refusal>) -> &'static str {
    result.as_ref().err().map_or("ok", Refusal::code)
}
