//! Clients that live and do not read what they are told, or cannot be told any more:
//! their servers end all the same, and return what they held.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::facts::{maasl, shown_json, until};
use crate::harness::repository;

/// A client that reads only what it asks for.
struct Client {
    server: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
}

impl Client {
    /// Starts a server, and takes a lease that outlives every test.
    fn with_lease(root: &Path) -> Self {
        let mut command = maasl(root, &["serve"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut client = Self {
            input: server.stdin.take(),
            output: server.stdout.take().map(BufReader::new),
            server,
        };
        let about = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
                            "clientInfo": { "name": "deaf", "version": "1" } });
        client.say(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about }));
        client.hear(1);
        client.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        client.acquire(2, "held");
        assert_eq!(client.hear(2)["result"]["structuredContent"]["ok"], true);
        assert_eq!(shown_json(root, &["locks"])["count"], 1);
        client
    }

    fn say(&mut self, message: &Value) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{message}").unwrap();
    }

    fn call(&mut self, id: u64, tool: &str, arguments: &Value) {
        let params = json!({ "name": tool, "arguments": arguments });
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }));
    }

    fn acquire(&mut self, id: u64, resource: &str) {
        let wanted = json!({ "resources": [{ "id": resource }], "ttl_sec": 600 });
        self.call(id, "lease_acquire", &wanted);
    }

    /// The answer to a call; nothing else comes before it.
    fn hear(&mut self, id: u64) -> Value {
        let mut line = String::new();
        let output = self.output.as_mut().unwrap();
        output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Asks for more than the pipe takes, and waits until some of it is there.
    fn asks_and_does_not_read(&mut self) {
        self.call(3, "read_file", &json!({ "path": "big" }));
        let output = self.output.as_ref().unwrap();
        assert_eq!(output.buffer(), b"");
        until("an answer that is begun", || {
            ioctl_fionread(output.get_ref()).unwrap() > 0
        });
    }

    /// Waits for the good end of the server; nothing is held then.
    fn is_left(&mut self, root: &Path) {
        let mut ended = None;
        until("the end of the server", || {
            ended = self.server.try_wait().unwrap();
            ended.is_some()
        });
        assert!(ended.unwrap().success(), "{ended:?}");
        assert_eq!(shown_json(root, &["locks"])["count"], 0);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It has ended unless the test has failed.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn repository_with_a_big_file() -> tempfile::TempDir {
    let dir = repository("");
    std::fs::write(dir.path().join("big"), "x".repeat(500_000)).unwrap();
    dir
}

#[test]
fn a_client_that_does_not_read_keeps_no_server_after_it_has_closed() {
    let dir = repository_with_a_big_file();
    let mut client = Client::with_lease(dir.path());
    client.asks_and_does_not_read();
    client.input = None;
    client.is_left(dir.path());
}

#[test]
fn a_client_that_does_not_read_keeps_no_server_that_is_asked_to_stop() {
    let dir = repository_with_a_big_file();
    let mut client = Client::with_lease(dir.path());
    client.asks_and_does_not_read();
    kill_process(Pid::from_child(&client.server), Signal::TERM).unwrap();
    client.is_left(dir.path());
}

#[test]
fn nothing_is_granted_to_a_client_that_cannot_be_told() {
    let dir = repository("");
    let mut client = Client::with_lease(dir.path());
    client.output = None;
    client.acquire(3, "nobody hears of it");
    client.is_left(dir.path());
}
