//! The command line, used beside the servers.
//!
//! Owns: short-lived processes of `maasl`, and sections that only one of them may
//! be in. Promises: a command that dies of a signal or a panic is reported, and so
//! are two who were in one section. Leaves to others: what commands print.

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use maasl_sim::rng::Stream;

use crate::ask::FILES;
use crate::world::World;

/// What a section ends with if it was not alone.
const NOT_ALONE: u8 = 77;

/// What a Rust program ends with after a panic.
const PANICKED: i32 = 101;

/// Somebody at a terminal.
#[derive(Debug)]
pub(crate) struct Commander<'a> {
    world: &'a World,
    name: String,
    draws: Stream,
}

impl<'a> Commander<'a> {
    pub(crate) fn new(world: &'a World, number: usize) -> Self {
        let name = format!("c{number}");
        Self {
            world,
            draws: Stream::of(world.seed, &["commander", &name]),
            name,
        }
    }

    /// Enters commands until the world says that it is over.
    pub(crate) fn work(mut self) {
        while !self.world.is_over() {
            let pause_ms = self.draws.below(300);
            std::thread::sleep(Duration::from_millis(pause_ms)); // tidy: somebody types
            let _turn = self.world.turn(&self.name);
            self.command();
        }
    }

    fn command(&mut self) {
        match self.draws.below(20) {
            0..12 => self.section(),
            12..14 => self.run("locks", &["locks", "--json"]),
            14..16 => self.run("stats", &["stats", "--json"]),
            16 => self.run("doctor", &["doctor"]),
            17..19 => self.run("history", &["history", FILES[0], "--json"]),
            _ => {
                let reason = format!("torture by {}", self.name);
                let revoke = ["revoke", "src", "--subtree", "--reason", &reason];
                self.world.upheaval(|| self.run("revoke", &revoke));
            }
        }
    }

    /// A command under a lease that says whether it was alone. The state may be
    /// lost, and leases with it, so a section belongs to an epoch.
    fn section(&mut self) {
        let name = format!("s{}-{}", self.draws.below(2), self.world.epoch());
        let own = std::env::current_exe().expect("this program was started from a file");
        let (own, folder) = (own.display().to_string(), self.world.ground.sections());
        let folder = folder.display().to_string();
        let lease = [
            "run",
            "--class",
            "SECTION",
            "--resource",
            &name,
            "--max-wait-ms",
            "3000",
        ];
        let section = ["--", &own, "section", &folder, &name];
        self.run("run", &[&lease[..], &section[..]].concat());
    }

    fn run(&self, name: &str, arguments: &[&str]) {
        let log = self.world.ground.logs().join(format!("{}.log", self.name));
        let log = File::options().create(true).append(true).open(log);
        let log = log.expect("logs are on a disk that nobody attacks");
        let mut through = self.world.clock(&self.name, 0);
        through.push(self.world.programs[0].display().to_string());
        let status = Command::new(&through[0])
            .args(&through[1..])
            .arg("--root")
            .arg(self.world.ground.root())
            .args(arguments)
            .env("MAASL_AGENT", &self.name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .status();
        let code = match status {
            Err(error) => return self.world.report(format!("maasl {name}: {error}")),
            Ok(status) => match status.code() {
                Some(code) => code,
                None => {
                    return self
                        .world
                        .report(format!("maasl {name} ended with {status}"));
                }
            },
        };
        self.world
            .count(&format!("maasl {name}"), &format!("exit {code}"));
        if code == i32::from(NOT_ALONE) {
            self.world.report(format!(
                "two were in one section: maasl {}",
                arguments.join(" ")
            ));
        } else if code == PANICKED {
            self.world
                .report(format!("maasl {} panicked", arguments.join(" ")));
        }
    }
}

/// Is alone in a section for a moment, or says that it is not.
pub(crate) fn section(folder: &Path, name: &str) -> ExitCode {
    let place = folder.join(name);
    if File::create_new(&place).is_err() {
        return ExitCode::from(NOT_ALONE);
    }
    std::thread::sleep(Duration::from_millis(5)); // tidy: long enough for others to come in
    match std::fs::remove_file(place) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(NOT_ALONE),
    }
}
