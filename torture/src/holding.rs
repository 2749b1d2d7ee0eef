//! The leases that an agent holds or has held.
//!
//! Owns: when a lease can have ended at the earliest, where nobody was told that
//! it did. Promises: an end is never said to be later than it can have been: a
//! grant to somebody else before that instant is a breach. Leaves to others: the
//! judging (`maasl-sim check`).

use maasl_sim::history::{Ending, Event};

/// Clocks may differ in rate by 1 % by default; this is twice that.
const DRIFT_DIVISOR: u64 = 50;

/// A lease.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    pub(crate) lease: String,
    pub(crate) token: u64,
    /// The files that may be changed under it.
    pub(crate) files: Vec<&'static str>,
    granted_ns: u64,
    /// It lasts until then at least, if nobody ends it.
    until_ns: u64,
    ttl_ns: u64,
}

impl Holding {
    /// A lease that was asked for at `since_ns`.
    pub(crate) fn new(
        lease: String,
        token: u64,
        files: Vec<&'static str>,
        since_ns: u64,
        ttl_ms: u64,
    ) -> Self {
        let ttl_ns = ttl_ms * 1_000_000;
        Self {
            lease,
            token,
            files,
            granted_ns: since_ns,
            until_ns: since_ns + ttl_ns - ttl_ns / DRIFT_DIVISOR,
            ttl_ns,
        }
    }
}

/// The lease that an agent works under, and those that end some time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holdings {
    current: Option<Holding>,
    /// With the earliest instant of the end.
    ending: Vec<(Holding, u64)>,
}

impl Holdings {
    pub(crate) fn current(&self) -> Option<&Holding> {
        self.current.as_ref()
    }

    pub(crate) fn hold(&mut self, holding: Holding) {
        self.current = Some(holding);
    }

    /// It was renewed by a call sent at `since_ns`.
    pub(crate) fn renewed(&mut self, since_ns: u64) {
        if let Some(holding) = &mut self.current {
            let ttl_ns = holding.ttl_ns;
            let until_ns = since_ns + ttl_ns - ttl_ns / DRIFT_DIVISOR;
            holding.until_ns = holding.until_ns.max(until_ns);
        }
    }

    /// It was returned, and its end is written down.
    pub(crate) fn returned(&mut self) {
        self.current = None;
    }

    /// Nobody works under it any more. Its server was last heard of at `heard_ns`
    /// and may have died since.
    pub(crate) fn lose(&mut self, heard_ns: u64) {
        if let Some(holding) = self.current.take() {
            let earliest_ns = heard_ns.min(holding.until_ns).max(holding.granted_ns);
            self.ending.push((holding, earliest_ns));
        }
    }

    /// All of them, when their server ends too.
    pub(crate) fn finish(&mut self, heard_ns: u64) -> Self {
        self.lose(heard_ns);
        std::mem::take(self)
    }

    /// What histories say of the ends that nobody was told of. An upheaval may end
    /// leases of anybody from its beginning to its end.
    pub(crate) fn events(&self, upheavals: &[(u64, u64)]) -> Vec<Event> {
        let event = |(holding, earliest_ns): &(Holding, u64)| {
            let granted_ns = holding.granted_ns;
            let after = upheavals
                .iter()
                .filter(|(_, over_ns)| *over_ns >= granted_ns);
            let earliest = after.map(|(began_ns, _)| *began_ns.max(&granted_ns)).min();
            let since_ns = earliest.map_or(*earliest_ns, |began_ns| began_ns.min(*earliest_ns));
            Event::End {
                token: holding.token,
                since_ns: Some(since_ns),
                how: Ending::Expired,
            }
        };
        self.ending.iter().map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn since(holdings: &Holdings, upheavals: &[(u64, u64)]) -> u64 {
        match holdings.events(upheavals)[..] {
            [
                Event::End {
                    since_ns: Some(since_ns),
                    ..
                },
            ] => since_ns,
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lease_ends_when_it_runs_out_or_its_server_can_have_died() {
        let holding = Holding::new("l".into(), 7, Vec::new(), 10 * SECOND, 2_000);
        let mut lives = Holdings::default();
        lives.hold(holding.clone());
        lives.lose(100 * SECOND);
        assert_eq!(since(&lives, &[]), 12 * SECOND - SECOND / 25);
        let revoked = |from: u64, to: u64| since(&lives, &[(from * SECOND, to * SECOND)]);
        assert_eq!(revoked(11, 12), 11 * SECOND);
        assert_eq!(
            revoked(5, 11),
            10 * SECOND,
            "it may have come after the grant"
        );
        assert_eq!(revoked(5, 6), 12 * SECOND - SECOND / 25);
        let mut died = Holdings::default();
        died.hold(holding);
        died.lose(11 * SECOND);
        assert_eq!(since(&died, &[]), 11 * SECOND);
    }

    #[test]
    fn a_renewal_moves_the_end() {
        let mut holdings = Holdings::default();
        holdings.hold(Holding::new("l".into(), 7, Vec::new(), 10 * SECOND, 2_000));
        holdings.renewed(20 * SECOND);
        holdings.lose(100 * SECOND);
        assert_eq!(since(&holdings, &[]), 22 * SECOND - SECOND / 25);
    }
}
