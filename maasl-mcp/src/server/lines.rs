//! Messages as lines.
//!
//! Owns: reading them, and what is said to one that cannot be read. Promises: a request
//! that its client takes for valid JSON is answered, also where it is not read here: a
//! lone surrogate, bytes that are no UTF-8, more nesting or a larger number than there is
//! room for. A message without an id is none that anybody waits for. Leaves to others:
//! writing (rmcp), the length of lines (`line_limit`), what messages say.

use std::future::Future;
use std::io;

use rmcp::RoleServer;
use rmcp::model::{ErrorData, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader, Empty, empty};
use tokio::task::JoinSet;

use crate::members;

/// Some editors and shells begin a text with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Room for a line that is kept from one to the next.
const LINE_BYTES_KEPT: usize = 1 << 20;
/// Answers that wait to be written, at most: whoever sends what cannot be read may also
/// not read what it is told.
const ANSWERS_MAX: usize = 64;
/// Of the reason why a message cannot be read, so many characters are told: it may repeat
/// what it is about.
const REASON_CHARS_MAX: usize = 200;

type Received = RxJsonRpcMessage<RoleServer>;
type Sent = TxJsonRpcMessage<RoleServer>;

/// A server's side of a connection.
pub(super) struct Lines<R, W: AsyncWrite> {
    reader: BufReader<R>,
    /// What was read of the line that is not over.
    line: Vec<u8>,
    /// Writes, and reads nothing.
    out: AsyncRwTransport<RoleServer, Empty, W>,
    /// What is being said to messages that cannot be read.
    answers: JoinSet<()>,
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub(super) fn new(reader: R, writer: W) -> Self {
        Self {
            reader: BufReader::new(reader),
            line: Vec::new(),
            out: AsyncRwTransport::new(empty(), writer),
            answers: JoinSet::new(),
        }
    }

    /// Reads on until the line is over; false where it never is. Dropped half-way, it
    /// can be called again.
    async fn read_line(&mut self) -> bool {
        match self.reader.read_until(b'\n', &mut self.line).await {
            Ok(_) => self.line.ends_with(b"\n"),
            Err(error) => {
                tracing::error!(%error, "the client cannot be heard any more");
                false
            }
        }
    }

    /// The message in the line; nothing where there is none that can be read.
    fn message(&mut self) -> Option<Received> {
        let line = self.line.trim_ascii();
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        let read = (!line.is_empty()).then(|| serde_json::from_slice(line));
        let answer = match &read {
            Some(Err(error)) => answer(line, error),
            Some(Ok(_)) | None => None,
        };
        self.line.clear();
        self.line.shrink_to(LINE_BYTES_KEPT);
        if let Some(answer) = answer {
            let told = self.out.send(answer);
            self.answers.spawn(async move {
                if let Err(error) = told.await {
                    tracing::debug!(%error, "a message that cannot be read was not answered");
                }
            });
        }
        read?.ok()
    }
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(&mut self, item: Sent) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        self.out.send(item)
    }

    async fn receive(&mut self) -> Option<Received> {
        loop {
            while self.answers.try_join_next().is_some() {}
            while self.answers.len() >= ANSWERS_MAX {
                self.answers.join_next().await;
            }
            if !self.read_line().await {
                // Whoever closes right after a line is still told of it.
                while self.answers.join_next().await.is_some() {}
                return None;
            }
            let message = self.message();
            if message.is_some() {
                return message;
            }
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.out.close().await
    }
}

/// What is said to a line that is no message, if anything.
fn answer(line: &[u8], error: &serde_json::Error) -> Option<Sent> {
    let reason: String = error.to_string().chars().take(REASON_CHARS_MAX).collect();
    tracing::warn!(reason, bytes = line.len(), "a message cannot be read");
    let skimmed = Skimmed::of(line);
    let is_request = skimmed.has_method && skimmed.has_id;
    // An id without a method is that of an answer, and has nothing to do with the
    // client's own.
    let id = skimmed.id.filter(|_| is_request);
    if error.is_data() {
        // Nobody waits for an answer to a notification.
        let is_notification = skimmed.has_method && !skimmed.has_id;
        let refused = ErrorData::invalid_request(format!("no request: {reason}"), None);
        return (!is_notification).then(|| Sent::error(refused, id));
    }
    let refused = ErrorData::parse_error(format!("cannot be read as JSON: {reason}"), None);
    is_request.then(|| Sent::error(refused, id))
}

/// What a message is, as far as it shows.
#[derive(Default)]
struct Skimmed {
    /// Nothing where there is none, or one that is neither text nor a whole number.
    id: Option<RequestId>,
    has_id: bool,
    has_method: bool,
}

impl Skimmed {
    fn of(line: &[u8]) -> Self {
        let mut skimmed = Self::default();
        members::scan(line, |name, value| {
            if members::is_text(&line[name.clone()], "id") {
                skimmed.has_id = true;
                skimmed.id = serde_json::from_slice(&line[value]).ok();
            } else if members::is_text(&line[name], "method") {
                skimmed.has_method = true;
            }
        });
        skimmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// What is said to a line.
    fn told(line: &[u8]) -> Value {
        let read: Result<Received, _> = serde_json::from_slice(line);
        let said = answer(line, &read.expect_err("it is no message"));
        serde_json::to_value(said).expect("messages are JSON")
    }

    #[test]
    fn a_request_that_cannot_be_read_is_answered_by_its_id() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        for value in [r#""\ud83d""#, "1e400", &deep] {
            let line = format!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"x","arguments":{{"a":{value}}}}}}}"#
            );
            let told = told(line.as_bytes());
            assert_eq!(told["id"], 7, "{told}");
            assert_eq!(told["error"]["code"], -32700, "{told}");
        }
        let raw = b"{\"method\": \"x\", \"id\": \"a\", \"params\": {\"p\": \"\xff\"}}";
        assert_eq!(told(raw)["id"], "a");
    }

    #[test]
    fn a_request_with_an_id_that_is_none_is_answered_without() {
        for id in ["18446744073709551615", "1.5", "true", "null", "[]"] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
            let told = told(line.as_bytes());
            assert_eq!(told["error"]["code"], -32600, "{told}");
            assert_eq!(told["id"], Value::Null, "{told}");
        }
    }

    #[test]
    fn what_nobody_waits_for_is_not_answered() {
        for line in [
            &br#"{"method":"notifications/initialized","params":{"a":1e400}}"#[..],
            br#"{"jsonrpc":"2.0","id":7,"result":{"a":1e400}}"#,
            b"{not json",
            b"[1e400]",
        ] {
            assert_eq!(told(line), Value::Null);
        }
    }

    #[test]
    fn a_reason_is_bounded() {
        let long = format!("\"{}\"", "x".repeat(1 << 20));
        let told = told(long.as_bytes()).to_string();
        assert!(told.len() < 1_000, "{} bytes", told.len());
    }
}
