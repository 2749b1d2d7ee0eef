//! The log of a server, and its events.
//!
//! Owns: where lines go. Promises: standard output, which carries the protocol,
//! gets none; each event is one line of JSON, written at once, so that several
//! servers can share a file. Leaves to others: what is an event (`maasl-node`).

use std::fs::{File, OpenOptions};
use std::io::stderr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use maasl_node::node::EVENTS;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::Failure;

/// The place that is no file.
const STDERR: &str = "stderr";

/// Begins to log; `events` is the setting of that name.
pub(super) fn begin(root: &Path, events: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_env("MAASL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let lines = fmt::layer().with_writer(stderr).with_ansi(false);
    let events = match writer(root, events)? {
        None => None,
        Some(writer) => {
            let only = Targets::new().with_target(EVENTS, LevelFilter::INFO);
            let layer = fmt::layer().json().flatten_event(true);
            Some(layer.with_writer(writer).with_filter(only))
        }
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(events)
        .init();
    Ok(())
}

fn writer(root: &Path, place: &str) -> Result<Option<BoxMakeWriter>, Failure> {
    match place {
        "" => Ok(None),
        STDERR => Ok(Some(BoxMakeWriter::new(stderr))),
        path => {
            let file = append_to(&root.join(path));
            let file = file.map_err(|error| Failure::internal("events", error))?;
            Ok(Some(BoxMakeWriter::new(std::sync::Arc::new(file))))
        }
    }
}

/// Never through a link: the file is as private as the state directory.
fn append_to(path: &Path) -> std::io::Result<File> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits());
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(no_follow.expect("a flag of the system's own width"))
        .open(path)
}
