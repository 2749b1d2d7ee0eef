//! `maasl run`, and the short-lived sessions of other commands.

use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;

use maasl_core::coordinator::io::{Call, Reply, Request, Reservation, ResourceWanted};
use maasl_core::id::{AgentId, LeaseId};
use maasl_core::policy::{CRIT_CODE, Urgency};
use maasl_core::reply::Receipt;
use maasl_core::resource::{Mode, Scope};
use maasl_node::node::{Node, NodeOptions};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind};
use tokio_util::sync::CancellationToken;

use super::serve::block_on;
use super::{Failure, output};
use crate::server::EnvIdentity;

/// Longest intent, in bytes.
const INTENT_BYTES_MAX: usize = 1_000;

/// Arguments of `maasl run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A file or folder the command may change; may be given several times. All
    /// are leased at once, or none.
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    resource: Vec<String>,
    /// The resource class.
    #[arg(long, value_name = "CLASS", default_value = CRIT_CODE)]
    class: String,
    /// Everything below the resources too.
    #[arg(long)]
    subtree: bool,
    /// How long to wait for them, in milliseconds; the class decides otherwise.
    #[arg(long, value_name = "MS")]
    max_wait_ms: Option<u64>,
    /// The command; it finds the token in `MAASL_FENCING_TOKEN` and the lease in
    /// `MAASL_LEASE`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(root: &Path, arguments: Arguments) -> Result<ExitCode, Failure> {
    block_on(async {
        let session = Session::open(root, "run")?;
        let result = under_lease(&session, arguments).await;
        session.close().await;
        result
    })
}

async fn under_lease(session: &Session, arguments: Arguments) -> Result<ExitCode, Failure> {
    let scope = if arguments.subtree {
        Scope::Subtree
    } else {
        Scope::Exact
    };
    let resources = arguments.resource.into_iter().map(|id| ResourceWanted {
        id,
        class: arguments.class.clone(),
        scope,
        mode: Mode::Exclusive,
    });
    let reservation = Reservation {
        resources: resources.collect(),
        ttl_ms: None,
        purpose: Some(intent(&arguments.command)),
        keep: true,
    };
    let reply = session
        .waiting(Request::Reserve(reservation), arguments.max_wait_ms)
        .await?;
    let Reply::Receipt(Receipt::Leased { lease, token, .. }) = reply else {
        return Err(Failure::Internal(
            "a reservation was answered with something else".into(),
        ));
    };
    let status = execute(&arguments.command, &lease, token.number()).await?;
    session.call(Request::Release(lease)).await?;
    Ok(exit_code(status))
}

/// What others are told of a command: as much as any intent may have.
fn intent(command: &[String]) -> String {
    let mut text = command.join(" ");
    // `str::floor_char_boundary` is newer than the oldest compiler supported.
    let mut ends = (0..=text.len().min(INTENT_BYTES_MAX)).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

/// Runs the command to its end. What asks this process to end is passed on to it,
/// unless it is told by the terminal as well; this process stays to return the lease.
async fn execute(command: &[String], lease: &LeaseId, token: u64) -> Result<ExitStatus, Failure> {
    let (program, arguments) = command.split_first().expect("clap requires a command");
    // Before the command is started, so that it does not outlive what comes meanwhile.
    let mut interrupt = listen(Signal::INT)?;
    let mut hangup = listen(Signal::HUP)?;
    let mut terminate = listen(Signal::TERM)?;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env("MAASL_FENCING_TOKEN", token.to_string())
        .env("MAASL_LEASE", lease.as_str())
        .spawn()
        .map_err(|error| Failure::Usage(format!("{program}: {error}")))?;
    loop {
        tokio::select! {
            status = child.wait() => {
                return status.map_err(|error| Failure::internal(program, error));
            }
            () = arrival(&mut interrupt) => {
                if !is_in_foreground() {
                    pass_on(&child, Signal::INT);
                }
            }
            () = arrival(&mut hangup) => pass_on(&child, Signal::HUP),
            () = arrival(&mut terminate) => pass_on(&child, Signal::TERM),
        }
    }
}

/// Takes a signal instead of being ended by it. One that this process was started to
/// ignore, as by `nohup`, is not touched: the command is to ignore it too, and would
/// not once it is listened for.
fn listen(signal: Signal) -> Result<Option<unix::Signal>, Failure> {
    if is_ignored(signal) {
        return Ok(None);
    }
    let listened = unix::signal(SignalKind::from_raw(signal.as_raw()));
    listened
        .map(Some)
        .map_err(|error| Failure::internal("signals", error))
}

/// Whether this process ignores a signal, as far as the system tells.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0)
}

