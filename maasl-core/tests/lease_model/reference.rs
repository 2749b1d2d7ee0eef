//! The rules of leases said a second time, as plainly as possible.
//!
//! Owns: what each command must answer, judged from lists. Promises: shares no
//! code with the table: own keys, own overlap, own queue. Leaves to others:
//! driving the table and comparing (`world`).

use std::collections::BTreeSet;

/// A place in the tree.
pub(crate) type Path = Vec<&'static str>;
/// Session number and agent number.
pub(crate) type Who = (u32, u32);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) path: Path,
    pub(crate) deep: bool,
    pub(crate) alone: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) id: u32,
    pub(crate) token: u64,
    pub(crate) who: Who,
    pub(crate) needs: Vec<Need>,
    pub(crate) kept: bool,
    pub(crate) expires: u64,
    pub(crate) ttl: u64,
    pub(crate) delay: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) no: u64,
    pub(crate) id: u32,
    pub(crate) who: Who,
    pub(crate) needs: Vec<Need>,
    pub(crate) patient: bool,
    pub(crate) deadline: u64,
    pub(crate) passed_by: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) op: u32,
    pub(crate) id: u32,
    pub(crate) token: u64,
    pub(crate) path: Path,
    pub(crate) latches: BTreeSet<Path>,
    pub(crate) release: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) id: u32,
    pub(crate) who: Who,
    pub(crate) needs: Vec<Need>,
    pub(crate) kept: bool,
    pub(crate) patient: bool,
    pub(crate) ttl: u64,
    pub(crate) delay: u64,
    pub(crate) wait: u64,
    pub(crate) ticket: Option<u64>,
    pub(crate) dead: BTreeSet<u32>,
    pub(crate) latched: BTreeSet<Path>,
}

/// What a request must be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Lost,
    Again(u64),
    Latches(BTreeSet<Path>),
    Recovery(BTreeSet<u32>),
    Grant,
    Blocked { place: usize },
}

pub(crate) const MAX_WAITERS: u32 = 4;

#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    pub(crate) now: u64,
    pub(crate) grants: Vec<Grant>,
    pub(crate) waiters: Vec<Waiter>,
    pub(crate) open: Vec<Open>,
    pub(crate) ended: BTreeSet<u32>,
}

fn under(top: &Path, path: &Path) -> bool {
    path.len() >= top.len() && path[..top.len()] == top[..]
}

pub(crate) fn touch(a: &Need, b: &Need) -> bool {
    a.path == b.path || (a.deep && under(&a.path, &b.path)) || (b.deep && under(&b.path, &a.path))
}

pub(crate) fn clash(a: &[Need], b: &[Need]) -> bool {
    let two = |x: &Need, y: &Need| (x.alone || y.alone) && touch(x, y);
    a.iter().any(|x| b.iter().any(|y| two(x, y)))
}

/// What stands between a request and its grant.
#[derive(Default, Debug)]
struct Way {
    over: Vec<u64>,
    died: Vec<u64>,
    shut: bool,
    ahead: Vec<u64>,
    passed: Vec<u64>,
    lapsed: Vec<u64>,
}

impl Reference {
    /// The place this request has in the queue.
    pub(crate) fn own(&self, ask: &Ask) -> Option<u64> {
        let live = |w: &&Waiter| w.id == ask.id && self.now < w.deadline;
        self.waiters.iter().find(live).map(|w| w.no)
    }

    fn way(&self, ask: &Ask) -> Way {
        let mut way = Way::default();
        for grant in self.grants.iter().filter(|g| clash(&g.needs, &ask.needs)) {
            let dead = ask.dead.contains(&grant.who.0);
            let over = self.now >= grant.expires + grant.delay || (dead && grant.delay == 0);
            if over {
                way.over.push(grant.token);
            } else {
                way.shut = true;
                if dead && self.now < grant.expires {
                    way.died.push(grant.token);
                }
            }
        }
        let own = self.own(ask);
        let expired = |w: &&Waiter| w.id == ask.id && self.now >= w.deadline;
        way.lapsed
            .extend(self.waiters.iter().filter(expired).map(|w| w.no));
        for waiter in self.waiters.iter().filter(|w| clash(&w.needs, &ask.needs)) {
            if own.is_some_and(|own| waiter.no >= own) {
                continue;
            }
            if self.now >= waiter.deadline {
                way.lapsed.push(waiter.no);
            } else if ask.dead.contains(&waiter.who.0) {
            } else if !ask.patient && waiter.patient && waiter.passed_by < 3 {
                way.passed.push(waiter.no);
            } else {
                way.ahead.push(waiter.no);
            }
        }
        way
    }

