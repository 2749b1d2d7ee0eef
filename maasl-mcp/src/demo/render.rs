//! The verdict for people.
//!
//! Owns: the tables and sentences. Promises: plain text without colour codes, at
//! most 80 columns wide where names allow it. Leaves to others: printing it.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::verdict::{Half, Verdict};

/// The verdict as text.
#[must_use]
pub fn render(verdict: &Verdict) -> String {
    let mut text = opening(verdict);
    let _ = writeln!(text, "{}\n", summary(verdict));
    let _ = writeln!(text, "{}\n", kinds(verdict));
    closing(verdict, &mut text);
    text
}

fn opening(verdict: &Verdict) -> String {
    let faults = &verdict.faults;
    format!(
        "{} agents edited a copy of {} ({} files) for {} s, twice, with the same work:\n\
         first unguarded (threads that read, write a temporary file and rename it; none\n\
         is killed), then each through its own `maasl serve`, of which {} were killed and\n\
         {} frozen for longer than a lease lasts ({} of them while holding one).\n\n",
        verdict.agents,
        verdict.repository.display(),
        verdict.files_copied,
        verdict.seconds,
        faults.killed,
        faults.frozen,
        faults.frozen_holding,
    )
}

fn summary(verdict: &Verdict) -> Table {
    let (plain, guarded) = (&verdict.unguarded, &verdict.guarded);
    let mut table = table(&["", "unguarded", "MAASL"]);
    let mut row = |name: &str, of: &dyn Fn(&Half) -> String| {
        table.add_row([name.to_owned(), of(plain), of(guarded)]);
    };
    row("changes acknowledged", &|half| {
        half.total.acknowledged.to_string()
    });
    row("  survived", &|half| half.total.survived.to_string());
    row("  replaced by their own author", &|half| {
        half.total.superseded.to_string()
    });
    row("  LOST", &lost);
    row("torn: changed in part", &|half| half.total.torn.to_string());
    row("there twice, or though refused", &|half| {
        half.total.ghosts.to_string()
    });
    row("torn reads", &|half| half.torn_reads.to_string());
    row("stale writes refused", &|half| {
        half.stale_refused.to_string()
    });
    row("writes under a lost lease refused", &|half| {
        half.lease_lost.to_string()
    });
    row("stale edits rebased", &|half| half.rebased.to_string());
    row("stale writes merged", &|half| half.merged.to_string());
    row("given up after refusals", &|half| {
        half.total.refused.to_string()
    });
    row("unknown: server killed meanwhile", &|half| {
        half.total.unknown.to_string()
    });
    let none = || "-".to_owned();
    let maasl = &verdict.maasl;
    table.add_row([
        "leases taken over".to_owned(),
        none(),
        maasl.takeovers.to_string(),
    ]);
    table.add_row([
        "changes of the killed settled".to_owned(),
        none(),
        maasl.recovered.to_string(),
    ]);
    let mut row = |name: &str, of: &dyn Fn(&Half) -> String| {
        table.add_row([name.to_owned(), of(plain), of(guarded)]);
    };
    row("call p50", &|half| milliseconds(half.wait_ms.p50));
    row("call p99, waiting included", &|half| {
        milliseconds(half.wait_ms.p99)
    });
    row("edited files that parse", &|half| {
        let sound = half.files_edited - half.files_broken.len();
        format!("{sound} of {}", half.files_edited)
    });
    table
}

fn kinds(verdict: &Verdict) -> Table {
    let mut table = table(&["lost, of those acknowledged", "unguarded", "MAASL"]);
    let names = verdict
        .unguarded
        .kinds
        .keys()
        .chain(verdict.guarded.kinds.keys());
    let names: std::collections::BTreeSet<_> = names.collect();
    for name in names {
        let of = |half: &Half| match half.kinds.get(*name) {
            Some(tally) => format!("{} of {}", tally.lost, tally.acknowledged),
            None => "-".to_owned(),
        };
        table.add_row([
            (*name).to_string(),
            of(&verdict.unguarded),
            of(&verdict.guarded),
        ]);
    }
    table
}

fn closing(verdict: &Verdict, text: &mut String) {
    for (name, half) in [
        ("unguarded", &verdict.unguarded),
        ("MAASL", &verdict.guarded),
    ] {
        for broken in &half.files_broken {
            let _ = writeln!(text, "broken ({name}): {broken}");
        }
    }
    if verdict.is_good() {
        let _ = write!(
            text,
            "MAASL lost nothing: every acknowledged change is there. Unguarded, {} of them\n\
             were overwritten without anybody being told.",
            lost(&verdict.unguarded),
        );
    } else {
        let _ = write!(text, "MAASL FAILED. The first of what is wrong:");
        for example in verdict.guarded.examples.iter().take(10) {
            let _ = write!(text, "\n  {example}");
        }
    }
    if let Some(kept) = &verdict.kept {
        let _ = write!(
            text,
            "\nBoth copies, the journal and the servers' logs are kept in {}",
            kept.display()
        );
    }
}

/// With its share, where there is one.
fn lost(half: &Half) -> String {
    let total = &half.total;
    if total.lost == 0 {
        return "0".to_owned();
    }
    let tenths = total.lost * 1_000 / total.acknowledged.max(1);
    format!("{} ({}.{} %)", total.lost, tenths / 10, tenths % 10)
}

fn milliseconds(value: f64) -> String {
    format!("{value:.1} ms")
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.force_no_tty();
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
