//! What goes wrong, and when.
//!
//! Owns: the faults and their order. Promises: the seed decides which faults come
//! in which order and how long they last; all of them are undone at the end.
//! Leaves to others: what they do to the disk (`ground`) and to processes
//! (`maasl-client`).

use std::fs;
use std::sync::RwLockWriteGuard;
use std::time::{Duration, Instant};

use maasl_core::id::ContentHash;
use maasl_sim::history::Event;
use maasl_sim::rng::Stream;

use crate::ask::{self, FILES, NAMES, one_of};
use crate::ground::Loss;
use crate::journal::{Journal, now_ns};
use crate::means::Fault;
use crate::syscalls::{Error, Spoiled};
use crate::world::World;

/// Something that was begun and has to be undone.
#[derive(Debug)]
enum Undo {
    GoOn(maasl_client::Process),
    Heal,
    LetGo(Spoiled),
}

/// Whoever breaks things.
#[derive(Debug)]
pub(crate) struct Nemesis<'a> {
    world: &'a World,
    draws: Stream,
    journal: Journal,
    undo: Vec<(Instant, Undo)>,
    strikes: u64,
    has_copy: bool,
}

impl<'a> Nemesis<'a> {
    pub(crate) fn new(world: &'a World, journal: Journal) -> Self {
        Self {
            world,
            draws: Stream::of(world.seed, &["nemesis"]),
            journal,
            undo: Vec::new(),
            strikes: 0,
            has_copy: false,
        }
    }

    /// Strikes until `end`, and undoes everything.
    pub(crate) fn work(mut self, end: Instant) {
        let mut next = Instant::now();
        while Instant::now() < end {
            let pause_ms = 20 + self.draws.below(400);
            next += Duration::from_millis(pause_ms);
            self.wait_until(next.min(end));
            self.strike();
        }
        self.take_all_back();
        self.journal.finish();
    }

    fn take_all_back(&mut self) {
        for (_, undo) in std::mem::take(&mut self.undo) {
            self.take_back(undo);
        }
        self.world.ground.heal();
    }

