//! How an agent reads and changes files: through MAASL, or plainly.
//!
//! Owns: the questions both ways answer, and the plain way. Promises: the plain
//! way does what editors and file servers do without a guard: read, change, write
//! a temporary file, rename. Leaves to others: the guarded way (`client`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::markup::replace;

/// A file as it was read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) content: String,
    pub(super) sha256: String,
}

/// One replacement in one file.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) path: String,
    pub(super) old: String,
    pub(super) new: String,
}

/// A change that an agent asks for.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write {
        path: String,
        content: String,
        base: Option<String>,
        merge: bool,
    },
    Edit(Edit),
    /// All or nothing.
    Set(Vec<Edit>),
    Move {
        from: String,
        to: String,
    },
    /// Back to a content the file had before.
    Restore {
        path: String,
        content: String,
    },
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done {
        rebased: bool,
        merged: bool,
    },
    /// Nothing was changed, with the reason's code.
    Refused(String),
    /// Nobody answered.
    Unknown,
}

/// How many milliseconds a call may wait for others, as the agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hurry {
    Interactive,
    Batch,
}

/// One agent's access to the files.
pub(super) trait Hands: Send + 'static {
    /// The folder of the repository, to list names.
    fn root(&self) -> &Path;
    /// Reads a file, if there is one and it can be read.
    fn read(&mut self, path: &str) -> impl Future<Output = Option<Read>> + Send;
    /// Changes files.
    fn change(
        &mut self,
        change: &Change,
        hurry: Hurry,
        lease: Option<&str>,
    ) -> impl Future<Output = Answer> + Send;
    /// Reserves a file, where that is possible.
    fn acquire(&mut self, path: &str) -> impl Future<Output = Result<String, String>> + Send;
    /// Returns it.
    fn release(&mut self, lease: &str) -> impl Future<Output = ()> + Send;
    /// How often the way was blocked by a freeze; calls during one are not timed.
    fn disturbances(&self) -> u64;
    /// Ends the access and says how many servers it took.
    fn finish(&mut self) -> impl Future<Output = u64> + Send;

    /// The first name in a folder that begins so.
    fn find(&self, folder: &str, start: &str) -> Option<String> {
        let entries = std::fs::read_dir(self.root().join(folder)).ok()?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let found = names.filter(|name| name.starts_with(start)).min()?;
        Some(format!("{folder}/{found}"))
    }
}

/// Plain file access.
pub(super) struct Plain {
    root: PathBuf,
}

/// Makes the names of temporary files unique.
static TEMPORARY: AtomicU64 = AtomicU64::new(0);

impl Plain {
    pub(super) fn new(root: &Path) -> Self {
        let root = root.to_path_buf();
        Self { root }
    }
}

impl Hands for Plain {
    fn root(&self) -> &Path {
        &self.root
    }

    async fn read(&mut self, path: &str) -> Option<Read> {
        let path = self.root.join(path);
        let content = blocking(move || std::fs::read_to_string(path)).await.ok()?;
        let sha256 = String::new();
        Some(Read { content, sha256 })
    }

    async fn change(&mut self, change: &Change, _: Hurry, _: Option<&str>) -> Answer {
        let (root, change) = (self.root.clone(), change.clone());
        match blocking(move || apply(&root, &change)).await {
            Ok(()) => Answer::Done {
                rebased: false,
                merged: false,
            },
            Err(error) => Answer::Refused(error.kind().to_string()),
        }
    }

    async fn acquire(&mut self, _: &str) -> Result<String, String> {
        Ok(String::new())
    }

    async fn release(&mut self, _: &str) {}

    fn disturbances(&self) -> u64 {
        0
    }

    async fn finish(&mut self) -> u64 {
        0
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(std::io::Error::other)?
}

fn apply(root: &Path, change: &Change) -> std::io::Result<()> {
    match change {
        Change::Write { path, content, .. } | Change::Restore { path, content } => {
            swap(&root.join(path), content)
        }
        Change::Edit(edit) => apply_edit(root, edit),
        Change::Set(edits) => edits.iter().try_for_each(|edit| apply_edit(root, edit)),
        Change::Move { from, to } => std::fs::rename(root.join(from), root.join(to)),
    }
}

fn apply_edit(root: &Path, edit: &Edit) -> std::io::Result<()> {
    let path = root.join(&edit.path);
    let text = std::fs::read_to_string(&path)?;
    match replace(&text, &edit.old, &edit.new) {
        Some(text) => swap(&path, &text),
        None => Err(std::io::ErrorKind::InvalidInput.into()),
    }
}

/// Writes a temporary file beside the target and renames it.
fn swap(path: &Path, content: &str) -> std::io::Result<()> {
    let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
    let name = path.with_file_name(format!(".tmp-{number}"));
    std::fs::write(&name, content)?;
    std::fs::rename(&name, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plain_changes_are_made() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "one\n").unwrap();
        let mut hands = Plain::new(dir.path());
        let edit = |old: &str, new: &str| {
            Change::Edit(Edit {
                path: "a".to_owned(),
                old: old.to_owned(),
                new: new.to_owned(),
            })
        };
        let done = Answer::Done {
            rebased: false,
            merged: false,
        };
        let change = edit("one", "two");
        assert_eq!(hands.change(&change, Hurry::Batch, None).await, done);
        let again = hands.change(&change, Hurry::Batch, None).await;
        assert!(matches!(again, Answer::Refused(_)), "{again:?}");
        let (from, to) = ("a".to_owned(), "b.1".to_owned());
        let moved = Change::Move { from, to };
        assert_eq!(hands.change(&moved, Hurry::Batch, None).await, done);
        assert_eq!(hands.find(".", "b."), Some("./b.1".to_owned()));
        assert_eq!(hands.read("b.1").await.unwrap().content, "two\n");
        assert!(hands.read("a").await.is_none());
    }
}
