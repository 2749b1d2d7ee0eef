//! Every key of the file, in one table per section.
//!
//! Owns: which key fills which field, and in which unit. Promises: a key that
//! is listed has an effect; one that is not listed is refused. Leaves to
//! others: the meaning and range of the field (`maasl_core`).

use maasl_core::config::Config;
use maasl_core::policy::{Named, Policy};

use super::value::Unit;

/// One key that a table of the file may have, filling a field of `T`.
pub(super) struct Key<T: 'static> {
    /// As written in the file.
    pub(super) name: &'static str,
    /// The field, as `ConfigError` and `PolicyError` name it below the section.
    pub(super) field: &'static str,
    /// What it takes and where that goes.
    pub(super) slot: Slot<T>,
}

/// What a key takes and where that goes.
pub(super) enum Slot<T: 'static> {
    /// true or false.
    Flag(fn(&mut T) -> &mut bool),
    /// A number, in this unit.
    Number(Unit, fn(&mut T) -> &mut u64),
    /// A text, as it stands.
    Text(fn(&mut T) -> &mut String),
    /// Several texts.
    Texts(fn(&mut T) -> &mut Vec<String>),
    /// A word out of several; a word that is not among them gives them all.
    Word(fn(&mut T, &str) -> Result<(), Vec<&'static str>>),
}

/// The tables that `[maasl]` may have.
pub(super) const TABLES: [&str; 5] = ["db", "docgen", "history", "limits", "resource"];

/// `[maasl]`.
pub(super) const MAIN: &[Key<Config>] = &[
    flag("enabled", |c| &mut c.enabled),
    word("mode", |c, word| choose(&mut c.mode, word)),
    number("default_interactive_max_wait_ms", |c| {
        &mut c.default_interactive_max_wait_ms
    }),
    number("default_batch_max_wait_ms", |c| {
        &mut c.default_batch_max_wait_ms
    }),
    seconds("default_lease_ttl_sec", "default_lease_ttl_ms", |c| {
        &mut c.default_lease_ttl_ms
    }),
    number("clock_drift_ppm", |c| &mut c.clock_drift_ppm),
    word("durability", |c, word| choose(&mut c.durability, word)),
    Key {
        name: "idempotency_window_hours",
        field: "idempotency_window_ms",
        slot: Slot::Number(Unit::Hours, |c| &mut c.idempotency_window_ms),
    },
    text("events", |c| &mut c.events),
];

/// `[maasl.history]`.
pub(super) const HISTORY: &[Key<Config>] = &[
    number("max_age_days", |c| &mut c.history.max_age_days),
    Key {
        name: "max_mib",
        field: "max_bytes",
        slot: Slot::Number(Unit::Mebibytes, |c| &mut c.history.max_bytes),
    },
    number("max_versions", |c| &mut c.history.max_versions),
];

/// `[maasl.limits]`, field for field.
pub(super) const LIMITS: &[Key<Config>] = &[
    number("max_file_bytes", |c| &mut c.limits.max_file_bytes),
    number("max_resources_per_lease", |c| {
        &mut c.limits.max_resources_per_lease
    }),
    number("max_waiters", |c| &mut c.limits.max_waiters),
    number("max_leases_per_session", |c| {
        &mut c.limits.max_leases_per_session
    }),
    number("max_lease_ttl_ms", |c| &mut c.limits.max_lease_ttl_ms),
    number("max_wait_ms", |c| &mut c.limits.max_wait_ms),
    number("latch_wait_ms", |c| &mut c.limits.latch_wait_ms),
    number("gate_wait_ms", |c| &mut c.limits.gate_wait_ms),
    number("max_read_bytes", |c| &mut c.limits.max_read_bytes),
    number("max_edits", |c| &mut c.limits.max_edits),
    number("max_changes", |c| &mut c.limits.max_changes),
    number("max_statements", |c| &mut c.limits.max_statements),
    number("max_spans", |c| &mut c.limits.max_spans),
    number("max_graph_operations", |c| {
        &mut c.limits.max_graph_operations
    }),
    number("max_graphs", |c| &mut c.limits.max_graphs),
    number("statement_ms", |c| &mut c.limits.statement_ms),
];

