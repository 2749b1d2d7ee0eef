//! `llmc_locks`.
//!
//! Owns: what people and agents see of leases. Promises: one row per lease and
//! resource, and never a lease id. Leaves to others: taking the snapshot.

use maasl_core::lease::outcome::Snapshot;
use maasl_core::lease::{Lease, StoreClock};
use maasl_core::resource::Want;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lease::{ModeWord, ScopeWord};
use super::{Effect, Spec};
use crate::server::arguments::NOTHING;
use crate::server::backend::Backend;
use crate::server::context::Cx;
use crate::server::envelope::Told;
use crate::server::time::rfc3339;

/// The tool.
pub(crate) struct Locks;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Only resources of this class.
    class: Option<String>,
    /// Only leases of this agent.
    agent: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Body {
    /// How many rows there are.
    count: u64,
    /// One row per lease and resource.
    locks: Vec<LockBody>,
    /// When this was so, RFC 3339.
    timestamp: String,
}

/// A resource that somebody holds.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LockBody {
    resource_key: String,
    class: String,
    holder_agent_id: String,
    holder_session_id: String,
    fencing_token: u64,
    /// Since when, RFC 3339.
    since: String,
    held_duration_ms: u64,
    /// Seconds until it expires unless renewed.
    ttl_remaining_sec: f64,
    /// Whether it has expired and nobody has needed it since.
    is_expired: bool,
    mode: ModeWord,
    scope: ScopeWord,
    /// What the holder says it is doing.
    intent: Option<String>,
    /// How many requests wait for it.
    waiters: u64,
}

impl Spec for Locks {
    const NAME: &'static str = "llmc_locks";
    const TITLE: &'static str = "Show who holds what";
    const DOC: &'static str = "Lists every resource that is held: by whom, for how long, until \
        when, what for, and how many wait.";
    const EFFECT: Effect = Effect::Reads;
    const COMMON: &'static [&'static str] = NOTHING;
    type Arguments = Arguments;
    type Body = Body;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<Body> {
        let body = cx.ask(move |backend| {
            let (snapshot, clock) = backend.snapshot()?;
            Ok(body(&snapshot, clock, &arguments))
        });
        body.await.into()
    }
}

fn body(snapshot: &Snapshot, clock: StoreClock, only: &Arguments) -> Body {
    let of_agent = |lease: &&Lease| {
        let agent = only.agent.as_deref();
        agent.is_none_or(|agent| lease.owner.agent.as_str() == agent)
    };
    let of_class = |want: &&Want| {
        only.class
            .as_ref()
            .is_none_or(|class| *want.class == **class)
    };
    let leases = snapshot.leases.iter().filter(of_agent);
    let mut locks: Vec<LockBody> = leases
        .flat_map(|lease| {
            let wants = lease.wants.iter().filter(of_class);
            wants.map(|want| row(lease, want, snapshot, clock))
        })
        .collect();
    locks.sort_by(|left, right| {
        let key = |lock: &LockBody| (lock.resource_key.clone(), lock.fencing_token);
        key(left).cmp(&key(right))
    });
    Body {
        count: locks.len() as u64,
        locks,
        timestamp: rfc3339(clock.wall_ms),
    }
}

/// What the tool answers, for the command line.
pub(crate) fn locks_json(
    snapshot: &Snapshot,
    clock: StoreClock,
    class: Option<String>,
    agent: Option<String>,
) -> serde_json::Value {
    let body = body(snapshot, clock, &Arguments { class, agent });
    serde_json::to_value(body).expect("the body is made of texts and numbers")
}

fn row(lease: &Lease, want: &Want, snapshot: &Snapshot, clock: StoreClock) -> LockBody {
    let waits = |wants: &[Want]| wants.iter().any(|other| other.conflicts(want));
    let waiters = snapshot
        .tickets
        .iter()
        .filter(|ticket| !ticket.is_lapsed(clock.now) && waits(&ticket.wants))
        .count();
    LockBody {
        resource_key: want.extent.key.to_string(),
        class: want.class.to_string(),
        holder_agent_id: lease.owner.agent.to_string(),
        holder_session_id: lease.owner.session.to_string(),
        fencing_token: lease.token.number(),
        since: rfc3339(lease.granted_wall_ms),
        held_duration_ms: clock.now.ms_since(lease.granted_at),
        ttl_remaining_sec: lease.expires_at.duration_from(clock.now).as_secs_f64(),
        is_expired: lease.is_expired(clock.now),
        mode: want.mode.into(),
        scope: want.extent.scope.into(),
        intent: lease.purpose.as_deref().map(String::from),
        waiters: waiters as u64,
    }
}
