//! `maasl restore`

use std::path::Path;
use std::process::ExitCode;

use maasl_core::coordinator::io::{FileOp, Reply, Request};
use maasl_core::reply::Receipt;

use super::serve::block_on;
use super::{Failure, output, run::Session};

/// Arguments of `maasl restore`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file, relative to the root.
    path: String,
    /// The version to bring back; `maasl history PATH` lists them.
    #[arg(long, value_name = "N")]
    version: u64,
}

pub(super) fn run(root: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    block_on(async {
        let session = Session::open(root, "restore")?;
        let result = restore(&session, arguments).await;
        session.close().await;
        output::line(&result?);
        Ok(ExitCode::SUCCESS)
    })
}

async fn restore(session: &Session, arguments: &Arguments) -> Result<String, Failure> {
    // Whoever restores has looked: what is displaced is what is there now.
    let read = Request::Read(arguments.path.clone().into());
    let base = match session.call(read).await {
        Ok(Reply::Read(read)) => Some(read.sha256),
        _ => None,
    };
    let op = FileOp::Restore {
        path: arguments.path.clone(),
        version: arguments.version,
        base,
    };
    let reply = session.call(Request::Change(vec![op])).await?;
    let Reply::Receipt(Receipt::Changed { files, .. }) = reply else {
        return Err(Failure::Internal(
            "a change was answered with something else".into(),
        ));
    };
    let restored = files.first().map_or(0, |file| file.version);
    Ok(format!(
        "{}: version {} restored as version {restored}",
        arguments.path, arguments.version
    ))
}
