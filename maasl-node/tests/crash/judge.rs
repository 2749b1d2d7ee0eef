//! What a power cut may leave.
//!
//! Owns: opening a state with the real node and holding what it finds against the
//! script. Promises: whatever else it finds is told in words. Leaves to others:
//! which states there are (`cuts`).
//!
//! After recovery:
//! - everything is as after one of the steps that were asked for, and not before
//!   the last that was answered: files, rows and graph together (I5);
//! - no commit is open, nothing staged is left, the newest version of each changed
//!   file is its content, and every kept content has its hash (I4);
//! - each answered step, asked again under its key, is answered as it was (I6), and
//!   the others can still be done;
//! - the next token is above all that were told (I2);
//! - whoever comes after that finds the same; this is asked of every fourth state.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use maasl_core::coordinator::graph::GraphQuery;
use maasl_core::coordinator::io::{Reply, Request};
use maasl_core::graph::query::Question;
use maasl_core::id::ContentHash;
use maasl_core::reply::Receipt;
use maasl_node::node::Node;
use rusqlite::{Connection, OpenFlags};

use super::child;
use super::cuts::Progress;
use super::script::{Script, World, write};

/// What the program was told, by step, as JSON.
pub(crate) type Told = BTreeMap<usize, String>;

/// What one state showed beyond being right.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// The world that recovery came to.
    pub(crate) world: usize,
    /// Contents that answered changes displaced, and that are not kept.
    pub(crate) displaced_gone: usize,
}

/// Opens the state in `root` and judges it, and once more if that is wanted; why it
/// is wrong, if it is.
pub(crate) fn judge(
    script: &Script,
    root: &Path,
    progress: Progress,
    told: &Told,
    twice: bool,
) -> Result<Seen, String> {
    if progress.answered > progress.asked {
        return Err(format!(
            "one state is left with and without an answer: {progress:?}"
        ));
    }
    let runtime = child::runtime();
    let seen = runtime.block_on(async {
        let node = child::open(root);
        child::settle(&node).await;
        let state = Opened {
            script,
            root,
            node: &node,
        };
        let seen = state.recovered(progress, told).await?;
        state.goes_on(progress, told).await?;
        node.close().await;
        Ok::<Seen, String>(seen)
    });
    drop(runtime);
    let seen = seen?;
    if twice {
        again(script, root)?;
    }
    Ok(seen)
}

/// Whoever comes later finds what was left.
fn again(script: &Script, root: &Path) -> Result<(), String> {
    child::runtime().block_on(async {
        let node = child::open(root);
        child::settle(&node).await;
        let state = Opened {
            script,
            root,
            node: &node,
        };
        let last = script
            .worlds
            .last()
            .expect("there is one before the first step");
        let found = state.world().await;
        node.close().await;
        (found == *last)
            .then_some(())
            .ok_or_else(|| format!("whoever comes next finds {found:?}"))
    })
}

struct Opened<'a> {
    script: &'a Script,
    root: &'a Path,
    node: &'a Arc<Node>,
}