    pub(crate) fn expect(&self, ask: &Ask) -> Expect {
        if let Some(grant) = self.grants.iter().find(|g| g.id == ask.id) {
            return if self.now >= grant.expires {
                Expect::Lost
            } else {
                Expect::Again(grant.token)
            };
        }
        if self.ended.contains(&ask.id) {
            return Expect::Lost;
        }
        let way = self.way(ask);
        if way.shut || !way.ahead.is_empty() {
            return Expect::Blocked {
                place: way.ahead.len(),
            };
        }
        match self.conditions(&way.over, &ask.latched) {
            Some(expect) => expect,
            None => Expect::Grant,
        }
    }

    /// What ending these grants needs first.
    pub(crate) fn conditions(&self, tokens: &[u64], latched: &BTreeSet<Path>) -> Option<Expect> {
        let mut keys = BTreeSet::new();
        let mut ops = BTreeSet::new();
        for grant in self.grants.iter().filter(|g| tokens.contains(&g.token)) {
            keys.extend(grant.needs.iter().map(|need| need.path.clone()));
        }
        for open in self.open.iter().filter(|o| tokens.contains(&o.token)) {
            keys.extend(open.latches.iter().cloned());
            ops.insert(open.op);
        }
        if !keys.is_subset(latched) {
            Some(Expect::Latches(keys))
        } else if ops.is_empty() {
            None
        } else {
            Some(Expect::Recovery(ops))
        }
    }

    /// When time alone could change that this request is blocked.
    pub(crate) fn due(&self, ask: &Ask) -> Option<u64> {
        let way = self.way(ask);
        let shut = |g: &&Grant| clash(&g.needs, &ask.needs) && !way.over.contains(&g.token);
        let open = |g: &Grant| {
            let from = if way.died.contains(&g.token) {
                self.now
            } else {
                g.expires
            };
            from + g.delay
        };
        let grants = self.grants.iter().filter(shut).map(open);
        let ahead = self.waiters.iter().filter(|w| way.ahead.contains(&w.no));
        grants.chain(ahead.map(|w| w.deadline)).min()
    }

    /// Whether the request would take over what ran out. Nobody is there to ring
    /// then; whoever waited behind a ticket that became such a lease finds out
    /// when it looks for itself.
    pub(crate) fn is_over_by_time(&self, ask: &Ask) -> bool {
        let over = |g: &Grant| clash(&g.needs, &ask.needs) && self.now >= g.expires + g.delay;
        self.grants.iter().any(over)
    }

    /// The request was granted.
    pub(crate) fn granted(&mut self, ask: &Ask, token: u64) {
        let way = self.way(ask);
        let own = self.own(ask);
        for token in way.over {
            self.end(token);
        }
        for waiter in &mut self.waiters {
            waiter.passed_by += u32::from(way.passed.contains(&waiter.no));
        }
        self.forget(|w| Some(w.no) == own || way.lapsed.contains(&w.no));
        self.grants.push(Grant {
            id: ask.id,
            token,
            who: ask.who,
            needs: ask.needs.clone(),
            kept: ask.kept,
            expires: self.now + ask.ttl,
            ttl: ask.ttl,
            delay: ask.delay,
        });
    }

    /// The request was answered that it waits, under this number.
    pub(crate) fn queued(&mut self, ask: &Ask, no: u64) {
        self.looked(ask);
        if self.own(ask).is_some() {
            assert_eq!(self.own(ask), Some(no), "a waiter keeps its place");
            return;
        }
        assert!(
            self.waiters.iter().all(|w| w.no < no),
            "the queue grows at its end"
        );
        self.waiters.push(Waiter {
            no,
            id: ask.id,
            who: ask.who,
            needs: ask.needs.clone(),
            patient: ask.patient,
            deadline: self.now + ask.wait,
            passed_by: 0,
        });
    }