/// Whether a terminal interrupts this process and, with it, the command, which is in the
/// same process group: told twice, many programs end without cleaning up. Who sent a
/// signal is not told here, so that one from elsewhere counts as the terminal's there.
fn is_in_foreground() -> bool {
    // Where that cannot be known, being told twice is the greater harm.
    std::fs::read_to_string("/proc/self/stat").map_or(true, |stat| is_foreground(&stat))
}

/// Whether the process of this line of `/proc` is in the group that its terminal
/// interrupts.
fn is_foreground(stat: &str) -> bool {
    // The name, in parentheses, may have spaces; after it come state, parent, group,
    // session, terminal, and the terminal's group, which is -1 where there is none.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    matches!(fields[..], [_, _, group, _, _, foreground, ..] if group == foreground)
}

/// Ends when a signal has come; never where none is listened for.
async fn arrival(listened: &mut Option<unix::Signal>) {
    match listened {
        Some(listened) => {
            listened.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Tells the command what was told to this process. It has not been waited for, so
/// nobody else can have its number.
fn pass_on(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let Some(pid) = pid.and_then(Pid::from_raw) else {
        return;
    };
    if let Err(error) = kill_process(pid, signal) {
        output::error(&format!("the command was not told of a signal: {error}"));
    }
}

/// The command's own exit code; 128 and the signal if one ended it, as shells do.
fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .or(status.signal().map(|signal| 128 + signal))
        .unwrap_or(3);
    ExitCode::from(u8::try_from(code).unwrap_or(3))
}

/// A node for the duration of one command.
pub(super) struct Session {
    node: Arc<Node>,
    agent: AgentId,
}

impl Session {
    /// Opens one; `role` says for which command.
    pub(super) fn open(root: &Path, role: &str) -> Result<Self, Failure> {
        let node = Node::open(root, &NodeOptions { role: role.into() })?;
        let agent = EnvIdentity::from_env().agent();
        let agent = agent.unwrap_or_else(|| AgentId::new(format!("maasl-{role}")));
        Ok(Self { node, agent })
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Makes a call, waiting as long as the class allows.
    pub(super) async fn call(&self, request: Request) -> Result<Reply, Failure> {
        self.waiting(request, None).await
    }

    /// Makes a call, waiting at most so long.
    pub(super) async fn waiting(
        &self,
        request_body: Request,
        max_wait_ms: Option<u64>,
    ) -> Result<Reply, Failure> {
        let call = Call {
            agent: self.agent.clone(),
            urgency: Urgency::Interactive,
            max_wait_ms,
            request: None,
            lease: None,
            request_body,
            entropy: self.node.entropy(),
        };
        let response = self.node.call(call, CancellationToken::new(), None).await;
        Ok(response.result?)
    }

    pub(super) async fn close(&self) {
        self.node.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_cut_between_characters() {
        let words = |text: &str| intent(&["x".to_owned(), text.to_owned()]);
        assert_eq!(words("y"), "x y");
        assert_eq!(words(&"y".repeat(998)).len(), 1_000);
        assert_eq!(words(&"y".repeat(999)).len(), 1_000);
        let cut = words(&"é".repeat(600));
        assert_eq!(cut, format!("x {}", "é".repeat(499)));
        assert_eq!(words(&format!("y{}", "é".repeat(600))).len(), 999);
    }

    #[test]
    fn the_group_that_a_terminal_interrupts_is_known() {
        assert!(is_foreground("7 (a) b) S 1 7 7 34816 7 4194304 0"));
        assert!(!is_foreground("7 (a) S 1 7 7 34816 9 4194304 0"));
        assert!(!is_foreground("7 (a) S 1 7 7 0 -1 4194304 0"));
        assert!(!is_foreground(""));
    }
}
