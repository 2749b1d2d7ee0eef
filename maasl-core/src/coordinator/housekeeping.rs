//! Forgetting the dead.
//!
//! Owns: what becomes of sessions that ended badly. Promises: a session is
//! forgotten only once no commit is open that needs what it staged, so that this can
//! be removed; those who waited behind it are rung. Leaves to others: finding out who
//! is dead, and the files of the dead.

use alloc::collections::BTreeSet;

use super::call::{Cx, mixed_up};
use super::settle;
use crate::id::SessionId;
use crate::lease::command::Sweep;
use crate::lease::{Command, Outcome};
use crate::refusal::Refusal;

/// Settles what these sessions left open and forgets them. Those whose files a commit
/// still needs stay; the others are returned.
///
/// Who is dead is known before: the dead begin no new commit, so what is not open
/// after the recovery never will be.
pub(super) async fn bury(
    cx: &Cx,
    dead: BTreeSet<SessionId>,
) -> Result<BTreeSet<SessionId>, Refusal> {
    // What cannot be settled now keeps its session, and nobody else's.
    let _ = settle::settle_dead(cx).await;
    let open = settle::open_commits(cx).await?;
    let is_needed = |session: &SessionId| open.iter().any(|intent| intent.needs_files_of(session));
    let settled: BTreeSet<SessionId> = dead
        .into_iter()
        .filter(|session| !is_needed(session))
        .collect();
    let sweep = Sweep {
        dead: settled.clone(),
    };
    let Outcome::Done { wake } = cx.store(Command::Sweep(sweep)).await? else {
        return mixed_up(&"an answer to a sweep");
    };
    cx.ring(wake).await;
    Ok(settled)
}
