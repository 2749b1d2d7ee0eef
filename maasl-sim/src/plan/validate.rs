//! Whether a plan can be run.
//!
//! Owns: what a plan must have for a world to be made of it. Promises: what
//! passes runs without a panic of the world's own. Leaves to others: whether it
//! makes sense.

use std::collections::BTreeSet;

use maasl_core::config::Config;
use maasl_core::docgen::Layout;
use maasl_core::policy::{CRIT_CODE, CRIT_DB, IDEMP_DOCS, MERGE_META};
use serde_json::Value;

use super::fault::{FaultKind, When};
use super::{PLAN_VERSION, Plan};

/// The longest time a plan can speak of.
const YEAR_MS: i64 = 366 * 24 * 60 * 60 * 1000;

/// The shortest rest of a process: without one it would do nothing else.
const HOUSEKEEPING_MS_MIN: u64 = 100;

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct PlanError {
    /// Where.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

fn wrong(field: impl Into<String>, message: impl Into<String>) -> PlanError {
    PlanError {
        field: field.into(),
        message: message.into(),
    }
}

impl Plan {
    /// Whether a world can be made of it; the first reason why not.
    pub fn validate(&self) -> Result<(), PlanError> {
        if self.plan_version != PLAN_VERSION {
            let message = format!("is {}; this program runs {PLAN_VERSION}", self.plan_version);
            return Err(wrong("plan_version", message));
        }
        let names = self.unique_names()?;
        for agent in &self.agents {
            let field = format!("agents.{}.process", agent.name);
            known(&names, &agent.process, field)?;
        }
        for (index, fault) in self.faults.iter().enumerate() {
            let field = format!("faults[{index}]");
            if let When::Point(point) = &fault.when {
                known(&names, &point.process, format!("{field}.when.process"))?;
            }
            if let Some(process) = fault.what.process() {
                known(&names, process, format!("{field}.what.process"))?;
            }
        }
        self.validate_timing()?;
        let whole = serde_json::to_value(self);
        let whole = whole.expect("a plan has only names, numbers and lists");
        within_limits(&whole, "", "")?;
        let rests = self.settings.housekeeping_ms;
        if rests.is_some_and(|ms| ms < HOUSEKEEPING_MS_MIN) {
            let message = format!("at least {HOUSEKEEPING_MS_MIN} is needed");
            return Err(wrong("settings.housekeeping_ms", message));
        }
        let config = self.config();
        config
            .validate()
            .map_err(|error| wrong("settings", error.to_string()))
    }

    /// The product's configuration under this plan.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        let settings = &self.settings;
        if let Some(ppm) = settings.clock_drift_ppm {
            config.clock_drift_ppm = ppm;
        }
        if let Some(ms) = settings.latch_wait_ms {
            config.limits.latch_wait_ms = ms;
        }
        if let Some(ms) = settings.gate_wait_ms {
            config.limits.gate_wait_ms = ms;
        }
        if settings.generator == Some(true) {
            config.docgen.command = vec!["generator".into()];
        }
        if settings.flat_documents == Some(true) {
            config.docgen.layout = Layout::Flat;
        }
        for class in [CRIT_CODE, CRIT_DB, IDEMP_DOCS, MERGE_META] {
            self.set_policy(&mut config, class);
        }
        config
    }

    /// Calls take leases of several classes; the settings are for all of them.
    fn set_policy(&self, config: &mut Config, class: &str) {
        let settings = &self.settings;
        let known = config.policies.get(class);
        let mut policy = known.expect("a built-in class is always there").clone();
        let set = |place: &mut u64, value: Option<u64>| {
            if let Some(value) = value {
                *place = value;
            }
        };
        set(&mut policy.lease_ttl_ms, settings.lease_ttl_ms);
        set(&mut policy.lock_delay_ms, settings.lock_delay_ms);
        let interactive = settings.interactive_max_wait_ms;
        set(&mut policy.interactive_max_wait_ms, interactive);
        set(&mut policy.batch_max_wait_ms, settings.batch_max_wait_ms);
        let replaced = config.policies.insert(policy);
        replaced.expect("a class with another lease is still the same class");
    }

    fn unique_names(&self) -> Result<BTreeSet<&str>, PlanError> {
        let mut names = BTreeSet::new();
        for process in &self.processes {
            if !names.insert(process.name.as_str()) {
                let message = format!("there are two named {:?}", process.name);
                return Err(wrong("processes", message));
            }
        }
        if names.is_empty() || names.len() > 1_000 {
            return Err(wrong("processes", "between 1 and 1,000 are needed"));
        }
        if self.agents.len() > 10_000 {
            return Err(wrong("agents", "at most 10,000 can take part"));
        }
        Ok(names)
    }

    fn validate_timing(&self) -> Result<(), PlanError> {
        let timing = &self.timing;
        for (name, table) in timing.tables() {
            if table.is_empty() {
                let field = format!("timing.{name}");
                return Err(wrong(field, "needs at least one entry"));
            }
        }
        Ok(())
    }
}

/// The greatest number, above or below zero, that a field of this name may hold:
/// all times of a world must be countable in nanoseconds by clocks that run at
/// most twice as fast.
pub(crate) fn limit_of(field: &str) -> i64 {
    if field.ends_with("_ms") {
        YEAR_MS
    } else if field.ends_with("_us") {
        YEAR_MS * 1_000
    } else if field.ends_with("ppm") {
        999_999
    } else {
        i64::MAX
    }
}

fn within_limits(value: &Value, path: &str, field: &str) -> Result<(), PlanError> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            within_limits(value, &path, name)
        }),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(at, item)| within_limits(item, &format!("{path}[{at}]"), field))
        }
        Value::Number(number) => {
            let limit = limit_of(field);
            let inside = number
                .as_i64()
                .is_some_and(|number| number.unsigned_abs() <= limit.unsigned_abs());
            if inside || limit == i64::MAX {
                return Ok(());
            }
            Err(wrong(
                path,
                format!("{number} is too much; at most {limit}"),
            ))
        }
        _ => Ok(()),
    }
}

fn known(names: &BTreeSet<&str>, name: &str, field: String) -> Result<(), PlanError> {
    if names.contains(name) {
        return Ok(());
    }
    let list: Vec<&str> = names.iter().copied().collect();
    let message = format!("{name:?} is no process; there are {}", list.join(", "));
    Err(wrong(field, message))
}

impl FaultKind {
    /// The process it strikes, where it strikes one.
    #[must_use]
    pub fn process(&self) -> Option<&str> {
        match self {
            Self::Kill { process, .. }
            | Self::Pause { process, .. }
            | Self::ClockStep { process, .. }
            | Self::ClockDrift { process, .. }
            | Self::ClockFreeze { process, .. }
            | Self::Delay { process, .. }
            | Self::Drop { process, .. }
            | Self::Duplicate { process, .. }
            | Self::Partition { process, .. }
            | Self::Hold { process, .. }
            | Self::StoreFails { process, .. }
            | Self::EffectFails { process, .. }
            | Self::ShortWrite { process, .. } => Some(process),
            Self::PowerCut { .. }
            | Self::Suspend { .. }
            | Self::StoreClockStep { .. }
            | Self::WallClockStep { .. }
            | Self::StoreBusy { .. }
            | Self::StoreSlow { .. }
            | Self::StoreFull { .. }
            | Self::DiskFull { .. }
            | Self::Forbidden { .. }
            | Self::BitFlip { .. }
            | Self::OutsideWrite { .. }
            | Self::OutsideDelete { .. }
            | Self::StoreRestored { .. } => None,
        }
    }
}
