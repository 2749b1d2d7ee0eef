//! Memory and SQLite answer alike, whatever they are asked.
//!
//! Random commands go to both, on one clock; the first answer that differs is
//! the failure, and its message names the seed.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::{AgentId, LeaseId, OpId, TicketNo, Token};
use maasl_core::lease::command::{Acquire, Inspect, Open, Revoke, Sweep};
use maasl_core::lease::{Command, LeaseKind, Outcome};
use maasl_core::policy::Urgency;
use maasl_core::resource::{Extent, Mode, ResourceKey, Scope, Want, canonical};
use maasl_node::store::{MemoryStore, OpenOptions, Store};

use super::bench::{
    BOOT, TTL_MS, Time, ask_for, extent, finish, intent, key, open, options, owner, release,
    request, want,
};

const PATHS: [&str; 7] = ["", "p", "p/q", "p/q/r", "p-q", "s", "s/%"];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[test]
fn stores_agree() {
    for seed in 0..12 {
        agree(seed);
    }
}

fn agree(seed: u64) {
    let root = tempfile::tempdir().unwrap();
    let time = Time::new();
    let clock = time.clock();
    let sqlite = open(root.path(), OpenOptions { clock, ..options() });
    let memory = MemoryStore::with_clock(time.clock());
    begin_alike(&memory, &sqlite.meta().unwrap());
    let mut source = Source {
        state: seed,
        ..Source::default()
    };
    for step in 0..250 {
        time.pass_ms(source.pick(&[0, 1, 100, TTL_MS / 4]));
        let command = source.command();
        let answers = [&sqlite as &dyn Store, &memory].map(|store| {
            let outcome = store.transact(&command).unwrap();
            comparable(outcome)
        });
        let [found, expected] = &answers;
        assert_eq!(found, expected, "seed {seed}, step {step}: {command:?}");
        source.learn(found);
    }
    assert_eq!(sqlite.counters().unwrap(), memory.counters().unwrap());
    for path in PATHS {
        let history = |store: &dyn Store| store.history(path, 20).unwrap();
        assert_eq!(history(&sqlite), history(&memory), "seed {seed}, {path}");
    }
}

/// Lets tokens in memory begin where those of the other store do.
fn begin_alike(memory: &MemoryStore, meta: &maasl_core::lease::Meta) {
    let floor = Token::new(meta.generation, meta.next_sequence - 1).unwrap();
    let open = Command::Open(Open {
        store: "unused".into(),
        boot: BOOT.into(),
        floor,
        first_sequence: 1,
        session: None,
    });
    memory.transact(&open).unwrap();
}

/// Two stores have names and reservations of their own.
fn comparable(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Snapshot(mut snapshot) => {
            snapshot.meta.store = "".into();
            snapshot.meta.reserved_through = Token::default();
            Outcome::Snapshot(snapshot)
        }
        other => other,
    }
}

/// Random commands that often refer to what was answered before.
#[derive(Default)]
struct Source {
    state: u64,
    made: u64,
    leases: BTreeMap<LeaseId, maasl_core::lease::Lease>,
    tickets: Vec<TicketNo>,
    ops: Vec<OpId>,
}

impl Source {
    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn name(&mut self) -> &'static str {
        self.pick(&NAMES)
    }

    fn place(&mut self) -> Extent {
        extent(
            self.pick(&PATHS),
            self.pick(&[Scope::Exact, Scope::Subtree]),
        )
    }

    fn command(&mut self) -> Command {
        match self.below(16) {
            0..6 => Command::Acquire(self.acquire()),
            6..8 => self.with_lease(|lease| release(lease, all_keys())),
            8 => self.with_lease(|lease| Command::Renew(lease.id.clone())),
            9 => {
                let op = format!("op-{}", self.next());
                self.ops.push(OpId::new(op.clone()));
                self.with_lease(|lease| {
                    let path = lease.keys().next().unwrap().as_str();
                    let path = path.strip_prefix("code:").unwrap();
                    Command::BeginCommit(intent(lease, &op, &[path], &op))
                })
            }
            10 if !self.ops.is_empty() => {
                let op = self.below(self.ops.len());
                finish(self.ops.swap_remove(op).as_str())
            }
            11 if !self.tickets.is_empty() => {
                let tickets = self.tickets.clone();
                Command::Cancel(self.pick(&tickets))
            }
            12 => Command::Revoke(Revoke {
                target: self.place(),
                by: AgentId::new("human"),
                reason: "chance".into(),
                latched: all_keys(),
            }),
            13 => Command::Sweep(Sweep {
                dead: [owner(self.name()).session].into(),
            }),
            14 => Command::Inspect(Inspect {
                extent: self.place(),
                path: Some(self.pick(&PATHS).into()),
            }),
            _ => Command::Snapshot,
        }
    }

    fn with_lease(
        &mut self,
        command: impl FnOnce(&maasl_core::lease::Lease) -> Command,
    ) -> Command {
        let known: Vec<_> = self.leases.values().cloned().collect();
        if known.is_empty() {
            return Command::Snapshot;
        }
        command(&self.pick(&known))
    }

    fn acquire(&mut self) -> Acquire {
        self.made += 1;
        let wants: Vec<Want> = (0..=self.below(2))
            .map(|_| {
                let mode = self.pick(&[Mode::Exclusive, Mode::Shared]);
                want(self.pick(&PATHS), self.place().scope, mode)
            })
            .collect();
        let tickets: Vec<_> = self.tickets.iter().rev().take(3).copied().collect();
        let ticket = (!tickets.is_empty()).then(|| self.pick(&tickets));
        let idempotent = format!("key-{}", self.below(20));
        Acquire {
            lease: LeaseId::new(format!("lease-{}", self.made)),
            kind: self.pick(&[LeaseKind::Call, LeaseKind::Reservation]),
            lock_delay_ms: self.pick(&[0, 50]),
            urgency: self.pick(&[Urgency::Interactive, Urgency::Batch]),
            wait_ms: self.pick(&[0, 10_000, 10_000]),
            ticket: ticket.filter(|_| self.below(2) == 0),
            dead: self.pick(&[BTreeSet::new(), [owner("d").session].into()]),
            latched: self.pick(&[BTreeSet::new(), all_keys(), all_keys()]),
            request: self.pick(&[None, None, None, Some(request(&idempotent))]),
            ..ask_for(self.name(), canonical(wants))
        }
    }

    fn learn(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Granted { lease, .. } => {
                self.leases.insert(lease.id.clone(), lease.clone());
            }
            Outcome::Queued { ticket, .. } => self.tickets.push(*ticket),
            _ => {}
        }
    }
}

fn all_keys() -> BTreeSet<ResourceKey> {
    PATHS.map(key).into()
}
