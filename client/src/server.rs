//! A server and the connection to it.
//!
//! Owns: the handshake, calls of tools, and their answers. Promises: answers
//! reach the call they belong to in whatever order they come. Leaves to others:
//! signals (`process`).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Process;

/// What to start.
#[derive(Debug)]
pub struct Launch {
    /// The program and what stands before `serve`.
    command: Vec<PathBuf>,
    root: PathBuf,
    agent: String,
    env: Vec<(String, String)>,
    log: Option<File>,
}

impl Launch {
    /// A server of this program, for this agent, on this root.
    #[must_use]
    pub fn new(program: &Path, root: &Path, agent: &str) -> Self {
        Self {
            command: vec![program.to_owned()],
            root: root.to_owned(),
            agent: agent.to_owned(),
            env: Vec::new(),
            log: None,
        }
    }

    /// Starts it through another program, which is given the server's command
    /// line and must become it.
    #[must_use]
    pub fn through(mut self, wrapper: &[&str]) -> Self {
        let wrapper = wrapper.iter().map(PathBuf::from);
        self.command = wrapper.chain(self.command).collect();
        self
    }

    /// A variable of its environment, for example a fault point.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where its standard error goes.
    #[must_use]
    pub fn log(mut self, log: File) -> Self {
        self.log = Some(log);
        self
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Gone {
    /// The server has ended.
    Ended(ExitStatus),
    /// It lives and said nothing for as long as was waited.
    Silent,
    /// It said something that is no answer to a call.
    Confused(Value),
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(status) => write!(f, "the server ended with {status}"),
            Self::Silent => write!(f, "the server did not answer in time"),
            Self::Confused(answer) => write!(f, "not an answer to a call: {answer}"),
        }
    }
}

/// A server process and the connection to it.
#[derive(Debug)]
pub struct Server {
    process: Process,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    early: BTreeMap<u64, Value>,
    notifications: Vec<Value>,
    next_id: u64,
}

impl Server {
    /// Starts a server and greets it; nothing if it ends before it answers, or
    /// does not answer within `patience`.
    ///
    /// # Errors
    /// The system's, if the program cannot be started.
    pub fn start(launch: Launch, patience: Duration) -> io::Result<Result<Self, Gone>> {
        let (program, before) = launch.command.split_first().expect("a program is given");
        let mut child = Command::new(program)
            .args(before)
            .args(["serve", "--root"])
            .arg(&launch.root)
            .env("MAASL_AGENT", &launch.agent)
            .envs(launch.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(launch.log.map_or_else(Stdio::inherit, Stdio::from))
            .spawn()?;
        let stdout = child.stdout.take().expect("it was asked for");
        let stdin = child.stdin.take();
        let mut server = Self {
            process: Process::new(child),
            stdin,
            messages: listen(stdout),
            early: BTreeMap::new(),
            notifications: Vec::new(),
            next_id: 1,
        };
        Ok(server.greet(patience).map(|()| server))
    }

    fn greet(&mut self, patience: Duration) -> Result<(), Gone> {
        let about = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "maasl-client", "version": env!("CARGO_PKG_VERSION") },
        });
        let id = self.request("initialize", &about);
        let answer = self.message(id, patience)?;
        if !answer["result"]["serverInfo"].is_object() {
            return Err(Gone::Confused(answer));
        }
        self.notify("notifications/initialized", &json!({}));
        Ok(())
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Calls a tool without waiting for the answer; the number of the call.
    pub fn send(&mut self, tool: &str, arguments: &Value) -> u64 {
        let call = json!({ "name": tool, "arguments": arguments });
        self.request("tools/call", &call)
    }

    /// The structured answer to a call.
    ///
    /// # Errors
    /// If there is none.
    pub fn answer(&mut self, id: u64, patience: Duration) -> Result<Value, Gone> {
        let mut message = self.message(id, patience)?;
        let answer = message["result"]["structuredContent"].take();
        if answer.is_object() {
            Ok(answer)
        } else {
            Err(Gone::Confused(message))
        }
    }

    /// Calls a tool and waits for the answer.
    ///
    /// # Errors
    /// If there is none.
    pub fn call(
        &mut self,
        tool: &str,
        arguments: &Value,
        patience: Duration,
    ) -> Result<Value, Gone> {
        let id = self.send(tool, arguments);
        self.answer(id, patience)
    }

    /// Sends any request; its number.
    pub fn request(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Sends any notification.
    pub fn notify(&mut self, method: &str, params: &Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// What it told without being asked, while answers were waited for.
    #[must_use]
    pub fn notifications(&self) -> &[Value] {
        &self.notifications
    }

    /// Ends its input without waiting.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Ends its input and waits for its end.
    ///
    /// # Errors
    /// The system's, if it cannot be waited for.
    pub fn close(mut self) -> io::Result<ExitStatus> {
        self.stdin = None;
        self.process.wait()
    }

    fn message(&mut self, id: u64, patience: Duration) -> Result<Value, Gone> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(answer) = self.early.remove(&id) {
                return Ok(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left) {
                // Standard output is for the protocol alone.
                Ok(message) if message.is_string() => return Err(Gone::Confused(message)),
                Ok(message) => match message["id"].as_u64() {
                    Some(of) => drop(self.early.insert(of, message)),
                    None => self.notifications.push(message),
                },
                Err(RecvTimeoutError::Timeout) => return Err(Gone::Silent),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    /// Its output has ended: so has it, or it will never be heard again.
    fn ended(&self) -> Gone {
        match self.process.wait() {
            Ok(status) => Gone::Ended(status),
            Err(_) => Gone::Silent,
        }
    }

    /// Writes a message. A server that has died shows when it is listened to.
    fn write(&mut self, message: &Value) {
        if let Some(stdin) = &mut self.stdin {
            let _ = writeln!(stdin, "{message}").and_then(|()| stdin.flush());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.kill() {
            let _ = self.process.wait();
        }
    }
}

/// Reads messages until the output ends. What is not JSON is passed on as text,
/// which no message is.
fn listen(stdout: ChildStdout) -> Receiver<Value> {
    let (sender, messages) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { return };
            let message = serde_json::from_str(&line).unwrap_or(Value::String(line));
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    messages
}
