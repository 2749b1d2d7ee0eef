//! Whether the simulated node means by each call what the real one means.
//!
//! Owns: asking both the same, one call after the other, and comparing. Promises:
//! every answered call is compared, and at the end all files and rows; the first
//! difference is told with both answers. Leaves to others: what happens when calls
//! meet, which the simulator and torture judge; and time: nothing here waits, and
//! no lease runs out.
//!
//! What the simulated node answers is all that an agent goes by. So the real one is
//! asked what the simulated agents asked: as long as all answers are equal, its
//! agents would have asked the same.

mod ask;
mod normal;
mod plan;
mod real;
mod told;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde_json::Value;

use self::normal::Names;
pub use self::plan::{Obstacle, obstacles, one_by_one};
use self::real::Real;
use crate::plan::Plan;
use crate::world::World;
use crate::world::sequence::{Exchange, Sequence, Step};

/// Where the two part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The call, or what stood at the end.
    pub about: String,
    /// What the simulated node answered.
    pub simulated: String,
    /// What the real one answered.
    pub real: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            about,
            simulated,
            real,
        } = self;
        write!(f, "{about}\n  simulated: {simulated}\n  real:      {real}")
    }
}

/// What came of a comparison.
#[derive(Debug)]
pub struct Compared {
    /// How many calls were compared.
    pub calls: u64,
    /// What was answered: the tool or command, and `ok` or the code of a refusal,
    /// with how often.
    pub told: BTreeMap<(String, String), u64>,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum ConformError {
    /// The simulated run failed by itself.
    #[error("the simulated run failed: {0}")]
    Simulated(String),
    /// A real process could not be started or was not heard.
    #[error("{0}")]
    Real(String),
    /// The system's.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Runs a plan of [`one_by_one`] in a world and with real servers of this program.
///
/// # Errors
/// If one of the two could not be run.
pub fn conform(plan: &Plan, program: &Path) -> Result<Compared, ConformError> {
    let finished = World::new(plan, false).one_by_one().run();
    if let Some(breach) = finished.breach {
        return Err(ConformError::Simulated(breach.to_string()));
    }
    let sequence = finished.sequence.filter(|_| finished.ended);
    let sequence = sequence.ok_or_else(|| ConformError::Simulated("it did not end".into()))?;
    let mut comparison = Comparison {
        real: Real::new(plan, program)?,
        simulated: Names::default(),
        of_real: Names::default(),
        compared: Compared {
            calls: 0,
            told: BTreeMap::new(),
            difference: None,
        },
    };
    comparison.run(&sequence)?;
    Ok(comparison.compared)
}

struct Comparison {
    real: Real,
    simulated: Names,
    of_real: Names,
    compared: Compared,
}

impl Comparison {
    fn run(&mut self, sequence: &Sequence) -> Result<(), ConformError> {
        for step in &sequence.steps {
            match step {
                Step::Started(process) => self.real.start(process)?,
                Step::Died(process) => self.real.kill(process),
                Step::Outside { path, content } => self.real.put(path, content.as_deref())?,
                Step::Call(exchange) => self.compare(exchange)?,
            }
            if self.compared.difference.is_some() {
                return Ok(());
            }
        }
        let files = compare_maps("file", &sequence.files, &self.real.files()?);
        let rows = compare_maps("database", &sequence.rows, &self.real.rows(&sequence.rows)?);
        self.compared.difference = files.or(rows);
        Ok(())
    }

    fn compare(&mut self, exchange: &Exchange) -> Result<(), ConformError> {
        let leases = &self.simulated;
        let of_real = &self.of_real;
        let lease = |id: &str| leases.counterpart("lease", id, of_real);
        let ask = ask::of(&exchange.call, &lease);
        let answer = self.real.ask(&exchange.process, &ask)?;
        let simulated = normal::of(&told::of(exchange), &mut self.simulated);
        let real = normal::of(&answer, &mut self.of_real);
        self.compared.calls += 1;
        let how = simulated["error"].as_str().unwrap_or("ok");
        let told = (ask.name().to_owned(), how.to_owned());
        *self.compared.told.entry(told).or_default() += 1;
        if simulated != real {
            let calls = self.compared.calls;
            let agent = &exchange.call.agent;
            let process = &exchange.process;
            self.compared.difference = Some(Difference {
                about: format!("call {calls}, of {agent} through {process}: {ask}"),
                simulated: simulated.to_string(),
                real: format!("{real}\n  in full:   {answer}"),
            });
        }
        Ok(())
    }
}

/// The first name under which the two do not hold the same.
fn compare_maps<V: Shown>(
    what: &str,
    simulated: &BTreeMap<String, V>,
    real: &BTreeMap<String, V::Real>,
) -> Option<Difference> {
    let names = simulated.keys().chain(real.keys());
    let shown = |value: Option<String>| value.unwrap_or_else(|| "nothing".into());
    let mut pairs = names.map(|name| {
        let here = shown(simulated.get(name).map(V::shown));
        let there = shown(real.get(name).map(V::shown_real));
        (name, here, there)
    });
    let (name, simulated, real) = pairs.find(|(_, here, there)| here != there)?;
    Some(Difference {
        about: format!("{what} {name} at the end"),
        simulated,
        real,
    })
}

/// Something that can be compared and shown.
trait Shown {
    type Real;
    fn shown(&self) -> String;
    fn shown_real(real: &Self::Real) -> String;
}

impl Shown for std::sync::Arc<[u8]> {
    type Real = Vec<u8>;

    fn shown(&self) -> String {
        format!("{:?}", String::from_utf8_lossy(self))
    }

    fn shown_real(real: &Vec<u8>) -> String {
        format!("{:?}", String::from_utf8_lossy(real))
    }
}

impl Shown for Vec<String> {
    type Real = Self;

    fn shown(&self) -> String {
        format!("{self:?}")
    }

    fn shown_real(real: &Self) -> String {
        real.shown()
    }
}

/// The fields of a JSON object that are there.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(fields.map(|(name, value)| (name.into(), value)).collect())
}
