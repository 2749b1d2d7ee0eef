//! Replacing a file, guarded and bare.
//!
//! Owns: measure 1. Promises: writers take turns one by one on one file system,
//! each with new content every time. Leaves to others: why a write costs what it
//! costs.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::client::Client;
use crate::local::{self, Local};
use crate::report::{Figure, Row, Target};
use crate::times::Times;
use crate::{Bench, Result};

const CONTENT_BYTES: usize = 4096;
const NAME: &str = "file.txt";
/// Turns that are not counted: caches, lazily started threads.
const WARM_UP: usize = 20;

/// Something that replaces a file.
trait Writer {
    fn replace(&mut self, content: &str) -> Result<()>;
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = against_bare(bench)?;
    rows.push(against_filesystem_server(bench)?);
    Ok(rows)
}

/// With power-cut durability, beside the least that is durable at all.
fn against_bare(bench: &Bench) -> Result<Vec<Row>> {
    let (root, node_root, bare) = (bench.dir()?, bench.dir()?, bench.dir()?);
    let mut ours = Guarded::start(bench, root.path())?;
    let mut node = OnNode::start(node_root.path())?;
    let mut peer = Bare::start(bare.path())?;
    let [ours_us, node_us, peer_us] = in_turn(bench.rounds, [&mut ours, &mut node, &mut peer])?;
    let mut ping = Times::new();
    for _ in 0..bench.rounds {
        ping.time(|| ours.server.request("ping", &json!({})))?;
    }
    node.node.close()?;
    let peer = |row: Row| row.beside("bare durable write", Figure::us(peer_us.p50_us()));
    Ok(vec![
        peer(Row::new(
            "1 write_file 4 KiB over stdio, durable, p50",
            Figure::us(ours_us.p50_us()),
            Target::RatioAtMost(1.5),
        ))
        .note(format!(
            "ours {}; peer {}",
            ours_us.spread(),
            peer_us.spread()
        )),
        peer(Row::new(
            "1 the same write by Node::call, p50",
            Figure::us(node_us.p50_us()),
            Target::Nothing,
        ))
        .note(node_us.spread()),
        Row::new(
            "1 JSON-RPC ping of the server, p50",
            Figure::us(ping.p50_us()),
            Target::Nothing,
        )
        .note(ping.spread()),
    ])
}

/// Without syncs, beside the server everybody has; it does not sync either.
fn against_filesystem_server(bench: &Bench) -> Result<Row> {
    let root = bench.dir()?;
    let config = "[maasl]\ndurability = \"process\"\n";
    std::fs::write(root.path().join("maasl.toml"), config)?;
    let mut ours = Guarded::start(bench, root.path())?;
    let row = |ours: &Times| {
        Row::new(
            "1 write_file 4 KiB over stdio, durability = process, p50",
            Figure::us(ours.p50_us()),
            Target::RatioAtMost(0.3),
        )
    };
    let Some(script) = &bench.filesystem_server else {
        let [ours] = in_turn(bench.rounds, [&mut ours])?;
        return Ok(row(&ours).alone("no --filesystem-server"));
    };
    let peer_root = bench.dir()?;
    let mut peer = Filesystem::start(script, peer_root.path())?;
    let [ours, peer] = in_turn(bench.rounds, [&mut ours as &mut dyn Writer, &mut peer])?;
    Ok(row(&ours)
        .beside("server-filesystem", Figure::us(peer.p50_us()))
        .note(format!("ours {}; peer {}", ours.spread(), peer.spread())))
}

fn in_turn<const N: usize>(rounds: usize, mut writers: [&mut dyn Writer; N]) -> Result<[Times; N]> {
    let mut times = std::array::from_fn(|_| Times::new());
    for round in 0..WARM_UP + rounds {
        let content = content(round);
        for (writer, times) in writers.iter_mut().zip(&mut times) {
            let since = Instant::now();
            writer.replace(&content)?;
            if round >= WARM_UP {
                times.add(since.elapsed());
            }
        }
    }
    Ok(times)
}

fn content(round: usize) -> String {
    let mut content = format!("// round {round}\n");
    while content.len() < CONTENT_BYTES {
        content.push_str("let answer = question.iter().map(|part| part.len()).sum();\n");
    }
    content.truncate(CONTENT_BYTES);
    content
}

/// `write_file` of a MAASL server.
struct Guarded {
    server: Client,
}

impl Guarded {
    fn start(bench: &Bench, root: &Path) -> Result<Self> {
        std::fs::write(root.join(NAME), content(usize::MAX))?;
        let mut server = Client::of_maasl(&bench.maasl, root, "bench")?;
        server.call("read_file", &json!({ "path": NAME }))?;
        Ok(Self { server })
    }
}

impl Writer for Guarded {
    fn replace(&mut self, content: &str) -> Result<()> {
        let arguments = json!({ "path": NAME, "content": content });
        let answer = self.server.call("write_file", &arguments)?;
        match &answer["ok"] {
            Value::Bool(true) => Ok(()),
            _ => Err(format!("write_file: {answer}").into()),
        }
    }
}

/// The same without a server.
struct OnNode {
    node: Local,
}

impl OnNode {
    fn start(root: &Path) -> Result<Self> {
        std::fs::write(root.join(NAME), content(usize::MAX))?;
        let node = Local::open(root)?;
        node.run(|node| async move {
            local::call(
                &node,
                maasl_core::coordinator::io::Request::Read(NAME.into()),
            )
            .await
        })?;
        Ok(Self { node })
    }
}

impl Writer for OnNode {
    fn replace(&mut self, content: &str) -> Result<()> {
        let content = content.as_bytes().to_vec();
        self.node
            .run(|node| async move { local::write(&node, NAME.into(), content).await })
    }
}

/// `write_file` of the official file system server.
struct Filesystem {
    server: Client,
    path: PathBuf,
}

impl Filesystem {
    fn start(script: &Path, root: &Path) -> Result<Self> {
        // It compares with the path without symlinks.
        let root = root.canonicalize()?;
        let path = root.join(NAME);
        std::fs::write(&path, content(usize::MAX))?;
        let server = Client::of_filesystem_server(script, &root)?;
        Ok(Self { server, path })
    }
}

impl Writer for Filesystem {
    fn replace(&mut self, content: &str) -> Result<()> {
        let arguments = json!({ "path": self.path, "content": content });
        self.server.call("write_file", &arguments).map(drop)
    }
}

/// The least that survives a power cut: temporary file, sync, rename, sync of
/// the directory.
struct Bare {
    dir: PathBuf,
}

impl Bare {
    fn start(dir: &Path) -> Result<Self> {
        std::fs::write(dir.join(NAME), content(usize::MAX))?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }
}

impl Writer for Bare {
    fn replace(&mut self, content: &str) -> Result<()> {
        let temporary = self.dir.join(".file.txt.new");
        let mut file = File::create(&temporary)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, self.dir.join(NAME))?;
        File::open(&self.dir)?.sync_all()?;
        Ok(())
    }
}
