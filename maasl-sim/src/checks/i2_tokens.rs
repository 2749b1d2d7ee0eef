//! I2: tokens only rise.
//!
//! Owns: the newest token ever granted and whose it was. Promises: a token that
//! comes a second time must be the same lease's. Leaves to others: what tokens
//! are for.

use maasl_core::id::{LeaseId, Token};
use maasl_core::lease::Outcome;
use std::collections::BTreeMap;

use super::{Breach, Judge};
use crate::observe::{Ground, Observation};
use crate::promise::Promise;

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    newest: Option<Token>,
    issued: BTreeMap<Token, LeaseId>,
}

impl Judge for Tokens {
    fn observe(&mut self, seen: &Observation<'_>, _: &Ground<'_>) -> Result<(), Breach> {
        let Observation::Transacted {
            outcome: Outcome::Granted { lease, .. },
            ..
        } = seen
        else {
            return Ok(());
        };
        match self.issued.get(&lease.token) {
            // A request sent again is told of the same grant.
            Some(known) if *known == lease.id => return Ok(()),
            Some(_) => {
                let message = format!("token {} was issued twice", lease.token);
                return Err(Breach::new(Promise::I2, "token-twice", message));
            }
            None => {}
        }
        if let Some(newest) = self.newest.filter(|newest| lease.token < *newest) {
            let message = format!("token {} was issued after {newest}", lease.token);
            return Err(Breach::new(Promise::I2, "token-fell", message));
        }
        self.newest = Some(lease.token);
        self.issued.insert(lease.token, lease.id.clone());
        Ok(())
    }
}

#[cfg(test)]
#[path = "i2_tokens_tests.rs"]
mod tests;
