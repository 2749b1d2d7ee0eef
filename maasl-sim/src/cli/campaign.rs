//! `maasl-sim campaign`: many seeds of scenarios, on all cores.
//!
//! Owns: the arguments, the progress and where the reports go. Promises: one
//! command to copy for every failure. Leaves to others: running (`campaign`).

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::output::Output;
use super::{CliError, Verdict, input};
use crate::campaign::{Campaign, Summary, report};

/// Arguments of `campaign`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scenarios
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Which seeds, the last one not included
    #[arg(long, value_parser = seeds, default_value = "0..1000", value_name = "A..B")]
    seeds: Range<u64>,
    /// On how many threads; all cores if not given
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Begin no further seed after so many minutes
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Take only the nth part of the seeds, counted from 0
    #[arg(long, value_parser = shard, default_value = "0/1", value_name = "N/OF")]
    shard: (u64, u64),
    /// Write the results for programs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the results for build servers
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the results for people
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub(super) fn seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} is no range of seeds; write 0..1000");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let from = from.parse().map_err(|_| wrong())?;
    let to = to.parse().map_err(|_| wrong())?;
    if from >= to {
        return Err(format!("{text:?} holds no seed"));
    }
    Ok(from..to)
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("{text:?} is no part; write 0/2 and 1/2");
    let (part, parts) = text.split_once('/').ok_or_else(wrong)?;
    let part: u64 = part.parse().map_err(|_| wrong())?;
    let parts: u64 = parts.parse().map_err(|_| wrong())?;
    (part < parts).then_some((part, parts)).ok_or_else(wrong)
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, CliError> {
    let minutes = arguments
        .minutes
        .map(|minutes| Duration::from_secs(minutes * 60));
    let until = minutes.map(|minutes| Instant::now() + minutes);
    let jobs = arguments.jobs.or_else(cores).unwrap_or(1);
    let mut done = Vec::new();
    for file in &arguments.files {
        let (campaign, summary) = one(arguments, file, jobs, until)?;
        output.line(report::markdown(&campaign, &summary).trim_end());
        done.push((campaign, summary));
    }
    write_reports(arguments, &done)?;
    let good = done.iter().all(|(_, summary)| summary.is_good());
    Ok(if good { Verdict::Held } else { Verdict::Broken })
}

fn cores() -> Option<usize> {
    std::thread::available_parallelism().ok().map(usize::from)
}

fn one(
    arguments: &Arguments,
    file: &Path,
    jobs: usize,
    until: Option<Instant>,
) -> Result<(Campaign, Summary), CliError> {
    let source = input::source(file)?;
    let campaign = Campaign {
        scenario: source.name().to_owned(),
        file: file.display().to_string(),
        is_plan: matches!(source, input::Source::Plan(_)),
        seeds: arguments.seeds.clone(),
        shard: arguments.shard,
        jobs,
        until,
        expect: source.expect(),
    };
    let bar = ProgressBar::new((campaign.seeds.end - campaign.seeds.start) / campaign.shard.1);
    let style = "{msg} {bar:30} {pos} of {len} seeds, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style);
    bar.set_style(style.expect("the template is a constant"));
    bar.set_message(campaign.scenario.clone());
    let summary = campaign.run(&|seed| source.plan(seed), &|done| bar.set_position(done));
    bar.finish_and_clear();
    Ok((campaign, summary))
}

fn write_reports(arguments: &Arguments, done: &[(Campaign, Summary)]) -> Result<(), CliError> {
    if let Some(file) = &arguments.json {
        let all = done
            .iter()
            .map(|(campaign, summary)| report::json(campaign, summary));
        fs::write(file, Value::Array(all.collect()).to_string())?;
    }
    if let Some(file) = &arguments.junit {
        let suites = done
            .iter()
            .map(|(campaign, summary)| report::junit(campaign, summary));
        let text: String = suites.collect();
        let text = text.replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "");
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
        fs::write(file, format!("{head}{text}</testsuites>\n"))?;
    }
    if let Some(file) = &arguments.markdown {
        let all = done.iter();
        let text = all.map(|(campaign, summary)| report::markdown(campaign, summary) + "\n");
        fs::write(file, text.collect::<String>())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_shards_are_checked() {
        assert_eq!(seeds("5..9"), Ok(5..9));
        for wrong in ["5", "9..5", "5..5", "a..b", "-1..3", "5..=9"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(shard("1/2"), Ok((1, 2)));
        for wrong in ["2/2", "1", "0/0", "x/2"] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }
}
