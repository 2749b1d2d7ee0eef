//! Starting a process.
//!
//! Owns: the order in which a session comes to life. Promises: a session is known
//! to others only once its liveness lock is held, its doorbell hangs and its
//! staging folder exists. Leaves to others: what it does then.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use maasl_core::config::{Config, Durability, GuardMode};
use maasl_core::coordinator::Coordinator;
use maasl_core::id::{SessionId, hex};
use maasl_core::lease::Session;
use maasl_core::time::Timestamp;
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Node, Timer};
use crate::bell::Bells;
use crate::config_file::{self, ConfigFileError};
use crate::files::Files;
use crate::latch::Latches;
use crate::live::Liveness;
use crate::objects::Objects;
use crate::platform;
use crate::root::{Root, RootError};
use crate::stage::Stage;
use crate::state_dir::{StateDir, StateDirError};
use crate::store::sqlite;
use crate::store::{OpenOptions, SqliteStore, StoreError};

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
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let config = Arc::new(loaded.config);
        refuse_unsupported(&config)?;
        let state = StateDir::open(root.path())?;
        let session = new_session();
        let live = Liveness::new(folder(&state, "live")?);
        let life = live.hold(&session).map_err(io("liveness file"))?;
        let bells = Bells::new(folder(&state, "bell")?);
        let bell = bells.hang(&session).map_err(io("doorbell"))?;
        let durable = config.durability == Durability::Power;
        let stage = Stage::new(
            state.path().join("stage"),
            folder(&state, "stage")?,
            durable,
        );
        stage.open_session(&session).map_err(io("staging folder"))?;
        let store = open_store(&state, &config, &session, options)?;
        let objects = Objects::new(state.path().join("objects"));
        let latch_wait = Duration::from_millis(config.limits.latch_wait_ms);
        let (own_work, own_work_receiver) = mpsc::unbounded_channel();
        let node = Arc::new(Self {
            files: Files::new(root, stage, objects, config.limits.max_file_bytes, durable),
            latches: Latches::new(folder(&state, "latch")?, latch_wait),
            core: Mutex::new(Coordinator::new(config.clone(), session.clone())),
            config,
            session,
            live,
            bells,
            store,
            slots: Mutex::default(),
            next_call: AtomicU64::new(1),
            timer: Timer {
                armed_ns: AtomicU64::new(Timestamp::NEVER.as_ns()),
                earlier: Notify::new(),
            },
            own_work,
            stopped: CancellationToken::new(),
            _life: life,
        });
        tokio::spawn(node.clone().keep_time());
        tokio::spawn(node.clone().listen(bell));
        tokio::spawn(node.clone().work_for_core(own_work_receiver));
        tokio::spawn(node.clone().keep_house());
        Ok(node)
    }
}

/// A setting that does nothing would be believed to do something.
fn refuse_unsupported(config: &Config) -> Result<(), OpenError> {
    if !config.enabled {
        return Err(OpenError::Unsupported("`enabled = false`"));
    }
    if config.mode == GuardMode::Observe {
        return Err(OpenError::Unsupported("`mode = \"observe\"`"));
    }
    Ok(())
}

fn open_store(
    state: &StateDir,
    config: &Config,
    session: &SessionId,
    options: &NodeOptions,
) -> Result<SqliteStore, OpenError> {
    let boot = platform::boot_identity().map_err(io("boot identity"))?;
    let mut open = OpenOptions::new(boot);
    open.gate_wait_ms = config.limits.gate_wait_ms;
    open.durability = match config.durability {
        Durability::Power => sqlite::Durability::Power,
        Durability::Process => sqlite::Durability::Process,
    };
    open.session = Some(Session {
        id: session.clone(),
        pid: std::process::id(),
        role: options.role.clone(),
        started_wall_ms: crate::store::clock::wall_ms(),
    });
    Ok(SqliteStore::open(state, open)?)
}

fn new_session() -> SessionId {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system's random source works, or nothing is safe");
    SessionId::new(hex(&bytes))
}

fn folder(state: &StateDir, name: &'static str) -> Result<std::os::fd::OwnedFd, OpenError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(state, name, flags, Mode::empty());
    opened.map_err(|error| io(name)(error.into()))
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> OpenError {
    move |source| OpenError::Io { what, source }
}
