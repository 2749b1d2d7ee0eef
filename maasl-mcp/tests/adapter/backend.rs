//! A backend that answers by a script.
//!
//! Owns: waits that end when a test says so. Promises: every call is recorded.
//! Leaves to others: answers (`samples`) and what is right.

use std::sync::Mutex;
use std::time::Duration;

use maasl_core::config::Config;
use maasl_core::coordinator::io::{Call, CallId, Event, Reply, Request, Response};
use maasl_core::database::FoundSpan;
use maasl_core::docgen::{Checked, DocgenRecord};
use maasl_core::id::{AgentId, ContentHash, Entropy, SessionId, Token};
use maasl_core::lease::counter::HOUR_MS;
use maasl_core::lease::outcome::Snapshot;
use maasl_core::lease::{StoreClock, Version};
use maasl_core::refusal::Refusal;
use maasl_core::time::Timestamp;
use maasl_mcp::server::{Backend, OnWait};
use maasl_node::store::{CounterRow, Counters};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::samples::{WALL_MS, blocker, checked, docgen_records, snapshot};

/// What a call does.
pub(crate) enum Step {
    /// Answers at once.
    Answer(Response),
    /// Answers after a moment, and is cancelled meanwhile if anybody asks.
    Slow(Reply),
    /// Waits some times, then answers.
    Wait { times: u32, then: Response },
    /// Waits until it is cancelled.
    Forever,
}

pub(crate) struct Scripted {
    config: Config,
    session: SessionId,
    script: Box<dyn Fn(&Call) -> Step + Send + Sync>,
    calls: Mutex<Vec<Call>>,
    waiting: watch::Sender<u32>,
    cancelled: watch::Sender<u32>,
}

impl Scripted {
    /// Bytes that a line may have.
    pub(crate) const LINE_BYTES: usize = 2 * 4_096 + (1 << 20);

    pub(crate) fn new(script: impl Fn(&Call) -> Step + Send + Sync + 'static) -> Self {
        let mut config = Config::default();
        config.limits.max_read_bytes = 1_024;
        config.limits.max_file_bytes = 4_096;
        Self {
            config,
            session: SessionId::new("session-of-the-test"),
            script: Box::new(script),
            calls: Mutex::default(),
            waiting: watch::Sender::new(0),
            cancelled: watch::Sender::new(0),
        }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn cancelled(&self) -> u32 {
        *self.cancelled.borrow()
    }

    pub(crate) async fn until_waiting(&self, count: u32) {
        until(&self.waiting, count).await;
    }

    pub(crate) async fn until_cancelled(&self, count: u32) {
        until(&self.cancelled, count).await;
    }

    fn wait(&self, on_wait: Option<&OnWait>, round: u32) {
        if let Some(on_wait) = on_wait {
            on_wait(&Event::Waiting {
                call: CallId(1),
                blockers: vec![blocker()],
                place: 1,
                waited_ms: u64::from(round) * 10,
                allowed_ms: 500,
            });
        }
        self.waiting.send_modify(|count| *count += 1);
    }
}

async fn until(counter: &watch::Sender<u32>, count: u32) {
    let mut seen = counter.subscribe();
    let reached = seen.wait_for(|now| *now >= count);
    let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
    reached.expect("in time").expect("the counter is there");
}

impl Backend for Scripted {
    fn config(&self) -> &Config {
        &self.config
    }

    fn session(&self) -> &SessionId {
        &self.session
    }

    async fn call(
        &self,
        call: Call,
        cancel: CancellationToken,
        on_wait: Option<OnWait>,
    ) -> Response {
        self.calls.lock().unwrap().push(call.clone());
        if matches!(call.request_body, Request::ReleaseAll) {
            return done(Reply::Ended { is_settled: true });
        }
        match (self.script)(&call) {
            Step::Answer(response) => response,
            Step::Slow(reply) => {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(100)) => done(reply),
                    () = cancel.cancelled() => self.give_up(),
                }
            }
            Step::Wait { times, then } => {
                for round in 0..times {
                    self.wait(on_wait.as_ref(), round);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                then
            }
            Step::Forever => {
                self.wait(on_wait.as_ref(), 0);
                cancel.cancelled().await;
                self.give_up()
            }
        }
    }

    fn history(&self, path: &str, limit: u32) -> Result<(String, Vec<Version>), Refusal> {
        let version = |number| Version {
            path: path.to_owned(),
            number,
            content: (number != 2).then(|| ContentHash::of(b"x")),
            token: Token::from_number(number),
            agent: AgentId::new("alice"),
            op: "write".to_owned(),
            wall_ms: WALL_MS,
            size_bytes: 1,
        };
        let versions = [3, 2, 1].into_iter().take(limit as usize).map(version);
        Ok((path.to_owned(), versions.collect()))
    }

    fn is_kept(&self, _: &ContentHash) -> bool {
        true
    }

    fn snapshot(&self) -> Result<(Snapshot, StoreClock), Refusal> {
        let clock = StoreClock {
            now: Timestamp::ZERO.plus_ms(5_000),
            wall_ms: WALL_MS,
        };
        Ok((snapshot(), clock))
    }

    fn find_spans(&self, query: &str, limit: u32) -> Result<Vec<FoundSpan>, Refusal> {
        assert!(limit > 0);
        Ok(vec![FoundSpan {
            path: "a.txt".to_owned(),
            start_line: 1,
            end_line: 3,
            sha256: Some(ContentHash::of(b"x")),
            summary: query.to_owned(),
            tags: vec!["tag".to_owned()],
            agent: "alice".to_owned(),
            wall_ms: WALL_MS,
            score: 1.5,
            is_current: true,
        }])
    }

    fn counters(&self) -> Result<Counters, Refusal> {
        let entry = |name: &str| {
            let row = CounterRow {
                hour: WALL_MS / HOUR_MS,
                agent: "alice".to_owned(),
                name: name.to_owned(),
                class: "CRIT_CODE".to_owned(),
            };
            (row, 2)
        };
        Ok(["acquired", "merged", "wait_040"].map(entry).into())
    }

    fn docgen_log(&self, limit: u32) -> Result<(Vec<DocgenRecord>, StoreClock), Refusal> {
        let (_, clock) = self.snapshot()?;
        let records = docgen_records().into_iter().take(limit as usize);
        Ok((records.collect(), clock))
    }

    fn docgen_check(&self, paths: Option<&[String]>) -> Result<Vec<Checked>, Refusal> {
        let checked = checked();
        let named = |one: &Checked| paths.is_none_or(|paths| paths.contains(&one.source));
        Ok(checked.into_iter().filter(named).collect())
    }

    fn entropy(&self) -> Entropy {
        Entropy::new([7; 32])
    }
}

impl Scripted {
    fn give_up(&self) -> Response {
        self.cancelled.send_modify(|count| *count += 1);
        Response {
            result: Err(Refusal::Cancelled),
            lost: Vec::new(),
            observed: Vec::new(),
        }
    }
}

fn done(reply: Reply) -> Response {
    Response {
        result: Ok(reply),
        lost: Vec::new(),
        observed: Vec::new(),
    }
}
