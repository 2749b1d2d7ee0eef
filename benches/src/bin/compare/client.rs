//! A client of MCP servers, as thin as can be.
//!
//! Owns: a server process and its pipes. Promises: a call costs one write and
//! the reads until its answer, on the calling thread; the process is gone when
//! this is dropped. Leaves to others: what to call.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::Result;

/// A server and the connection to it.
pub(crate) struct Client {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    next_id: u64,
    line: String,
}

impl Client {
    /// Starts `maasl serve` on `root`.
    pub(crate) fn of_maasl(maasl: &Path, root: &Path, agent: &str) -> Result<Self> {
        let mut command = Command::new(maasl);
        command
            .args(["serve", "--root"])
            .arg(root)
            .env("MAASL_AGENT", agent);
        Self::start(command, "2025-11-25")
    }

    /// Starts the official file system server on `root`.
    pub(crate) fn of_filesystem_server(script: &Path, root: &Path) -> Result<Self> {
        let mut command = Command::new("node");
        command.arg(script).arg(root).stderr(Stdio::null());
        Self::start(command, "2025-06-18")
    }

    fn start(mut command: Command, protocol: &str) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or("no pipe to the server")?;
        let stdout = child.stdout.take().ok_or("no pipe from the server")?;
        let mut client = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
            next_id: 1,
            line: String::new(),
        };
        let hello = json!({
            "protocolVersion": protocol,
            "capabilities": {},
            "clientInfo": { "name": "compare", "version": "1" },
        });
        client.request("initialize", &hello)?;
        client.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
        Ok(client)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Calls a tool that must succeed; its structured result.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value> {
        let id = self.send_call(tool, arguments)?;
        let result = self.answer(id)?;
        succeeded(tool, result)
    }

    /// Calls a tool without waiting.
    pub(crate) fn send_call(&mut self, tool: &str, arguments: &Value) -> Result<u64> {
        self.send(
            "tools/call",
            &json!({ "name": tool, "arguments": arguments }),
        )
    }

    /// Sends a request and waits for its result.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Result<Value> {
        let id = self.send(method, params)?;
        self.answer(id)
    }

    fn send(&mut self, method: &str, params: &Value) -> Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
        Ok(id)
    }

    fn write(&mut self, message: &Value) -> Result<()> {
        let mut line = message.to_string();
        line.push('\n');
        Ok(self.stdin.write_all(line.as_bytes())?)
    }

    /// Waits for the result of a request sent before. Calls are answered in the
    /// order that the measures wait for them; anything else is passed over.
    pub(crate) fn answer(&mut self, id: u64) -> Result<Value> {
        loop {
            self.line.clear();
            if self.stdout.read_line(&mut self.line)? == 0 {
                return Err("the server ended".into());
            }
            let mut message: Value = serde_json::from_str(&self.line)?;
            if message["id"].as_u64() != Some(id) {
                continue;
            }
            if message["error"].is_object() {
                return Err(format!("the server refused: {}", message["error"]).into());
            }
            return Ok(message["result"].take());
        }
    }
}

/// The structured result of a call, unless it is an error.
pub(crate) fn succeeded(tool: &str, mut result: Value) -> Result<Value> {
    if result["isError"] == true {
        return Err(format!("{tool}: {result}").into());
    }
    Ok(result["structuredContent"].take())
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
