//! `maasl revoke`

use std::path::Path;
use std::process::ExitCode;

use maasl_core::coordinator::io::{Reply, Request};
use maasl_core::path::fold;
use maasl_core::policy::CRIT_CODE;
use maasl_core::resource::{Extent, ResourceKey, Scope};

use super::serve::block_on;
use super::{Failure, output, run::Session};

/// Arguments of `maasl revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A file relative to the root, or a resource key as `maasl locks` shows it
    /// (`db:main`).
    resource: String,
    /// Why; kept for the audit and told to the holder.
    #[arg(long, value_name = "TEXT")]
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
            output::line(&format!("nobody held {}", arguments.resource));
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
        ResourceKey::new(prefix, &fold(name))
    } else {
        let node = session.node();
        let path = node
            .relative(&arguments.resource)
            .map_err(|refusal| Failure::from(maasl_core::refusal::Refusal::Path(refusal)))?;
        let policy = policies.get(CRIT_CODE).expect("a built-in class");
        ResourceKey::new(&policy.key_prefix, &fold(&path))
    };
    Ok(Extent { key, scope })
}
