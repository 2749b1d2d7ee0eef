//! One connection to the MCP server, in memory.
//!
//! Owns: a runtime, the streams between, and reading answers. Promises: whatever is
//! sent, the server ends when its input does, and says nothing but the protocol.
//! Leaves to others: what is sent, and what is behind the server.

use std::sync::{Arc, OnceLock};

use maasl_mcp::server::{Backend, EnvIdentity, serve};
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Bytes between client and server.
const PIPE_BYTES: usize = 64 * 1024;

/// What opens a connection.
pub const HELLO: &str = concat!(
    r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"#,
    r#""protocolVersion":"2025-06-18","capabilities":{},"#,
    r#""clientInfo":{"name":"fuzz","version":"1"}}}"#,
    "\n",
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    "\n"
);

/// The runtime that all inputs share.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        let builder = builder.worker_threads(2).enable_all();
        builder.build().expect("the system has threads")
    })
}

/// Sends everything, closes, and returns what came back, line by line.
pub async fn exchange<B: Backend>(backend: Arc<B>, input: Vec<u8>) -> Vec<Value> {
    let (mut near, server, mut output) = connected(backend);
    let sending = tokio::spawn(async move {
        // A server that has heard enough closes first.
        let _ = near.write_all(&input).await;
    });
    let mut text = String::new();
    let read = output.read_to_string(&mut text).await;
    read.expect("the server writes text");
    sending.await.expect("sending does not panic");
    // How it ended is up to what was sent.
    let _ = server.await.expect("the server does not panic");
    text.lines().map(message).collect()
}

/// A connection that is open, to ask one thing after the other.
#[derive(Debug)]
pub struct Conversation {
    input: DuplexStream,
    answers: Lines<BufReader<DuplexStream>>,
    server: JoinHandle<()>,
}

impl Conversation {
    /// Connects, and says hello.
    pub async fn open<B: Backend>(backend: Arc<B>) -> Self {
        let (input, server, output) = connected(backend);
        let server = tokio::spawn(async move {
            let ended = server.await.expect("the server does not panic");
            ended.expect("in good order");
        });
        let mut opened = Self {
            input,
            answers: BufReader::new(output).lines(),
            server,
        };
        opened.send(HELLO).await;
        opened.answer_to(&Value::from("hello")).await;
        opened
    }

    /// Sends whole lines.
    pub async fn send(&mut self, lines: &str) {
        let sent = self.input.write_all(lines.as_bytes()).await;
        sent.expect("the server is there");
    }

    /// Waits for the answer with this id, over all that is said before.
    pub async fn answer_to(&mut self, id: &Value) -> Value {
        loop {
            let line = self.answers.next_line().await.expect("text");
            let message = message(&line.expect("an answer before the end"));
            if message.get("id") == Some(id) {
                return message;
            }
        }
    }

    /// Closes, and waits until the server is over.
    pub async fn close(self) {
        drop(self.input);
        self.server.await.expect("the server does not panic");
    }
}

type Serving = JoinHandle<Result<(), maasl_mcp::server::ServeError>>;

fn connected<B: Backend>(backend: Arc<B>) -> (DuplexStream, Serving, DuplexStream) {
    let (near, reader) = tokio::io::duplex(PIPE_BYTES);
    let (writer, output) = tokio::io::duplex(PIPE_BYTES);
    let (env, stop) = (EnvIdentity::default(), CancellationToken::new());
    let server = tokio::spawn(serve(backend, env, reader, writer, stop));
    (near, server, output)
}

fn message(line: &str) -> Value {
    let message: Value = serde_json::from_str(line).expect("only the protocol is spoken");
    assert_eq!(message["jsonrpc"], "2.0", "{line}");
    message
}
