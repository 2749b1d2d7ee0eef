//! One run, from an empty directory to a verdict.
//!
//! Owns: the threads and their order: first the work under faults, then the work
//! without, then the audit. Promises: everything that was started here has ended
//! when it returns. Leaves to others: all of the parts.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Failure;
use crate::agent::Agent;
use crate::audit::audit;
use crate::commander::Commander;
use crate::journal::Journal;
use crate::nemesis::Nemesis;
use crate::world::{PATIENCE, World};

/// How long agents go on after the last fault: whoever waits is served, and what
/// the dead left is settled.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// How many use the command line.
const COMMANDERS: usize = 2;

/// Works under faults for `under_faults`, then judges. How many operations were
/// judged.
pub(crate) fn run(world: &World, agents: usize, under_faults: Duration) -> Result<usize, Failure> {
    make_table(world)?;
    let journal = |name: &str| Journal::create(&world.ground.history(), name);
    let mut workers = Vec::new();
    for number in 0..agents {
        let name = format!("a{number}");
        workers.push(Agent::new(world, &name, number, journal(&name)?));
    }
    let nemesis = Nemesis::new(world, journal("nemesis")?);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        threads.extend(
            workers
                .into_iter()
                .map(|agent| scope.spawn(|| agent.work())),
        );
        let commanders = (0..COMMANDERS).map(|number| Commander::new(world, number));
        threads.extend(commanders.map(|commander| scope.spawn(|| commander.work())));
        nemesis.work(Instant::now() + under_faults);
        thread::sleep(AFTERWARDS); // tidy: how long work goes on without faults
        world.end();
        for thread in threads {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
    });
    audit(world)
}

/// The table that rows go into.
fn make_table(world: &World) -> Result<(), Failure> {
    let mut server = world.start("maker", 0).ok_or(Failure::NoServer)?;
    let make = json!({ "db": "main", "statements": [{ "sql": "CREATE TABLE t (name TEXT)" }] });
    let answer = server
        .call("db_write", &make, PATIENCE)
        .map_err(|gone| Failure::Confused(gone.to_string()))?;
    let status = server.close().map_err(Failure::at(&world.ground.root()))?;
    if answer["ok"] == true && status.success() {
        Ok(())
    } else {
        Err(Failure::Confused(format!(
            "the table was not made: {answer}, {status}"
        )))
    }
}
