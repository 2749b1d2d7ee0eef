//! `maasl revoke`

use std::path::Path;
use std::process::ExitCode;

use maasl_core::coordinator::io::{Reply, Request};
use maasl_core::path::{PathReason, PathRefusal, fold};
use maasl_core::policy::CRIT_CODE;
use maasl_core::refusal::Refusal;
use maasl_core::resource::{Extent, ResourceKey, Scope};

use super::serve::block_on;
use super::{Failure, output, run::Session};

/// Arguments of `maasl revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A file or folder relative to the root (`.` is the root; with `--subtree` all of it), or a resource key as
    /// `maasl locks` shows it (`db:main`).
    resource: String,
    /// Why; kept for the audit and told to the holder.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Everything below the resource too.
    #[arg(long)]
    subtree: bool,
}

pub(super) fn run(root: &Path, arguments: Arguments) -> Result<ExitCode, Failure> {
    block_on(async {
        let session = Session::open(root, "revoke")?;
        let target = target(&session, &arguments);
        let revoked = match target {
            Ok(target) => {
                let reason = arguments.reason;
                session.call(Request::Revoke { target, reason }).await
            }
            Err(failure) => Err(failure),
        };
        session.close().await;
        let Reply::Revoked(holders) = revoked? else {
            return Err(Failure::Internal(
                "a revocation was answered with something else".into(),
            ));
        };
        if holders.is_empty() {
            let more = if arguments.subtree {
                ""
            } else {
                "; what is below it is revoked with --subtree"
            };
            output::line(&format!("nobody held {}{more}", arguments.resource));
        }
        for holder in holders {
            let holder = output::plain(holder.as_str());
            output::line(&format!("revoked from {holder}"));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A name with a known prefix is a key; everything else is a path.
fn target(session: &Session, arguments: &Arguments) -> Result<Extent, Failure> {
    let scope = if arguments.subtree {
        Scope::Subtree
    } else {
        Scope::Exact
    };
    let policies = &session.node().config().policies;
    let named = arguments.resource.split_once(':');
    let known =
        named.filter(|(prefix, _)| policies.iter().any(|policy| policy.key_prefix == *prefix));
    let key = if let Some((prefix, name)) = known {
        key(prefix, name)
    } else {
        let path = path(session, &arguments.resource)
            .map_err(|refusal| Failure::from(Refusal::Path(refusal)))?;
        let policy = policies.get(CRIT_CODE).expect("a built-in class");
        key(&policy.key_prefix, &path)
    };
    Ok(Extent { key, scope })
}

/// The key of a name; the root's is the prefix alone.
fn key(prefix: &str, name: &str) -> ResourceKey {
    match fold(name).as_str() {
        "." => ResourceKey::new(prefix, ""),
        name => ResourceKey::new(prefix, name),
    }
}

/// A path relative to the root, which may be that of a folder; empty for the root.
fn path(session: &Session, named: &str) -> Result<String, PathRefusal> {
    let folder = match named.trim_end_matches('/') {
        // Of the file system, not of the repository.
        "" => named,
        folder => folder,
    };
    match session.node().relative(folder) {
        // An empty name is more likely that of a variable that is not set.
        Err(refusal) if refusal.reason == PathReason::Empty && !named.is_empty() => {
            Ok(String::new())
        }
        found => found,
    }
}

/// The audit is of no use to anybody without it.
fn reason(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("it says nothing");
    }
    Ok(text.to_owned())
}
