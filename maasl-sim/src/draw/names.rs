//! The names of those who take part.
//!
//! Owns: how processes, agents, files and folders are called, and how many there
//! are. Promises: no two are alike; more of them leave the names of the first as
//! they were. Leaves to others: what they do.

use crate::rng::Stream;
use crate::scenario::{Range, Topology};

/// The names of those who take part.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) processes: Vec<String>,
    pub(crate) agents: Vec<String>,
    /// Files that exist at the start.
    pub(crate) files: Vec<String>,
    /// Names that are free then.
    pub(crate) free: Vec<String>,
    pub(crate) folders: Vec<String>,
}

/// How many there are.
struct Counts {
    processes: u32,
    agents: u32,
    files: u32,
    free: u32,
    folders: u32,
}

impl Names {
    /// Those of a plan.
    pub(crate) fn draw(topology: &Topology, seed: u64) -> Self {
        let count =
            |range: Range<u32>, name: &str| range.draw(&mut Stream::of(seed, &["topology", name]));
        Self::of(&Counts {
            processes: count(topology.processes, "processes"),
            agents: count(topology.agents_per_process, "agents_per_process"),
            files: count(topology.files, "files"),
            free: count(topology.free_names, "free_names"),
            folders: count(topology.folders, "folders"),
        })
    }

    /// Those of every plan of a scenario. Files are in folders in turn, so which
    /// file has which path is certain only where the number of folders is.
    pub(crate) fn least(topology: &Topology) -> Self {
        Self::of(&Counts {
            processes: topology.processes.from.min(1_000),
            agents: topology.agents_per_process.from.min(1_000),
            files: topology.files.from.min(1_000),
            free: topology.free_names.from.min(1_000),
            folders: topology.folders.from.clamp(1, 1_000),
        })
    }

    /// The process that serves an agent.
    pub(crate) fn process_of(agent: &str) -> &str {
        agent.split_once('-').map_or(agent, |(process, _)| process)
    }

    /// Everything that a path can name.
    pub(crate) fn paths(&self) -> Vec<String> {
        [&self.files[..], &self.free, &self.folders].concat()
    }

    fn of(counts: &Counts) -> Self {
        let folder = |index: u32| format!("d{}", index % counts.folders);
        let processes: Vec<String> = (0..counts.processes).map(|no| format!("p{no}")).collect();
        let agents = processes
            .iter()
            .flat_map(|process| (0..counts.agents).map(move |agent| format!("{process}-a{agent}")));
        Self {
            agents: agents.collect(),
            files: (0..counts.files)
                .map(|no| format!("{}/f{no}.txt", folder(no)))
                .collect(),
            free: (0..counts.free)
                .map(|no| format!("{}/new{no}.txt", folder(no)))
                .collect(),
            folders: (0..counts.folders).map(folder).collect(),
            processes,
        }
    }
}
