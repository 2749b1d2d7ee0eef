//! A progress bar on a terminal, nothing elsewhere.
//!
//! Owns: what is seen while a half runs. Promises: standard output is never
//! touched. Leaves to others: the result.

use std::io::IsTerminal as _;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::half::Setting;

/// The bar of one half.
pub(super) struct Progress {
    bar: ProgressBar,
    start: Instant,
}

impl Progress {
    pub(super) fn new(title: &'static str, setting: &Setting) -> Self {
        let millis = u64::try_from(setting.duration.as_millis()).unwrap_or(u64::MAX);
        let shown = setting.with_progress && std::io::stderr().is_terminal();
        let bar = if shown {
            ProgressBar::with_draw_target(Some(millis), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{prefix:>17} [{bar:32}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(title);
        let start = Instant::now();
        Self { bar, start }
    }

    /// Shows how far it is.
    pub(super) fn show(&self, acknowledged: u64) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let end = self.bar.length().unwrap_or(elapsed);
        self.bar.set_position(elapsed.min(end));
        self.bar
            .set_message(format!("{acknowledged} changes acknowledged"));
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
