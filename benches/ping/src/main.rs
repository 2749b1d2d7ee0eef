//! `maasl-ping`: the ping workload on one simulator.
//!
//! Owns: the arguments, `SIMULATOR HOSTS ROUNDS RUN_MS`. Promises: one line of
//! JSON, or a reason why there is none. Leaves to others: the workload and its
//! simulators (the library), who compares (`compare` of `maasl-benches`).

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use maasl_ping::rate::Rate;
use maasl_ping::workload::Workload;

/// Runs a workload to its end and counts the deliveries.
type Carry = fn(Workload) -> u64;

#[cfg(feature = "turmoil")]
const TURMOIL: Option<Carry> = Some(maasl_ping::on_turmoil::carry);
#[cfg(not(feature = "turmoil"))]
const TURMOIL: Option<Carry> = None;

#[cfg(madsim)]
const MADSIM: Option<Carry> = Some(maasl_ping::on_madsim::carry);
#[cfg(not(madsim))]
const MADSIM: Option<Carry> = None;

const USAGE: &str = "usage: maasl-ping turmoil|madsim HOSTS ROUNDS RUN_MS";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [simulator, hosts, rounds, run_ms] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let workload = Workload::new(hosts.parse()?, rounds.parse()?);
    let workload = workload.ok_or("it takes two hosts and one round at least")?;
    let carry = simulator_of(simulator)?;
    let rate = Rate::measure(workload, Duration::from_millis(run_ms.parse()?), carry);
    writeln!(std::io::stdout(), "{rate}")?;
    Ok(())
}

fn simulator_of(name: &str) -> Result<Carry, &'static str> {
    match name {
        "turmoil" => TURMOIL.ok_or("built without the feature `turmoil`"),
        "madsim" => MADSIM.ok_or("built without `--cfg madsim`"),
        _ => Err(USAGE),
    }
}