    /// The request was refused, and its ticket is gone.
    pub(crate) fn turned_away(&mut self, ask: &Ask) {
        let own = self.own(ask);
        self.looked(ask);
        self.forget(|w| Some(w.no) == own || Some(w.no) == ask.ticket);
    }

    pub(crate) fn is_queued(&self, ask: &Ask) -> bool {
        self.own(ask).is_some()
    }

    /// Whether some waiter's place overlaps.
    pub(crate) fn is_awaited(&self, needs: &[Need]) -> bool {
        let same = |w: &Waiter| w.needs.iter().any(|a| needs.iter().any(|b| touch(a, b)));
        let mut live = self.waiters.iter().filter(|w| self.now < w.deadline);
        live.any(same)
    }

    /// A look at the queue removes the lapsed and starts the delay of the dead.
    fn looked(&mut self, ask: &Ask) {
        let way = self.way(ask);
        self.forget(|w| way.lapsed.contains(&w.no));
        for grant in &mut self.grants {
            if way.died.contains(&grant.token) {
                grant.expires = self.now;
            }
        }
    }

    pub(crate) fn forget(&mut self, gone: impl Fn(&Waiter) -> bool) {
        self.waiters.retain(|w| !gone(w));
    }

    /// The grant ended otherwise than by its holder's return.
    pub(crate) fn end(&mut self, token: u64) {
        let ended = self
            .grants
            .iter()
            .filter(|g| g.token == token)
            .map(|g| g.id);
        self.ended.extend(ended);
        self.grants.retain(|g| g.token != token);
    }

    /// The holder returned it.
    pub(crate) fn returned(&mut self, id: u32) {
        let kept = self
            .grants
            .iter()
            .filter(|g| g.id == id && g.kept)
            .map(|g| g.id);
        self.ended.extend(kept);
        self.grants.retain(|g| g.id != id);
    }

    /// Tickets that wait for each other in a circle, for good: through places in
    /// the queue and through live reservations of others. `live` says who will
    /// still ask, and `latest` what time it has been: a clock that is set back revives
    /// what had run out, for as long as it was set back.
    pub(crate) fn circle(&self, latest: u64, live: impl Fn(&Who) -> bool) -> Option<Vec<u64>> {
        let waiters: Vec<&Waiter> = self
            .waiters
            .iter()
            .filter(|w| latest < w.deadline && live(&w.who))
            .collect();
        let waits = |a: &Waiter, b: &Waiter| {
            let passes = !a.patient && b.patient && b.passed_by < 3;
            let behind = b.no < a.no && !passes && clash(&a.needs, &b.needs);
            let held = self.grants.iter().any(|g| {
                let bars = g.kept && latest < g.expires && clash(&g.needs, &a.needs);
                bars && g.who == b.who && g.who != a.who
            });
            behind || held
        };
        let count = waiters.len();
        let mut reach = vec![vec![false; count]; count];
        for (i, row) in reach.iter_mut().enumerate() {
            for (j, cell) in row.iter_mut().enumerate() {
                *cell = waits(waiters[i], waiters[j]);
            }
        }
        for k in 0..count {
            for i in 0..count {
                for j in 0..count {
                    reach[i][j] |= reach[i][k] && reach[k][j];
                }
            }
        }
        for i in 0..count {
            let others = |j: &usize| reach[i][*j] && reach[*j][i];
            let ring: Vec<usize> = (0..count).filter(others).collect();
            if ring.iter().any(|j| waiters[*j].who != waiters[i].who) {
                return Some(ring.into_iter().map(|j| waiters[j].no).collect());
            }
        }
        None
    }

    /// Whether something `a` waits for, or would, belongs to `b`.
    pub(crate) fn waits_for(&self, needs: &[Need], before: u64, b: Who) -> bool {
        let ticket = |w: &Waiter| w.no < before && w.who == b && clash(&w.needs, needs);
        let grant = |g: &Grant| g.kept && g.who == b && clash(&g.needs, needs);
        self.waiters.iter().any(ticket) || self.grants.iter().any(grant)
    }
}
