//! Running a model, and seeing that it finds what it should.
//!
//! Owns: the bounds of the search, and the count of what was tried. Promises: a
//! search that was cut short or had nothing to choose fails; a planted bug is
//! looked for in a process of its own, since a bug that is found while threads
//! are taken down may end the process. Leaves to others: what is checked.

use std::env;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::model::Builder;
use tracing_subscriber::EnvFilter;

/// Set in a process that is to fail.
const PLANTED: &str = "MAASL_LOOM_PLANTED";

/// How far to search.
#[derive(Clone, Copy)]
pub(crate) enum Search {
    /// Every order there is.
    Whole,
    /// Every order in which threads are interrupted at most so often where they
    /// could have gone on. Bugs need few interruptions [Musuvathi and Qadeer,
    /// 2007], and with three threads the rest takes minutes.
    Interrupted(usize),
}

impl Search {
    fn builder(self) -> Builder {
        let mut builder = Builder::new();
        if let (Self::Interrupted(at_most), None) = (self, builder.preemption_bound) {
            builder.preemption_bound = Some(at_most);
        }
        // Steps of one execution, far above what any model takes: reaching it
        // means that a thread spins.
        builder.max_branches = builder.max_branches.max(20_000);
        builder
    }

    /// Tries the orders of `model`, of which there must be at least so many.
    #[track_caller]
    pub(crate) fn of(self, orders_min: usize, model: impl Fn() + Send + Sync + 'static) {
        let tried = self.run(model);
        println!("{tried} orders tried");
        // Whoever repeats a failure starts in the middle.
        if env::var_os("LOOM_CHECKPOINT_FILE").is_none() {
            assert!(
                tried >= orders_min,
                "only {tried} orders were tried, not {orders_min}"
            );
        }
    }

    /// Sees that loom finds the bug in `model`, which is that of `test`, and says
    /// `what` about it.
    #[track_caller]
    pub(crate) fn finds(self, test: &str, what: &str, model: impl Fn() + Send + Sync + 'static) {
        if env::var_os(PLANTED).is_some() {
            self.run(model);
            return;
        }
        let mut child = Command::new(env::current_exe().unwrap());
        child.args([test, "--exact", "--nocapture"]);
        let ended = child.env(PLANTED, "1").output().unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!ended.status.success(), "nothing was found: {said}");
        assert!(
            said.contains(what),
            "{what:?} is not what was found: {said}"
        );
    }

    fn run(self, model: impl Fn() + Send + Sync + 'static) -> usize {
        let tried = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tried);
        let log = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::from_env("LOOM_LOG"))
            .with_test_writer()
            .without_time()
            .finish();
        tracing_subscriber::util::SubscriberInitExt::set_default(log);
        self.builder().check(move || {
            count.fetch_add(1, Ordering::Relaxed);
            model();
        });
        tried.load(Ordering::Relaxed)
    }
}
