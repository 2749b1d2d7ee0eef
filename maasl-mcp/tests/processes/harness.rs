//! Server processes under test.
//!
//! Owns: what tests ask of `maasl serve` (`maasl-client`) over and over. Promises:
//! every wait has a limit, and whatever is not as asked for fails loudly. Leaves
//! to others: what is to be expected of an answer.

use std::path::Path;
use std::time::Duration;

use maasl_client::{Gone, Launch};
use serde_json::{Value, json};

/// Nothing here takes longer unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server process and the connection to it.
pub(crate) struct Server(maasl_client::Server);

impl Server {
    /// Starts a server for `agent` on `root`.
    pub(crate) fn start(root: &Path, agent: &str) -> Self {
        Self::with_env(root, agent, &[])
    }

    /// Starts a server with more environment, for example a fault point.
    pub(crate) fn with_env(root: &Path, agent: &str, env: &[(&str, &str)]) -> Self {
        let launch = env
            .iter()
            .fold(launched(root, agent), |launch, (name, value)| {
                launch.env(name, value)
            });
        Self::run(launch)
    }

    /// Starts a server through another program, which is given its command line and
    /// becomes it.
    pub(crate) fn through(wrapper: &[&str], root: &Path, agent: &str) -> Self {
        Self::run(launched(root, agent).through(wrapper))
    }

    fn run(launch: Launch) -> Self {
        let started = maasl_client::Server::start(launch, PATIENCE).unwrap();
        Self(started.unwrap_or_else(|gone| panic!("{gone}")))
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
        self.0.request(method, params)
    }

    /// Sends any notification.
    pub(crate) fn notify(&mut self, method: &str, params: &Value) {
        self.0.notify(method, params);
    }

    /// Notifications received while waiting for answers.
    pub(crate) fn notifications(&self) -> &[Value] {
        self.0.notifications()
    }

    /// The structured result of a call sent before.
    pub(crate) fn result(&mut self, id: u64) -> Value {
        self.result_within(id, PATIENCE)
            .expect("the server answers in time")
    }

    /// As [`Self::result`]; nothing if the server died or took too long.
    pub(crate) fn result_within(&mut self, id: u64, limit: Duration) -> Option<Value> {
        match self.0.answer(id, limit) {
            Ok(answer) => Some(answer),
            Err(gone @ Gone::Confused(_)) => panic!("{gone}"),
            Err(Gone::Ended(_) | Gone::Silent) => None,
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.process().id().unsigned_abs()
    }

    /// Freezes it, and returns once it is frozen.
    pub(crate) fn stop(&self) {
        assert!(self.0.process().stop(), "it has ended");
        self.wait_stopped();
    }

    /// Waits until it has been stopped, by us or by its own fault point.
    pub(crate) fn wait_stopped(&self) {
        let stopped = self.0.process().wait_stopped().unwrap();
        assert!(stopped, "it died instead of stopping");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        assert!(self.0.process().go_on(), "it has ended");
    }

    /// Kills it, and returns once it is dead.
    pub(crate) fn kill(&mut self) {
        // It may have died of its own fault point.
        let _ = self.0.process().kill();
        self.wait_dead();
    }

    /// Waits for it to die by itself.
    pub(crate) fn wait_dead(&mut self) {
        self.0.process().wait().unwrap();
    }

    /// Ends its input and waits for its good end.
    pub(crate) fn close(self) {
        let status = self.0.close().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Ends its input without waiting.
    pub(crate) fn end_input(&mut self) {
        self.0.end_input();
    }
}

fn launched(root: &Path, agent: &str) -> Launch {
    Launch::new(Path::new(env!("CARGO_BIN_EXE_maasl")), root, agent)
}

/// A directory with a configuration for tests.
pub(crate) fn repository(config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("maasl.toml"), config).unwrap();
    dir
}
