//! Starting a process.
//!
//! Owns: what a process needs before its first call, and its own tasks. Promises:
//! a configuration it does not act on is refused. Leaves to others: what it
//! stands on (`ground`), and what it does then.

use std::path::Path;
use std::sync::Arc;

use maasl_core::config::Config;
use maasl_core::coordinator::Coordinator;
use maasl_core::id::{SessionId, hex};
use maasl_threads::replaceable::Replaceable;
use maasl_threads::switchboard::{Hooks, Switchboard};
use tokio_util::sync::CancellationToken;

use super::{Ground, Node, execute, now};
use crate::config_file::{self, ConfigFileError, Loaded};
use crate::root::{Root, RootError};
use crate::state_dir::StateDirError;
use crate::store::StoreError;

/// How to start a process.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// What it is, for people: `serve`, `run`, …
    pub role: String,
}

/// Why a process could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// The configuration asks for something this version does not do.
    #[error("{0} is not supported in this version; leave it out")]
    Unsupported(&'static str),
    /// The root cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system failed.
    #[error("{what}: {source}")]
    Io {
        /// At what.
        what: &'static str,
        /// How.
        source: std::io::Error,
    },
}

impl Node {
    /// Starts a process on the repository at `root`. Must be called inside a
    /// runtime with more than one thread.
    pub fn open(root: &Path, options: &NodeOptions) -> Result<Arc<Self>, OpenError> {
        let root = Root::open(root)?;
        let loaded = config_file::load(root.path())?;
        Self::open_on(root, loaded, options)
    }

    /// The same, on a root that is open and with its configuration: for whoever
    /// needs that before.
    pub fn open_on(
        root: Root,
        loaded: Loaded,
        options: &NodeOptions,
    ) -> Result<Arc<Self>, OpenError> {
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let config = Arc::new(loaded.config);
        refuse_unsupported(&config)?;
        let session = new_session();
        let (ground, bell) = Ground::lay(root, &config, &session, &options.role, Vec::new())?;
        let core = Coordinator::new(config.clone(), session.clone());
        let hooks = Hooks {
            now,
            log: execute::log,
        };
        let node = Arc::new(Self {
            role: options.role.clone(),
            ground: Replaceable::new(ground),
            board: Switchboard::new(core, hooks),
            house: tokio::sync::Mutex::default(),
            generators: tokio::sync::watch::Sender::new(0),
            config,
            session,
            stopped: CancellationToken::new(),
        });
        tokio::spawn(node.clone().keep_time());
        tokio::spawn(node.clone().listen(bell));
        tokio::spawn(node.clone().work_for_core());
        tokio::spawn(node.clone().keep_house());
        Ok(node)
    }
}

/// A setting that does nothing would be believed to do something.
fn refuse_unsupported(config: &Config) -> Result<(), OpenError> {
    unsupported(config).map_or(Ok(()), |setting| Err(OpenError::Unsupported(setting)))
}

/// The setting that keeps a process from starting in this version.
#[must_use]
pub fn unsupported(config: &Config) -> Option<&'static str> {
    (!config.enabled).then_some("`enabled = false`")
}

fn new_session() -> SessionId {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system's random source works, or nothing is safe");
    SessionId::new(hex(&bytes))
}
