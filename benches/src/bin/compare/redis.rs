//! A lock in Redis, as its documentation describes it.
//!
//! Owns: a server of our own and a client for three commands. Promises: the
//! server listens on a socket file only and is gone when this is dropped. Leaves
//! to others: how often to ask again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// Compares and deletes, so that nobody deletes another's lock.
const RELEASE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then \
                       return redis.call('del', KEYS[1]) else return 0 end";
const TTL_MS: &str = "30000";
const PATIENCE: Duration = Duration::from_secs(10);

/// A server.
pub(crate) struct Server {
    child: Child,
    dir: tempfile::TempDir,
}

impl Server {
    /// Starts one; nothing where it is not installed.
    pub(crate) fn start() -> Result<Option<Self>> {
        // The path of a socket is limited to 108 bytes, so not in the usual place.
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .arg("--unixsocket")
            .arg(dir.path().join("redis"))
            .arg("--dir")
            .arg(dir.path())
            .stdout(Stdio::null());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let server = Self { child, dir };
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(server.socket()).is_err() {
            if Instant::now() > deadline {
                return Err("redis-server does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(server))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One lock and the connection to ask for it.
pub(crate) struct Lock {
    stream: BufReader<UnixStream>,
    key: &'static str,
    value: String,
}

impl Lock {
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        Ok(Self {
            stream: BufReader::new(UnixStream::connect(socket)?),
            key: "lock:hot",
            value: std::process::id().to_string(),
        })
    }

    /// Asks once; whether it was granted.
    pub(crate) fn try_acquire(&mut self) -> Result<bool> {
        let value = self.value.clone();
        let reply = self.command(&["SET", self.key, &value, "NX", "PX", TTL_MS])?;
        Ok(reply == "+OK")
    }

    pub(crate) fn release(&mut self) -> Result<()> {
        let value = self.value.clone();
        match &*self.command(&["EVAL", RELEASE, "1", self.key, &value])? {
            ":1" => Ok(()),
            other => Err(format!("the lock was lost: {other}").into()),
        }
    }

    /// Sends a command; the first line of the reply, all that these commands have.
    fn command(&mut self, words: &[&str]) -> Result<String> {
        let words_in_resp = words
            .iter()
            .map(|word| format!("${}\r\n{word}\r\n", word.len()));
        let message = format!("*{}\r\n{}", words.len(), words_in_resp.collect::<String>());
        self.stream.get_mut().write_all(message.as_bytes())?;
        let mut reply = String::new();
        self.stream.by_ref().take(1024).read_line(&mut reply)?;
        Ok(reply.trim_end().to_owned())
    }
}
