//! The log of a server, and its events.
//!
//! Owns: where lines go. Promises: standard output, which carries the protocol,
//! gets none; each event is one line of JSON, written at once, so that several
//! servers can share a file; that file is a plain one beneath the root. Leaves to
//! others: what is an event (`maasl-node`).

use std::fs::File;
use std::io::{self, ErrorKind, stderr};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use maasl_core::config::EVENTS_STDERR;
use maasl_node::node::EVENTS;
use maasl_node::platform::open_beneath;
use maasl_node::root::Root;
use rustix::fs::{Mode, OFlags};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::Failure;

/// How the file of events is opened: without waiting for the other end of a pipe.
const APPENDING: OFlags = OFlags::WRONLY
    .union(OFlags::APPEND)
    .union(OFlags::CREATE)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Begins to log; `events` is the setting of that name.
pub(super) fn begin(root: &Root, events: &str) -> Result<(), Failure> {
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

fn writer(root: &Root, place: &str) -> Result<Option<BoxMakeWriter>, Failure> {
    match place {
        "" => Ok(None),
        EVENTS_STDERR => Ok(Some(BoxMakeWriter::new(stderr))),
        path => {
            let file = append_to(root, path);
            let file = file.map_err(|error| Failure::internal("events", error))?;
            Ok(Some(BoxMakeWriter::new(Arc::new(file))))
        }
    }
}

/// The repository names this file, so it is found as those are that agents name: beneath
/// the root, through no link, plain and with one name.
fn append_to(root: &Root, path: &str) -> io::Result<File> {
    let located = root.relative(path).and_then(|rel| root.locate(&rel));
    let located = located.map_err(|refusal| io::Error::new(ErrorKind::InvalidInput, refusal))?;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = File::from(open_beneath(
        located.parent.as_fd(),
        &located.name,
        APPENDING,
        mode,
    )?);
    // It may have been exchanged since it was looked at.
    let meta = file.metadata()?;
    if meta.is_file() && meta.nlink() == 1 {
        return Ok(file);
    }
    let message = format!("{path:?} is no plain file with one name");
    Err(io::Error::new(ErrorKind::InvalidInput, message))
}
