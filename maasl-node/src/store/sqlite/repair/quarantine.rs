//! The place for what is damaged.
//!
//! Owns: `quarantine/<time>/` in the state directory, made when first needed.
//! Promises: what is put there keeps its name and its path below the state
//! directory; nothing is followed, overwritten or deleted. Leaves to others: what
//! goes there, and removing it (the user).

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::{Deed, Fault, sync_folder};
use crate::state_dir::StateDir;
use crate::store::{StoreError, clock};

const NAME: &str = "quarantine";

/// The quarantine of one repair.
pub(super) struct Quarantine<'s> {
    state: &'s StateDir,
    folder: Option<PathBuf>,
}

impl<'s> Quarantine<'s> {
    pub(super) fn of(state: &'s StateDir) -> Self {
        Self {
            state,
            folder: None,
        }
    }

    /// Moves what is at fault there.
    pub(super) fn take(&mut self, fault: Fault) -> Result<Deed, StoreError> {
        let failed = |error| StoreError::io(&fault.path, error);
        let below = fault.path.strip_prefix(self.state.path());
        let below = below.expect("faults lie in the state directory").to_owned();
        let to = self.folder()?.join(below);
        let parent = to.parent().expect("it was joined to a folder");
        make(parent).map_err(failed)?;
        fs::rename(&fault.path, &to).map_err(failed)?;
        // Each of these may have been made just now.
        let ours = |folder: &&Path| folder.starts_with(self.state.path());
        for folder in parent.ancestors().take_while(ours) {
            sync_folder(folder)?;
        }
        if let Some(from) = fault.path.parent() {
            sync_folder(from)?;
        }
        Ok(Deed::Moved { fault, to })
    }

    /// A folder that no other repair has used.
    fn folder(&mut self) -> Result<&Path, StoreError> {
        if self.folder.is_none() {
            let all = self.state.path().join(NAME);
            make(&all).map_err(|error| StoreError::io(&all, error))?;
            let mut stamp = clock::wall_ms();
            let folder = loop {
                let folder = all.join(stamp.to_string());
                match private().create(&folder) {
                    Ok(()) => break folder,
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => stamp += 1,
                    Err(error) => return Err(StoreError::io(&folder, error)),
                }
            };
            self.folder = Some(folder);
        }
        Ok(self.folder.as_deref().expect("it was made above"))
    }
}

fn make(folder: &Path) -> io::Result<()> {
    private().recursive(true).create(folder)
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}