    /// Nobody asks for anything until this goes. Who was stopped goes on first, or
    /// would never be answered.
    fn quiet(&mut self) -> RwLockWriteGuard<'a, ()> {
        self.take_all_back();
        self.world.quiet()
    }

    /// Waits, and undoes what is due meanwhile.
    fn wait_until(&mut self, until: Instant) {
        loop {
            let now = Instant::now();
            if let Some(due) = self.undo.iter().position(|(at, _)| *at <= now) {
                let (_, undo) = self.undo.swap_remove(due);
                self.take_back(undo);
                continue;
            }
            if now >= until {
                return;
            }
            let next = self.undo.iter().map(|(at, _)| *at).min();
            let wake = next.map_or(until, |at| at.min(until));
            std::thread::sleep(wake - now); // tidy: faults come when they come
        }
    }

    fn take_back(&mut self, undo: Undo) {
        match undo {
            // It may have been killed meanwhile.
            Undo::GoOn(process) => drop(process.go_on()),
            Undo::Heal => self.world.ground.heal(),
            Undo::LetGo(spoiled) => {
                let failed = spoiled.end();
                self.world
                    .add("nemesis", "calls that failed for it", failed);
            }
        }
    }

    fn later(&mut self, after_ms: u64, undo: Undo) {
        let at = Instant::now() + Duration::from_millis(after_ms);
        self.undo.push((at, undo));
    }

    fn strike(&mut self) {
        self.strikes += 1;
        match self.draws.below(100) {
            0..26 => self.kill_one(),
            26..29 => self.kill_all(),
            29..56 => self.stop_one(),
            56..59 => self.stop_all(),
            59..66 => self.fill(),
            66..70 => self.freeze(),
            70..84 => self.save_outside(),
            84..89 => self.spoil(Fault::IoErrors, Error::Io, "disk errors in one"),
            89..92 => self.spoil(Fault::ReadOnlyCalls, Error::ReadOnly, "read-only for one"),
            92..94 => self.make_read_only(),
            _ if self.world.leave_state => {}
            94..96 => self.copy_state(),
            96..98 => self.put_old_state_back(),
            _ => self.delete_state(),
        }
    }

    fn victim(&mut self) -> Option<maasl_client::Process> {
        let processes = self.world.processes();
        let count = processes.len() as u64;
        let drawn = self.draws.below(count.max(1));
        let at = usize::try_from(drawn).expect("it is below a length");
        processes.into_iter().nth(at).map(|(_, process)| process)
    }

    fn kill_one(&mut self) {
        if self.victim().is_some_and(|process| process.kill()) {
            self.world.count("nemesis", "killed");
        }
    }

    fn kill_all(&mut self) {
        for (_, process) in self.world.processes() {
            let _ = process.kill();
        }
        self.world.count("nemesis", "killed all at once");
    }

    /// For less than a lease lasts, or for longer.
    fn stop_one(&mut self) {
        let stop_ms = match self.draws.below(10) {
            0..6 => self.draws.below(200),
            6..9 => 200 + self.draws.below(1_800),
            _ => 2_000 + self.draws.below(6_000),
        };
        if let Some(process) = self.victim().filter(maasl_client::Process::stop) {
            self.world.count("nemesis", "stopped");
            self.later(stop_ms, Undo::GoOn(process));
        }
    }

    fn stop_all(&mut self) {
        let stop_ms = 100 + self.draws.below(3_000);
        for (_, process) in self.world.processes() {
            if process.stop() {
                self.later(stop_ms, Undo::GoOn(process));
            }
        }
        self.world.count("nemesis", "stopped all at once");
    }

    /// For a while some calls of a server fail, every one or only some.
    fn spoil(&mut self, fault: Fault, error: Error, how: &str) {
        let spoiled_ms = 100 + self.draws.below(1_000);
        let when = (1 + self.draws.below(4), 1 + self.draws.below(3));
        let log = self
            .world
            .ground
            .base()
            .join(format!("spoiled-{}", self.strikes));
        let victim = self.victim().filter(|_| self.world.means.allow(fault));
        let begin = |process: maasl_client::Process| Spoiled::begin(process.id(), error, when, log);
        if let Some(spoiled) = victim.and_then(begin) {
            self.world.count("nemesis", how);
            self.later(spoiled_ms, Undo::LetGo(spoiled));
        }
    }

    /// Nobody may have a file open for writing, so all servers are killed, and
    /// those that follow them meet a disk that is read-only for a while.
    fn make_read_only(&mut self) {
        let read_only_ms = 100 + self.draws.below(1_500);
        if !self.world.means.allow(Fault::ReadOnlyDisk) {
            return;
        }
        let _quiet = self.quiet();
        for (_, process) in self.world.processes() {
            if process.kill() {
                let _ = process.wait();
            }
        }
        if self.world.ground.read_only(true) {
            self.world.count("nemesis", "disk read-only");
            self.later(read_only_ms, Undo::Heal);
        } else {
            self.world.count("nemesis", "disk would not be read-only");
        }
    }

    fn fill(&mut self) {
        let full_ms = 100 + self.draws.below(1_200);
        if self.world.means.allow(Fault::FullDisk) && self.world.ground.fill() {
            self.world.count("nemesis", "disk full");
            self.later(full_ms, Undo::Heal);
        }
    }

    fn freeze(&mut self) {
        let frozen_ms = 100 + self.draws.below(1_000);
        if self.world.ground.freeze(true) {
            self.world.count("nemesis", "folder forbidden");
            self.later(frozen_ms, Undo::Heal);
        }
    }

    /// Somebody saves a file with another program.
    fn save_outside(&mut self) {
        let names = if self.draws.permille(200) {
            &NAMES[..]
        } else {
            &FILES[..]
        };
        let path = one_of(&mut self.draws, names);
        let content = ask::content(None, &format!("outside-{}", self.strikes));
        let ground = &self.world.ground;
        let saved = ground.outside().join("saved");
        let since_ns = now_ns();
        let is_saved = fs::write(&saved, &content).is_ok()
            && fs::rename(&saved, ground.root().join(path)).is_ok();
        if is_saved {
            self.world.count("nemesis", "saved from outside");
            let event = Event::Outside {
                path: path.to_owned(),
                since_ns: Some(since_ns),
                new: Some(ContentHash::of(content.as_bytes())),
            };
            self.journal.note(now_ns(), event);
        }
    }

    /// A copy as a backup of the whole machine would have it: nobody runs.
    fn copy_state(&mut self) {
        let _quiet = self.quiet();
        let running = self.world.processes();
        let stopped: Vec<_> = running
            .iter()
            .filter(|(_, process)| process.stop())
            .collect();
        if self.world.ground.copy_state() {
            self.has_copy = true;
            self.world.count("nemesis", "state copied");
        }
        // Half a copy is one too.
        self.world.note_copy();
        for (_, process) in stopped {
            let _ = process.go_on();
        }
    }

    fn put_old_state_back(&mut self) {
        if self.has_copy {
            let world = self.world;
            self.lose("old state put back", || world.ground.put_old_state_back());
        }
    }

    fn delete_state(&mut self) {
        let world = self.world;
        self.lose("state deleted", || world.ground.delete_state());
    }

    /// Half of the times while nobody asks for anything.
    fn lose(&mut self, how: &str, lose: impl FnOnce() -> Loss) {
        let world = self.world;
        let _quiet = self.draws.permille(500).then(|| self.quiet());
        match world.lose_state(lose) {
            Loss::None => return,
            Loss::Half => world.count("nemesis", &format!("{how}, by half")),
            Loss::Whole => world.count("nemesis", how),
        }
        self.journal.note(now_ns(), Event::Restored);
    }
}