impl Opened<'_> {
    async fn recovered(&self, progress: Progress, told: &Told) -> Result<Seen, String> {
        let found = self.world().await;
        let world = self.script.worlds.iter().position(|world| *world == found);
        let Some(world) = world else {
            return Err(format!("neither one nor another, but {found:?}"));
        };
        if world < progress.answered || world > progress.asked {
            return Err(format!("as after step {world}, but {progress:?}"));
        }
        let (snapshot, _) = self.node.snapshot().map_err(|error| error.to_string())?;
        if !snapshot.intents.is_empty() {
            return Err(format!("still open: {:?}", snapshot.intents));
        }
        self.nothing_staged()?;
        self.kept_has_its_hash()?;
        self.versions_fit(&found)?;
        let displaced_gone = self.displaced_gone(progress, told)?;
        Ok(Seen {
            world,
            displaced_gone,
        })
    }

    /// Answers stand, and the rest can be done.
    async fn goes_on(&self, progress: Progress, told: &Told) -> Result<(), String> {
        for (no, request) in self.script.steps.iter().enumerate() {
            let receipt = child::step(self.node, no, request).await?;
            let again = child::json(&receipt);
            if no < progress.answered && told[&no] != again {
                return Err(format!(
                    "step {no} was answered {}, and now {again}",
                    told[&no]
                ));
            }
        }
        let found = self.world().await;
        if self.script.worlds.last() != Some(&found) {
            return Err(format!("doing the rest leads to {found:?}"));
        }
        let probe = child::step(self.node, 1000, &write("probe", None, "probe\n")).await?;
        std::fs::remove_file(self.root.join("probe")).unwrap();
        let told = told.iter().filter(|(no, _)| **no < progress.answered);
        let highest = told.map(|(_, receipt)| token_of(receipt)).max();
        let token = token_of(&child::json(&probe));
        if Some(token) <= highest {
            return Err(format!("token {token} comes after {highest:?}"));
        }
        Ok(())
    }

    async fn world(&self) -> World {
        let mut files = BTreeMap::new();
        list(self.root, "", &mut files);
        World {
            files,
            rows: self.rows(),
            nodes: self.nodes().await,
        }
    }

    fn rows(&self) -> Vec<String> {
        let path = self.root.join("rows/main.db");
        if !path.exists() {
            return Vec::new();
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).unwrap();
        let mut look = db.prepare("SELECT who FROM t ORDER BY rowid").unwrap();
        let rows = look.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    async fn nodes(&self) -> Vec<String> {
        let query = Request::Query(GraphQuery {
            graph: "main".into(),
            question: Question {
                node: None,
                depth: 0,
                nodes_max: 100,
                edges_max: 100,
            },
            conflicts_max: 10,
        });
        match child::call(self.node, "look", query).await.result {
            Ok(Reply::Graph(view)) => view.answer.nodes.into_iter().map(|node| node.id).collect(),
            other => panic!("a look at the graph was answered {other:?}"),
        }
    }

    fn nothing_staged(&self) -> Result<(), String> {
        let own = self.node.session().to_string();
        for folder in std::fs::read_dir(self.root.join(".maasl/stage")).unwrap() {
            let folder = folder.unwrap();
            let is_empty = std::fs::read_dir(folder.path()).unwrap().next().is_none();
            if *folder.file_name() != *own || !is_empty {
                let path = folder.path();
                return Err(format!("left in the staging folder: {}", path.display()));
            }
        }
        Ok(())
    }

    fn kept_has_its_hash(&self) -> Result<(), String> {
        let mut kept = BTreeMap::new();
        list(&self.root.join(".maasl/objects"), "", &mut kept);
        let wrong = kept.iter().find(|(name, content)| {
            ContentHash::of(content.as_bytes()).to_string() != name.replace('/', "")
        });
        match wrong {
            Some((name, content)) => Err(format!("kept as {name}: {content:?}")),
            None => Ok(()),
        }
    }

    fn versions_fit(&self, found: &World) -> Result<(), String> {
        let worlds = self.script.worlds.iter();
        for path in worlds.flat_map(|world| world.files.keys()) {
            let (_, versions) = self
                .node
                .history(path, 1)
                .map_err(|error| error.to_string())?;
            let held = found
                .files
                .get(path)
                .map(|text| ContentHash::of(text.as_bytes()));
            if let Some(newest) = versions.first()
                && newest.content != held
            {
                return Err(format!(
                    "{path} holds {held:?}, and its history ends with {newest:?}"
                ));
            }
        }
        Ok(())
    }

    /// A power cut may take what an answered change displaced: this is counted, and
    /// told.
    fn displaced_gone(&self, progress: Progress, told: &Told) -> Result<usize, String> {
        let mut gone = 0;
        for (_, receipt) in told.iter().filter(|(no, _)| **no < progress.answered) {
            let receipt: Receipt =
                serde_json::from_str(receipt).map_err(|error| error.to_string())?;
            if let Receipt::Changed { files, .. } = receipt {
                let displaced = files.iter().filter_map(|file| file.previous_sha256);
                gone += displaced
                    .filter(|content| !self.node.is_kept(content))
                    .count();
            }
        }
        Ok(gone)
    }
}

/// A patch by itself has none.
fn token_of(receipt: &str) -> u64 {
    let receipt: serde_json::Value = serde_json::from_str(receipt).unwrap();
    receipt["token"].as_u64().unwrap_or_default()
}

/// The files below a folder, without what is ours and without databases.
fn list(root: &Path, below: &str, files: &mut BTreeMap<String, String>) {
    let Ok(entries) = std::fs::read_dir(root.join(below)) else {
        return;
    };
    for entry in entries.map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = if below.is_empty() {
            name.clone()
        } else {
            format!("{below}/{name}")
        };
        if entry.file_type().unwrap().is_dir() {
            if !matches!(name.as_str(), ".maasl" | "rows") {
                list(root, &path, files);
            }
        } else if name != "maasl.toml" {
            let content = std::fs::read(entry.path()).unwrap();
            files.insert(path, String::from_utf8_lossy(&content).into_owned());
        }
    }
}
