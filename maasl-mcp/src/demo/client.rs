//! The guarded way: a real MCP client on a real `maasl serve` process.
//!
//! Owns: the connection, its restart after a kill, and reading results. Promises:
//! a change nobody answered is `Unknown`, never assumed either way, and is not
//! repeated. Leaves to others: the process (`server_process`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, JsonObject};
use rmcp::service::RunningService;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};

use super::hands::{Answer, Change, Edit, Hands, Hurry, Read};
use super::server_process::{Launch, Slot};

/// One agent's connection.
pub(super) struct Client {
    launch: Arc<Launch>,
    agent: String,
    slot: Arc<Slot>,
    service: Option<RunningService<RoleClient, ()>>,
    started: u64,
}

/// Longest wait for an answer; longer than any freeze and any wait for a lease.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a new server.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a start is tried.
const STARTS: u32 = 5;

impl Client {
    pub(super) fn new(launch: Arc<Launch>, agent: String, slot: Arc<Slot>) -> Self {
        Self {
            launch,
            agent,
            slot,
            service: None,
            started: 0,
        }
    }

    /// Starts a server unless one is running.
    pub(super) async fn connect(&mut self) -> Result<(), String> {
        if self.service.is_some() {
            return Ok(());
        }
        let mut last = String::new();
        for _ in 0..STARTS {
            match self.start().await {
                Ok(service) => {
                    self.service = Some(service);
                    return Ok(());
                }
                Err(error) => last = error,
            }
            self.slot.kill();
            self.slot.reap().await;
        }
        Err(last)
    }

    async fn start(&mut self) -> Result<RunningService<RoleClient, ()>, String> {
        let pipes = self.slot.start(&self.launch, &self.agent);
        let (stdout, stdin) = pipes.map_err(|error| error.to_string())?;
        self.started += 1;
        let service = tokio::time::timeout(START_TIMEOUT, ().serve((stdout, stdin))).await;
        let service = service.map_err(|_| "the server does not answer".to_owned())?;
        service.map_err(|error| error.to_string())
    }

    /// Calls a tool; nothing if nobody answered.
    pub(super) async fn call(&mut self, tool: &'static str, arguments: Value) -> Option<Value> {
        self.connect().await.ok()?;
        let service = self.service.as_ref()?;
        let Value::Object(arguments) = arguments else {
            return None;
        };
        let request = CallToolRequestParams::new(tool).with_arguments(arguments);
        match tokio::time::timeout(CALL_TIMEOUT, service.call_tool(request)).await {
            Ok(Ok(result)) => result.structured_content,
            Ok(Err(rmcp::ServiceError::McpError(error))) => {
                tracing::warn!(tool, %error, "a call was refused by the protocol");
                None
            }
            _ => {
                self.drop_server().await;
                None
            }
        }
    }

    /// Gives up a server that does not answer.
    async fn drop_server(&mut self) {
        self.slot.kill();
        if let Some(mut service) = self.service.take() {
            // It is dead; there is nothing to close but our own half.
            let _ = service.close().await;
        }
        self.slot.reap().await;
    }

    async fn restore(&mut self, path: &str, content: &str) -> Answer {
        let sha256 = maasl_core::id::ContentHash::of(content.as_bytes()).to_string();
        let arguments = json!({"path": path, "limit": 20});
        let Some(history) = self.call("file_history", arguments).await else {
            return Answer::Refused("no_answer".to_owned());
        };
        let versions = history["versions"].as_array().into_iter().flatten();
        let mut versions = versions.filter(|version| version["sha256"] == sha256.as_str());
        let Some(version) = versions.next() else {
            return Answer::Refused("not_in_history".to_owned());
        };
        let arguments = json!({"path": path, "version": version["version"]});
        answer(self.call("file_restore", arguments).await)
    }
}

impl Hands for Client {
    fn root(&self) -> &Path {
        &self.launch.root
    }

    async fn read(&mut self, path: &str) -> Option<Read> {
        let body = self.call("read_file", json!({"path": path})).await?;
        Some(Read {
            content: body["content"].as_str()?.to_owned(),
            sha256: body["sha256"].as_str()?.to_owned(),
        })
    }

    async fn change(&mut self, change: &Change, hurry: Hurry, lease: Option<&str>) -> Answer {
        // Nothing was sent yet: not being able to start is no unknown outcome.
        if let Err(error) = self.connect().await {
            return Answer::Refused(format!("no server: {error}"));
        }
        let (tool, mut arguments) = match change {
            Change::Restore { path, content } => return self.restore(path, content).await,
            other => request(other),
        };
        let mode = match hurry {
            Hurry::Interactive => "interactive",
            Hurry::Batch => "batch",
        };
        arguments.insert("mode".to_owned(), mode.into());
        if let Some(lease) = lease {
            arguments.insert("lease".to_owned(), lease.into());
        }
        answer(self.call(tool, Value::Object(arguments)).await)
    }

