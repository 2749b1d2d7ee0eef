//! What a campaign came to, in the forms that people and machines read.
//!
//! Owns: the JSON, `JUnit` and Markdown of a summary. Promises: the same summary
//! gives the same text, but for how long it took; every failure comes with the
//! command that repeats it. Leaves to others: where it goes.

use std::fmt::Write as _;

use maasl_core::id::hex;
use serde_json::{Value, json};

use super::{Campaign, Failure, How, Summary};

/// Failures that are listed; there may be a million of one kind.
const LISTED_MAX: usize = 20;

/// The command that repeats a failure.
#[must_use]
pub fn command(campaign: &Campaign, failure: &Failure) -> String {
    let file = &campaign.file;
    if campaign.is_plan {
        return format!("maasl-sim run {file}");
    }
    format!("maasl-sim run {file} --seed {}", failure.seed)
}

fn words(failure: &Failure) -> String {
    match &failure.how {
        How::Broken(breach) => breach.to_string(),
        How::Missed(missed) => missed.clone(),
        How::Panicked(message) => format!("panicked: {message}"),
    }
}

/// For programs.
#[must_use]
pub fn json(campaign: &Campaign, summary: &Summary) -> Value {
    let failures = summary.failures.iter().map(|failure| {
        let (promise, site) = match &failure.how {
            How::Broken(breach) => (breach.promise.name(), breach.site),
            How::Missed(_) => ("none", "expectation"),
            How::Panicked(_) => ("none", "panic"),
        };
        json!({
            "seed": failure.seed,
            "promise": promise,
            "site": site,
            "message": words(failure),
            "repeat": command(campaign, failure),
        })
    });
    json!({
        "scenario": campaign.scenario,
        "seeds": { "from": campaign.seeds.start, "to": campaign.seeds.end },
        "shard": { "part": campaign.shard.0, "of": campaign.shard.1 },
        "runs": summary.runs,
        "records": summary.records,
        "core_steps": summary.core_steps,
        "simulated_ms": summary.simulated_ms,
        "took_us": summary.took_us,
        "digest": hex(&summary.digest),
        "reached": summary.reached,
        "missed": summary.missed,
        "failures": failures.collect::<Vec<_>>(),
    })
}

/// For build servers: one case for each failed seed, one for the points, and
/// one for the rest.
#[must_use]
pub fn junit(campaign: &Campaign, summary: &Summary) -> String {
    let failed = summary.failures.len() + usize::from(!summary.missed.is_empty());
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\">\n",
        escaped(&campaign.scenario),
        summary.failures.len() + 2,
    );
    let held = summary.runs - summary.failures.len() as u64;
    let _ = writeln!(text, "  <testcase name=\"{held} seeds held\"/>");
    text.push_str("  <testcase name=\"points reached\">");
    if !summary.missed.is_empty() {
        let missed = escaped(&summary.missed.join(", "));
        let _ = write!(text, "<failure message=\"never reached: {missed}\"/>");
    }
    text.push_str("</testcase>\n");
    for failure in &summary.failures {
        let _ = writeln!(
            text,
            "  <testcase name=\"seed {}\"><failure message=\"{}\">{}</failure></testcase>",
            failure.seed,
            escaped(&words(failure)),
            escaped(&command(campaign, failure))
        );
    }
    text.push_str("</testsuite>\n");
    text
}

/// For people.
#[must_use]
pub fn markdown(campaign: &Campaign, summary: &Summary) -> String {
    let verdict = if summary.is_good() { "held" } else { "FAILED" };
    let mut text = format!("## {}: {verdict}\n\n", campaign.scenario);
    let per_second = |count: u64| count.saturating_mul(1_000_000) / summary.took_us.max(1);
    let _ = writeln!(
        text,
        "{} seeds ({} a second), {} core steps ({} a second), {} s simulated, digest `{}`.",
        summary.runs,
        per_second(summary.runs),
        summary.core_steps,
        per_second(summary.core_steps),
        summary.simulated_ms / 1000,
        hex(&summary.digest[..8])
    );
    if !summary.missed.is_empty() {
        let _ = writeln!(text, "\nNever reached: {}.", summary.missed.join(", "));
    }
    if summary.failures.is_empty() {
        return text;
    }
    text.push_str("\n| seed | what | repeat |\n|---|---|---|\n");
    for failure in summary.failures.iter().take(LISTED_MAX) {
        let what = words(failure).replace('|', "\\|").replace('\n', " ");
        let _ = writeln!(
            text,
            "| {} | {what} | `{}` |",
            failure.seed,
            command(campaign, failure)
        );
    }
    if summary.failures.len() > LISTED_MAX {
        let more = summary.failures.len() - LISTED_MAX;
        let _ = writeln!(text, "\nand {more} more.");
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\n', "&#10;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Breach;
    use crate::promise::Promise;
    use crate::scenario::Expect;

    fn sample() -> (Campaign, Summary) {
        let campaign = Campaign {
            scenario: "drift <outside>".into(),
            file: "scenarios/drift.toml".into(),
            is_plan: false,
            seeds: 0..10,
            shard: (0, 1),
            jobs: 1,
            until: None,
            expect: Expect::default(),
        };
        let breach = Breach {
            promise: Promise::I1,
            site: "stale-swap",
            message: "a | b \"c\"".into(),
        };
        let summary = Summary {
            runs: 10,
            failures: vec![
                Failure {
                    seed: 3,
                    how: How::Broken(breach),
                },
                Failure {
                    seed: 7,
                    how: How::Panicked("no".into()),
                },
            ],
            missed: vec!["takeover".into()],
            ..Summary::default()
        };
        (campaign, summary)
    }

    #[test]
    fn every_form_names_the_seed_and_the_command() {
        let (campaign, summary) = sample();
        let json = json(&campaign, &summary).to_string();
        let forms = [
            json,
            junit(&campaign, &summary),
            markdown(&campaign, &summary),
        ];
        for form in forms {
            for seed in [3, 7] {
                let repeat = format!("maasl-sim run scenarios/drift.toml --seed {seed}");
                assert!(form.contains(&repeat), "{form}");
            }
            assert!(form.contains("takeover"), "{form}");
        }
    }

    #[test]
    fn a_plan_is_repeated_without_a_seed() {
        let (mut campaign, summary) = sample();
        campaign.is_plan = true;
        let repeat = command(&campaign, &summary.failures[0]);
        assert_eq!(repeat, "maasl-sim run scenarios/drift.toml");
    }

    #[test]
    fn marks_of_a_form_inside_a_text_are_escaped() {
        let (campaign, summary) = sample();
        let junit = junit(&campaign, &summary);
        assert!(junit.contains("name=\"drift &lt;outside&gt;\""), "{junit}");
        assert!(junit.contains("&quot;c&quot;"), "{junit}");
        assert!(markdown(&campaign, &summary).contains("a \\| b"));
    }
}
