//! Server processes under test.
//!
//! Owns: starting `maasl serve`, talking MCP to it over its pipes, stopping,
//! continuing and killing it. Promises: only processes started here are
//! signalled, by their id; every wait has a limit and fails loudly. Leaves to
//! others: what is to be expected of an answer.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::{Value, json};

/// Nothing here takes longer unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server process and the connection to it.
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    early: BTreeMap<u64, Value>,
    /// Notifications received while waiting for answers.
    pub(crate) notifications: Vec<Value>,
    next_id: u64,
}

impl Server {
    /// Starts a server for `agent` on `root`.
    pub(crate) fn start(root: &Path, agent: &str) -> Self {
        Self::with_env(root, agent, &[])
    }

    /// Starts a server with more environment, for example a fault point.
    pub(crate) fn with_env(root: &Path, agent: &str, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maasl"));
        command.envs(env.iter().copied());
        Self::run(command, root, agent)
    }

    /// Starts a server through another program, which is given its command line and
    /// becomes it.
    pub(crate) fn through(wrapper: &[&str], root: &Path, agent: &str) -> Self {
        let (first, rest) = wrapper.split_first().unwrap();
        let mut command = Command::new(first);
        command.args(rest).arg(env!("CARGO_BIN_EXE_maasl"));
        Self::run(command, root, agent)
    }

    fn run(mut command: Command, root: &Path, agent: &str) -> Self {
        let mut child = command
            .args(["serve", "--root"])
            .arg(root)
            .env("MAASL_AGENT", agent)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { return };
                let message = serde_json::from_str(&line).expect("only the protocol on stdout");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        let mut server = Self {
            child,
            stdin,
            messages,
            early: BTreeMap::new(),
            notifications: Vec::new(),
            next_id: 1,
        };
        server.handshake();
        server
    }

    fn handshake(&mut self) {
        let id = self.request(
            "initialize",
            &json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": { "name": "processes", "version": "1" },
            }),
        );
        let answer = self
            .answer(id, PATIENCE)
            .expect("the server answers its first request");
        assert!(answer["result"]["serverInfo"].is_object(), "{answer}");
        self.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }

    /// Calls a tool and waits for its answer.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.send(tool, arguments);
        self.result(id)
    }

    /// Calls a tool that must succeed.
    pub(crate) fn ok(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert_eq!(result["ok"], true, "{tool}: {result}");
        result
    }

    /// Calls a tool that must be refused with this code; the error.
    pub(crate) fn refused(&mut self, tool: &str, arguments: Value, code: &str) -> Value {
        let result = self.call(tool, arguments);
        assert_eq!(result["error"]["code"], code, "{tool}: {result}");
        result["error"].clone()
    }

    /// Sends a tool call without waiting.
    pub(crate) fn send(&mut self, tool: &str, arguments: Value) -> u64 {
        self.request(
            "tools/call",
            &json!({ "name": tool, "arguments": arguments }),
        )
    }

    /// Sends any request.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Sends any notification.
    pub(crate) fn notify(&mut self, method: &str, params: &Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The structured result of a call sent before.
    pub(crate) fn result(&mut self, id: u64) -> Value {
        self.result_within(id, PATIENCE)
            .expect("the server answers in time")
    }

    /// As [`Self::result`]; nothing if the server died or took too long.
    pub(crate) fn result_within(&mut self, id: u64, limit: Duration) -> Option<Value> {
        let answer = self.answer(id, limit)?;
        let result = &answer["result"]["structuredContent"];
        assert!(result.is_object(), "no structured result: {answer}");
        Some(result.clone())
    }

    fn answer(&mut self, id: u64, limit: Duration) -> Option<Value> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(answer) = self.early.remove(&id) {
                return Some(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left) {
                Ok(message) => match message["id"].as_u64() {
                    Some(of) => drop(self.early.insert(of, message)),
                    None => self.notifications.push(message),
                },
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Writes a message; a server that has died is not an error here.
    fn write(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        let _ = writeln!(stdin, "{message}").and_then(|()| stdin.flush());
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Freezes it, and returns once it is frozen.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        self.wait_stopped();
    }

    /// Waits until it has been stopped, by us or by its own fault point.
    pub(crate) fn wait_stopped(&self) {
        let pid = WaitId::Pid(Pid::from_child(&self.child));
        let status = waitid(pid, WaitIdOptions::STOPPED).unwrap();
        assert!(
            status.is_some_and(|status| status.stopped()),
            "it died instead of stopping"
        );
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it, and returns once it is dead.
    pub(crate) fn kill(&mut self) {
        // It may have died of its own fault point.
        let _ = kill_process(Pid::from_child(&self.child), Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Waits for it to die by itself.
    pub(crate) fn wait_dead(&mut self) {
        self.child.wait().unwrap();
    }

    /// Ends its input and waits for its good end.
    pub(crate) fn close(mut self) {
        self.stdin = None;
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Ends its input without waiting.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory with a configuration for tests.
pub(crate) fn repository(config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("maasl.toml"), config).unwrap();
    dir
}
