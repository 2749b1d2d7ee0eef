//! Lines of JSON-RPC.
//!
//! Owns: what a client sends as arbitrary bytes, and a backend that refuses all.
//! Promises: the server comes to an end, speaks nothing but the protocol, and says
//! no more than a bounded amount for each line. Leaves to others: what tools do
//! (`tools`).

use std::sync::Arc;

use maasl_core::config::Config;
use maasl_core::coordinator::io::{Call, Response};
use maasl_core::database::FoundSpan;
use maasl_core::docgen::{Checked, DocgenRecord};
use maasl_core::id::{ContentHash, Entropy, SessionId};
use maasl_core::lease::outcome::Snapshot;
use maasl_core::lease::{StoreClock, Version};
use maasl_core::refusal::Refusal;
use maasl_mcp::server::{Backend, OnWait};
use maasl_node::store::Counters;
use tokio_util::sync::CancellationToken;

use crate::server::{HELLO, exchange, runtime};

/// Bytes of one answer; that with all tools is the longest.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Lines that are sent: a list of all tools is an answer to a short one.
const LINES_MAX: usize = 40;

/// Tries bytes as lines. If the first is `+`, after a proper beginning.
pub fn run(bytes: &[u8]) {
    let (mut input, rest) = match bytes.split_first() {
        Some((b'+', rest)) => (HELLO.as_bytes().to_vec(), rest),
        _ => (Vec::new(), bytes),
    };
    for line in rest.split_inclusive(|byte| *byte == b'\n').take(LINES_MAX) {
        input.extend_from_slice(line);
    }
    let lines = input.split(|byte| *byte == b'\n').count();
    let length = input.len();
    let said = runtime().block_on(exchange(Arc::new(Refusing::new()), input));
    assert!(
        said.len() <= lines,
        "{} answers to {lines} lines",
        said.len()
    );
    for message in said {
        let said = message.to_string();
        assert!(
            said.len() <= ANSWER_BYTES_MAX + 8 * length,
            "{} bytes",
            said.len()
        );
        assert!(!said.contains("a bug: "), "{said}");
    }
}

/// A process that does nothing.
struct Refusing {
    config: Config,
    session: SessionId,
}

impl Refusing {
    fn new() -> Self {
        Self {
            config: Config::default(),
            session: SessionId::new("a-session-of-nobody"),
        }
    }
}

impl Backend for Refusing {
    fn config(&self) -> &Config {
        &self.config
    }

    fn session(&self) -> &SessionId {
        &self.session
    }

    async fn call(&self, _: Call, _: CancellationToken, _: Option<OnWait>) -> Response {
        Response {
            result: Err(Refusal::Cancelled),
            lost: Vec::new(),
            observed: Vec::new(),
        }
    }

    fn history(&self, _: &str, _: u32) -> Result<(String, Vec<Version>), Refusal> {
        Err(Refusal::Cancelled)
    }

    fn is_kept(&self, _: &ContentHash) -> bool {
        false
    }

    fn snapshot(&self) -> Result<(Snapshot, StoreClock), Refusal> {
        Err(Refusal::Cancelled)
    }

    fn find_spans(&self, _: &str, _: u32) -> Result<Vec<FoundSpan>, Refusal> {
        Err(Refusal::Cancelled)
    }

    fn counters(&self) -> Result<Counters, Refusal> {
        Err(Refusal::Cancelled)
    }

    fn docgen_log(&self, _: u32) -> Result<(Vec<DocgenRecord>, StoreClock), Refusal> {
        Err(Refusal::Cancelled)
    }

    fn docgen_check(&self, _: Option<&[String]>) -> Result<Vec<Checked>, Refusal> {
        Err(Refusal::Cancelled)
    }

    fn entropy(&self) -> Entropy {
        Entropy::new([7; 32])
    }
}