    async fn acquire(&mut self, path: &str) -> Result<String, String> {
        let intent = "an edit of several steps";
        let arguments = json!({"resources": [{"id": path}], "intent": intent});
        let body = self.call("lease_acquire", arguments).await;
        match (answer(body.clone()), body) {
            (Answer::Done { .. }, Some(body)) => {
                self.slot.holding.store(true, Ordering::SeqCst);
                let lease = body["lease"].as_str().unwrap_or_default();
                Ok(lease.to_owned())
            }
            (Answer::Refused(code), _) => Err(code),
            _ => Err("no_answer".to_owned()),
        }
    }

    async fn release(&mut self, lease: &str) {
        self.slot.holding.store(false, Ordering::SeqCst);
        // A lease that cannot be released runs out.
        let _ = self.call("lease_release", json!({"lease": lease})).await;
    }

    fn disturbances(&self) -> u64 {
        self.slot.freezes()
    }

    async fn finish(&mut self) -> u64 {
        if let Some(mut service) = self.service.take() {
            // Closing the pipe is what ends a server.
            let _ = service.close().await;
        }
        self.slot.reap().await;
        self.started
    }
}

fn request(change: &Change) -> (&'static str, JsonObject) {
    let (tool, arguments) = match change {
        Change::Write {
            path,
            content,
            base,
            merge,
        } => {
            let on_stale = if *merge { "merge" } else { "refuse" };
            let mut body = json!({"path": path, "content": content, "on_stale": on_stale});
            if let Some(base) = base {
                body["base_sha256"] = base.as_str().into();
            }
            ("write_file", body)
        }
        Change::Edit(edit) => {
            let path = &edit.path;
            (
                "edit_file",
                json!({"path": path, "edits": [replacement(edit)]}),
            )
        }
        Change::Set(edits) => {
            let change = |edit: &Edit| {
                let path = &edit.path;
                json!({"op": "edit", "path": path, "edits": [replacement(edit)]})
            };
            let changes: Vec<Value> = edits.iter().map(change).collect();
            ("refactor_file", json!({"changes": changes}))
        }
        Change::Move { from, to } => ("move_file", json!({"source": from, "destination": to})),
        Change::Restore { path, .. } => ("file_restore", json!({"path": path})),
    };
    let Value::Object(arguments) = arguments else {
        unreachable!("every arm makes an object");
    };
    (tool, arguments)
}

fn replacement(edit: &Edit) -> Value {
    json!({"old_text": edit.old, "new_text": edit.new})
}

/// Reads the envelope. A failure inside the server, or a cancelled call, leaves
/// open what happened.
fn answer(body: Option<Value>) -> Answer {
    let Some(body) = body else {
        return Answer::Unknown;
    };
    if body["ok"] == true {
        let files = body["files"].as_array();
        let any = |field: &str| {
            body[field] == true
                || files.is_some_and(|files| files.iter().any(|file| file[field] == true))
        };
        return Answer::Done {
            rebased: any("rebased"),
            merged: any("merged"),
        };
    }
    match body["error"]["code"].as_str() {
        Some("internal" | "cancelled") | None => {
            tracing::warn!(%body, "a call failed");
            Answer::Unknown
        }
        Some(code) => Answer::Refused(match body["error"]["reason"].as_str() {
            Some(reason) => format!("{code}: {reason}"),
            None => code.to_owned(),
        }),
    }
}

/// Where this program is, to start it again.
pub(super) fn program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_from_the_envelope() {
        let done = |rebased, merged| Answer::Done { rebased, merged };
        assert_eq!(
            answer(Some(json!({"ok": true, "rebased": true}))),
            done(true, false)
        );
        let many = json!({"ok": true, "files": [{"merged": false}, {"merged": true}]});
        assert_eq!(answer(Some(many)), done(false, true));
        let stale = json!({"ok": false, "error": {"code": "stale_version", "reason": "changed"}});
        let refused = Answer::Refused("stale_version: changed".to_owned());
        assert_eq!(answer(Some(stale)), refused);
        let internal = json!({"ok": false, "error": {"code": "internal"}});
        assert_eq!(answer(Some(internal)), Answer::Unknown);
        assert_eq!(answer(None), Answer::Unknown);
    }
}
