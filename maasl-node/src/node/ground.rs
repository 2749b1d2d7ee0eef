//! What a process stands on: everything that lies in the state directory.
//!
//! Owns: opening it, and opening it anew when the state directory or the root was
//! deleted or replaced under a running process. Promises: a session is known to
//! others only once its liveness lock is held, its doorbell hangs and its staging
//! folder exists; a call stays on the ground it began on, so that latches taken in a
//! deleted folder never vouch for a commit in its successor. Leaves to others:
//! leases of the former ground, which the new store does not know and therefore
//! refuses.

use std::sync::Arc;
use std::time::Duration;

use maasl_core::config::{Config, Durability};
use maasl_core::id::SessionId;
use maasl_core::lease::Session;
use rustix::fs::{Mode, OFlags};

use super::{Node, OpenError};
use crate::bell::{Bell, Bells};
use crate::database::Databases;
use crate::fault::{Side, point};
use crate::files::Files;
use crate::latch::Latches;
use crate::live::{LifeLock, Liveness};
use crate::objects::Objects;
use crate::platform;
use crate::root::Root;
use crate::stage::Stage;
use crate::state_dir::StateDir;
use crate::store::sqlite;
use crate::store::{OpenOptions, SqliteStore};

/// One state directory, open.
pub(super) struct Ground {
    pub(super) files: Files,
    pub(super) databases: Databases,
    pub(super) latches: Latches,
    pub(super) live: Liveness,
    pub(super) bells: Bells,
    pub(super) store: SqliteStore,
    /// With those of former grounds: where the folder is still the same, the first
    /// lock is the one that counts.
    lives: Vec<Arc<LifeLock>>,
}

impl Ground {
    /// Opens the state directory of `root` for `session`, which is this process's
    /// own: what is there under its name was left by itself. Must be called
    /// inside a runtime.
    pub(super) fn lay(
        root: Root,
        config: &Config,
        session: &SessionId,
        role: &str,
        mut lives: Vec<Arc<LifeLock>>,
    ) -> Result<(Self, Bell), OpenError> {
        let state = StateDir::open(root.path())?;
        let live = Liveness::new(folder(&state, "live")?);
        let life = live.hold(session, &lives);
        let life = life.map_err(io("liveness file"))?;
        lives.push(Arc::new(life));
        let bells = Bells::new(folder(&state, "bell")?);
        bells.take_down(session).map_err(io("doorbell"))?;
        let bell = bells.hang(session).map_err(io("doorbell"))?;
        point(Side::Before, "open_stage");
        let durable = config.durability == Durability::Power;
        let stage = Stage::new(
            state.path().join("stage"),
            folder(&state, "stage")?,
            durable,
        );
        stage.open_session(session).map_err(io("staging folder"))?;
        let store = open_store(&state, config, session, role)?;
        let objects = Objects::new(state.path().join("objects"));
        let latch_wait = Duration::from_millis(config.limits.latch_wait_ms);
        let databases = Databases::new(config);
        databases.declare(&root);
        let ground = Self {
            databases,
            files: Files::new(root, stage, objects, config.limits.max_file_bytes, durable),
            latches: Latches::new(folder(&state, "latch")?, latch_wait),
            live,
            bells,
            store,
            lives,
        };
        Ok((ground, bell))
    }

    /// Whether what is open is what stands under its name. A root can be replaced without
    /// its state directory, which is moved into the new one.
    fn is_in_place(&self) -> bool {
        self.store.is_in_place() && self.files.root().is_in_place()
    }
}

impl Node {
    /// The ground as it was last found; for what need not be up to date.
    pub(super) fn last_ground(&self) -> Arc<Ground> {
        self.ground.last()
    }

    /// The ground for something new: opened again if the root or the state directory
    /// was deleted or replaced since. Where that is not possible, the old one is
    /// returned, on which every transaction is refused with the reason.
    pub(super) fn ground(self: &Arc<Self>) -> Arc<Ground> {
        let is_usable = |ground: &Ground| ground.is_in_place() || self.stopped.is_cancelled();
        self.ground.usable(is_usable, |former| {
            let laid = self.lay_again(former);
            match &laid {
                Ok(_) => {
                    tracing::warn!("the root, the state directory or parts of it were replaced; what is gone is made anew");
                }
                Err(error) => tracing::error!(%error, "the state directory cannot be opened again"),
            }
            laid.ok()
        })
    }

    fn lay_again(self: &Arc<Self>, former: &Ground) -> Result<Ground, OpenError> {
        let root = Root::open(former.files.root().path())?;
        let lives = former.lives.clone();
        let (ground, bell) = Ground::lay(root, &self.config, &self.session, &self.role, lives)?;
        tokio::spawn(self.clone().listen(bell));
        Ok(ground)
    }
}

fn open_store(
    state: &StateDir,
    config: &Config,
    session: &SessionId,
    role: &str,
) -> Result<SqliteStore, OpenError> {
    let boot = match crate::fault::boot() {
        Some(boot) => boot,
        None => platform::boot_identity().map_err(io("boot identity"))?,
    };
    let mut open = OpenOptions::new(boot);
    open.gate_wait_ms = config.limits.gate_wait_ms;
    open.max_versions = config.history.max_versions;
    open.durability = match config.durability {
        Durability::Power => sqlite::Durability::Power,
        Durability::Process => sqlite::Durability::Process,
    };
    let live = Liveness::new(folder(state, "live")?);
    // What cannot be asked is not taken for a death: that only costs a look.
    open.is_dead = Some(Arc::new(move |session| {
        live.is_dead(session).unwrap_or(false)
    }));
    open.session = Some(Session {
        id: session.clone(),
        pid: std::process::id(),
        role: role.to_owned(),
        started_wall_ms: crate::store::clock::wall_ms(),
    });
    Ok(SqliteStore::open(state, open)?)
}

fn folder(state: &StateDir, name: &'static str) -> Result<std::os::fd::OwnedFd, OpenError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(state, name, flags, Mode::empty());
    opened.map_err(|error| io(name)(error.into()))
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> OpenError {
    move |source| OpenError::Io { what, source }
}