/// `[maasl.db.<NAME>]`: the path of the database.
pub(super) const DATABASE: &[Key<String>] = &[Key {
    name: "path",
    field: "path",
    slot: Slot::Text(|path| path),
}];
/// `[maasl.docgen]`.
pub(super) const DOCGEN: &[Key<Config>] = &[
    texts("command", |c| &mut c.docgen.command),
    texts("environment", |c| &mut c.docgen.environment),
    seconds("timeout_sec", "timeout_ms", |c| &mut c.docgen.timeout_ms),
    number("max_output_bytes", |c| &mut c.docgen.max_output_bytes),
    word("layout", |c, word| choose(&mut c.docgen.layout, word)),
    word("header", |c, word| choose(&mut c.docgen.header, word)),
    text("root", |c| &mut c.docgen.root),
    texts("sources", |c| &mut c.docgen.sources),
];

/// `[maasl.resource.<CLASS>]`.
pub(super) const RESOURCE: &[Key<Policy>] = &[
    seconds("lease_ttl_sec", "lease_ttl_ms", |p| &mut p.lease_ttl_ms),
    number("interactive_max_wait_ms", |p| {
        &mut p.interactive_max_wait_ms
    }),
    number("batch_max_wait_ms", |p| &mut p.batch_max_wait_ms),
    number("lock_delay_ms", |p| &mut p.lock_delay_ms),
    word("concurrency", |p, word| choose(&mut p.concurrency, word)),
    word("failure", |p, word| choose(&mut p.failure, word)),
];

/// The header of the section that a stray key belongs to, if there is one.
pub(super) fn home_of(key: &str) -> Option<&'static str> {
    let names = |keys: &'static [Key<Config>]| keys.iter().any(|known| known.name == key);
    if names(MAIN) {
        Some("[maasl]")
    } else if names(HISTORY) {
        Some("[maasl.history]")
    } else if names(LIMITS) {
        Some("[maasl.limits]")
    } else if names(DOCGEN) {
        Some("[maasl.docgen]")
    } else if RESOURCE.iter().any(|known| known.name == key) {
        Some("[maasl.resource.<CLASS>]")
    } else if DATABASE.iter().any(|known| known.name == key) {
        Some("[maasl.db.<NAME>]")
    } else {
        None
    }
}

const fn flag<T>(name: &'static str, field: fn(&mut T) -> &mut bool) -> Key<T> {
    Key {
        name,
        field: name,
        slot: Slot::Flag(field),
    }
}

const fn text<T>(name: &'static str, field: fn(&mut T) -> &mut String) -> Key<T> {
    Key {
        name,
        field: name,
        slot: Slot::Text(field),
    }
}

const fn texts<T>(name: &'static str, field: fn(&mut T) -> &mut Vec<String>) -> Key<T> {
    Key {
        name,
        field: name,
        slot: Slot::Texts(field),
    }
}

const fn number<T>(name: &'static str, field: fn(&mut T) -> &mut u64) -> Key<T> {
    Key {
        name,
        field: name,
        slot: Slot::Number(Unit::Same, field),
    }
}

const fn seconds<T>(
    name: &'static str,
    field: &'static str,
    slot: fn(&mut T) -> &mut u64,
) -> Key<T> {
    Key {
        name,
        field,
        slot: Slot::Number(Unit::Seconds, slot),
    }
}

const fn word<T>(
    name: &'static str,
    set: fn(&mut T, &str) -> Result<(), Vec<&'static str>>,
) -> Key<T> {
    Key {
        name,
        field: name,
        slot: Slot::Word(set),
    }
}

fn choose<W: Named>(field: &mut W, word: &str) -> Result<(), Vec<&'static str>> {
    let chosen = W::from_name(word);
    *field = chosen.ok_or_else(|| W::ALL.iter().map(|known| known.name()).collect::<Vec<_>>())?;
    Ok(())
}
