//! SQLite: damaged state directories, what is found in them, what a repair keeps,
//! and that tokens rise all the same.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use maasl_core::id::{AgentId, ContentHash, LeaseId, SessionId, Token};
use maasl_core::lease::command::{Acquire, Revoke};
use maasl_core::lease::{Command, LeaseEnd, LeaseKind, Outcome};
use maasl_core::resource::Scope;
use maasl_node::live::Liveness;
use maasl_node::objects::Objects;
use maasl_node::state_dir::StateDir;
use maasl_node::store::sqlite::View;
use maasl_node::store::sqlite::repair::{Deed, RepairError, examine, repair};
use maasl_node::store::{SqliteStore, Store as _, StoreError};

use super::bench::{ask, extent, finish, granted, intent, release};
use super::files::{Place, edit};

/// Commits of one file: enough for many pages of versions.
const COMMITS: u64 = 120;

/// A repository whose store has seen grants, commits, a revocation and a commit
/// that is still open; and the newest token it gave out.
pub(super) struct Used {
    pub(super) place: Place,
    pub(super) newest: Token,
    pub(super) versions: usize,
}

pub(super) fn take(store: &SqliteStore, id: &str, path: &str) -> maasl_core::lease::Lease {
    let asked = Acquire {
        lease: LeaseId::new(id),
        kind: LeaseKind::Reservation,
        ..ask("a", path)
    };
    granted(store.transact(&Command::Acquire(asked)).unwrap())
}

impl Used {
    fn new() -> Self {
        Self::by(COMMITS)
    }

    pub(super) fn by(commits: u64) -> Self {
        let place = Place::new();
        let store = place.open();
        for n in 0..commits {
            let op = format!("op-{n}");
            let lease = take(&store, &op, "f");
            let begin = Command::BeginCommit(intent(&lease, &op, &["f"], &op));
            assert_eq!(store.transact(&begin).unwrap(), Outcome::Begun);
            store.transact(&finish(&op)).unwrap();
        }
        let victim = take(&store, "victim", "g");
        let revoke = Command::Revoke(Revoke {
            target: extent("g", Scope::Exact),
            by: AgentId::new("boss"),
            reason: "stuck".into(),
            latched: victim.keys().cloned().collect(),
        });
        store.transact(&revoke).unwrap();
        let lease = take(&store, "open", "h");
        let begin = Command::BeginCommit(intent(&lease, "open", &["h"], "new"));
        assert_eq!(store.transact(&begin).unwrap(), Outcome::Begun);
        drop(store);
        let objects = Objects::new(place.file("objects"));
        let staged = place.file("stage").join("content");
        fs::write(&staged, "kept").unwrap();
        objects.keep(&staged, &ContentHash::of(b"kept")).unwrap();
        let mut used = Self {
            place,
            newest: lease.token,
            versions: 0,
        };
        used.versions = used.versions();
        assert_eq!(used.faults(), Vec::<String>::new());
        used
    }

    fn state(&self) -> StateDir {
        StateDir::open(self.place.root.path()).unwrap()
    }

    /// The names of what is at fault.
    pub(super) fn faults(&self) -> Vec<String> {
        let faults = examine(&self.state()).unwrap().into_iter();
        let named = faults.map(|fault| fault.path.file_name().unwrap().to_owned());
        named.map(|name| name.into_string().unwrap()).collect()
    }

    fn overwrite(&self, name: &str, bytes: &[u8], at: u64) {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(self.place.file(name));
        file.unwrap().write_all_at(bytes, at).unwrap();
    }

    /// Repairs, and checks what holds after any repair; what was done.
    pub(super) fn repaired(&self, at_fault: &[&str]) -> Vec<Deed> {
        assert_eq!(self.faults(), at_fault);
        let deeds = repair(&self.state()).unwrap();
        assert!(!deeds.is_empty());
        assert_eq!(self.faults(), Vec::<String>::new());
        assert_eq!(repair(&self.state()).unwrap(), [], "twice is once");
        for deed in &deeds {
            if let Deed::Moved { fault, to } = deed {
                assert!(to.symlink_metadata().is_ok(), "{}", to.display());
                assert!(to.starts_with(self.place.file("quarantine")), "{fault:?}");
            }
            assert!(!deed.to_string().is_empty());
        }
        assert!(!self.place.file("repair").exists());
        let store = self.place.open();
        let token = take(&store, "after", "elsewhere").token;
        assert!(token > self.newest, "{token} after {}", self.newest);
        deeds
    }

    pub(super) fn versions(&self) -> usize {
        let view = View::open(&self.place.file("")).unwrap().unwrap();
        view.history("f", u32::MAX).unwrap().len()
    }

    /// Whether the open commit and the revocation are known, as before.
    pub(super) fn knows_open_commit_and_revocation(&self) -> (bool, bool) {
        let store = self.place.open();
        let Outcome::Snapshot(snapshot) = store.transact(&Command::Snapshot).unwrap() else {
            panic!("no snapshot");
        };
        let open = snapshot
            .intents
            .iter()
            .any(|open| open.op.as_str() == "open");
        let verify = Command::Verify(LeaseId::new("victim"));
        let revoked = match store.transact(&verify).unwrap() {
            Outcome::Lost { ended, .. } => ended.is_some_and(|ended| {
                matches!(&ended.end, LeaseEnd::Revoked { by, reason }
                    if by.as_str() == "boss" && reason == "stuck")
            }),
            other => panic!("{other:?}"),
        };
        (open, revoked)
    }
}

pub(super) fn was_rebuilt(deeds: &[Deed]) -> &maasl_node::store::sqlite::repair::Salvaged {
    let rebuilt = deeds.iter().find_map(|deed| match deed {
        Deed::Rebuilt(salvaged) => Some(salvaged),
        Deed::Moved { .. } | Deed::FloorRaised(_) => None,
    });
    rebuilt.expect("a new database was made")
}

/// What was wrong with a file of this name, and where it is now.
pub(super) fn moved<'d>(deeds: &'d [Deed], name: &str) -> (&'d str, &'d PathBuf) {
    let moved = deeds.iter().find_map(|deed| match deed {
        Deed::Moved { fault, to } => fault.path.ends_with(name).then_some((&*fault.what, to)),
        Deed::Rebuilt(_) | Deed::FloorRaised(_) => None,
    });
    moved.expect("it was moved")
}

/// Where the first page of a table or index begins in the file.
fn root_of(place: &Place, name: &str) -> u64 {
    let db = rusqlite::Connection::open(place.file("maasl.db")).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let page: u64 = db.query_row(sql, [name], |row| row.get(0)).unwrap();
    (page - 1) * 2048
}

#[test]
fn a_header_that_was_written_over_costs_no_row() {
    let used = Used::new();
    used.overwrite("maasl.db", &[0xff; 100], 0);
    let deeds = used.repaired(&["maasl.db"]);
    assert_eq!(was_rebuilt(&deeds).cut, Vec::<&str>::new());
    assert_eq!(used.versions(), used.versions);
    assert_eq!(used.knows_open_commit_and_revocation(), (true, true));
}

#[test]
fn damage_in_the_middle_costs_what_lies_there() {
    let used = Used::new();
    let leaf = leaf_of_versions(&used.place);
    used.overwrite("maasl.db", &[0xa5; 1024], leaf);
    let deeds = used.repaired(&["maasl.db"]);
    let salvaged = was_rebuilt(&deeds);
    assert_eq!(salvaged.cut, ["version"]);
    assert!(salvaged.to_string().contains("missing of: version"));
    let (left, had) = (used.versions(), used.versions);
    assert!(left > had / 2 && left < had, "{left} of {had} are left");
    assert_eq!(used.knows_open_commit_and_revocation(), (true, true));
}

/// A page in the middle of the tree of versions.
fn leaf_of_versions(place: &Place) -> u64 {
    let root = usize::try_from(root_of(place, "version")).unwrap();
    let file = fs::read(place.file("maasl.db")).unwrap();
    let page = &file[root..root + 2048];
    assert_eq!(page[0], 2, "an inner page of an index tree");
    let cells = usize::from(u16::from_be_bytes([page[3], page[4]]));
    let middle = 12 + cells / 2 * 2;
    let cell = usize::from(u16::from_be_bytes([page[middle], page[middle + 1]]));
    let child = u32::from_be_bytes(page[cell..cell + 4].try_into().unwrap());
    u64::from(child - 1) * 2048
}

#[test]
fn a_database_that_was_cut_keeps_what_is_left() {
    let used = Used::new();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(used.place.file("maasl.db"))
        .unwrap();
    let half = file.metadata().unwrap().len() / 2 / 2048 * 2048;
    file.set_len(half).unwrap();
    drop(file);
    let deeds = used.repaired(&["maasl.db"]);
    assert!(!was_rebuilt(&deeds).cut.is_empty());
}

#[test]
fn an_empty_or_foreign_file_gives_way_to_a_new_store() {
    for content in ["", &"not a database at all. ".repeat(400)] {
        let used = Used::new();
        fs::write(used.place.file("maasl.db"), content).unwrap();
        let deeds = used.repaired(&["maasl.db"]);
        assert_eq!(was_rebuilt(&deeds).rows, 0);
        assert_eq!(used.versions(), 0);
        let (_, to) = moved(&deeds, "maasl.db");
        assert_eq!(
            fs::read_to_string(to).unwrap(),
            content,
            "nothing is deleted"
        );
    }
}

#[test]
fn a_log_of_garbage_is_put_aside_and_the_database_kept() {
    let used = Used::new();
    let before = fs::read(used.place.file("maasl.db")).unwrap();
    fs::write(used.place.file("maasl.db-wal"), [0x5a; 4096]).unwrap();
    assert_eq!(used.faults(), ["maasl.db-wal"]);
    assert_eq!(used.faults(), ["maasl.db-wal"], "looking leaves it there");
    let deeds = repair(&used.state()).unwrap();
    assert!(matches!(&deeds[..], [Deed::Moved { .. }]), "{deeds:?}");
    assert_eq!(fs::read(used.place.file("maasl.db")).unwrap(), before);
    assert_eq!(used.faults(), Vec::<String>::new());
    assert_eq!(used.knows_open_commit_and_revocation(), (true, true));
}

#[test]
fn a_lost_or_damaged_floor_is_written_again_above_everything() {
    for harm in [
        |floor: &Path| fs::remove_file(floor).unwrap(),
        |floor: &Path| fs::write(floor, "floor of something else, long enough to read").unwrap(),
    ] {
        let used = Used::new();
        harm(&used.place.file("floor"));
        let deeds = used.repaired(&["floor"]);
        assert!(
            deeds
                .iter()
                .any(|deed| matches!(deed, Deed::FloorRaised(_)))
        );
        assert_eq!(used.versions(), used.versions);
    }
}

#[test]
fn tokens_rise_though_floor_and_header_are_both_lost() {
    let used = Used::new();
    fs::remove_file(used.place.file("floor")).unwrap();
    used.overwrite("maasl.db", &[0; 100], 0);
    // The clock of the store stands still, so it cannot be what helps.
    used.repaired(&["maasl.db"]);
}

#[test]
fn a_graph_is_kept_whole_or_left_behind() {
    let used = Used::new();
    edit(
        &used.place,
        r#"INSERT INTO graph VALUES ('cut', '{"graph":"cut","next_counter":2,
            "end":{"place":1,"patch":null},"kept":{"place":0,"patch":null},
            "have":{},"bytes":5,"checkpoint_bytes":0}');"#,
    );
    used.overwrite("maasl.db", &[0; 16], 0);
    let deeds = used.repaired(&["maasl.db"]);
    let salvaged = was_rebuilt(&deeds);
    let is_known = salvaged.graphs_left == ["cut"] || salvaged.cut == ["graph"];
    assert!(is_known, "{salvaged:?}");
    let left: u64 = rusqlite::Connection::open(used.place.file("maasl.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM graph", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn what_is_no_file_of_ours_is_put_aside_and_never_followed() {
    let used = Used::new();
    let outside = used.place.root.path().join("outside");
    fs::write(&outside, "mine").unwrap();
    for name in ["latch/007", "live/dead", "docgen-manifest"] {
        let _ = fs::remove_file(used.place.file(name));
        symlink(&outside, used.place.file(name)).unwrap();
    }
    fs::write(used.place.file("latch/left-over"), "").unwrap();
    fs::create_dir(used.place.file("latch/008")).unwrap();
    drop(UnixListener::bind(used.place.file("live/socket")).unwrap());
    let odd = [
        "docgen-manifest",
        "007",
        "008",
        "left-over",
        "dead",
        "socket",
    ];
    let deeds = used.repaired(&odd);
    assert_eq!(deeds.len(), odd.len(), "{deeds:?}");
    assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
}

#[test]
fn a_store_behind_a_link_is_put_aside_with_the_link() {
    for name in ["maasl.db", "gate", "floor"] {
        let used = Used::new();
        let outside = used.place.root.path().join("outside");
        fs::rename(used.place.file(name), &outside).unwrap();
        symlink(&outside, used.place.file(name)).unwrap();
        let before = fs::read(&outside).unwrap();
        assert_eq!(used.faults(), [name]);
        repair(&used.state()).unwrap();
        assert_eq!(used.faults(), Vec::<String>::new());
        assert_eq!(fs::read(&outside).unwrap(), before);
        let token = take(&used.place.open(), "after", "elsewhere").token;
        assert!(token > used.newest, "{name}");
    }
}

/// Writes something that stays in the log; the database and the log as of then.
fn with_log(place: &Place) -> (Vec<u8>, Vec<u8>) {
    let db = rusqlite::Connection::open(place.file("maasl.db")).unwrap();
    let sql = "UPDATE version SET body = json_set(body, '$.wall_ms', 7) WHERE number = 1";
    db.execute_batch(sql).unwrap();
    let read = |name| fs::read(place.file(name)).unwrap();
    let files = (read("maasl.db"), read("maasl.db-wal"));
    assert!(!files.1.is_empty());
    files
}

#[test]
fn a_database_with_a_second_name_is_put_aside_with_its_log() {
    let used = Used::new();
    let (database, log) = with_log(&used.place);
    fs::write(used.place.file("maasl.db"), &database).unwrap();
    fs::write(used.place.file("maasl.db-wal"), &log).unwrap();
    let outside = used.place.root.path().join("outside");
    fs::hard_link(used.place.file("maasl.db"), &outside).unwrap();
    let deeds = used.repaired(&["maasl.db"]);
    for (name, bytes) in [("maasl.db", database), ("maasl.db-wal", log)] {
        let (what, to) = moved(&deeds, name);
        assert_eq!(fs::read(to).unwrap(), bytes, "{what}");
    }
}

#[test]
fn a_log_whose_database_is_gone_is_kept() {
    let used = Used::new();
    let (_, log) = with_log(&used.place);
    fs::remove_file(used.place.file("maasl.db")).unwrap();
    fs::write(used.place.file("maasl.db-wal"), &log).unwrap();
    let deeds = used.repaired(&["maasl.db-wal"]);
    let (what, to) = moved(&deeds, "maasl.db-wal");
    assert!(what.contains("a database that is gone"), "{what}");
    assert_eq!(fs::read(to).unwrap(), log);
}

#[test]
fn a_kept_content_that_changed_is_put_aside() {
    let used = Used::new();
    let name = ContentHash::of(b"kept").to_string();
    let object = used.place.file("objects").join(&name[..2]).join(&name[2..]);
    fs::set_permissions(&object, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&object, "kepd").unwrap();
    let deeds = used.repaired(&[&name[2..]]);
    assert_eq!(deeds.len(), 1);
}

#[test]
fn nothing_is_repaired_while_a_process_lives_or_has_the_database_open() {
    let used = Used::new();
    used.overwrite("maasl.db", &[0xff; 100], 200);
    let before = fs::read(used.place.file("maasl.db")).unwrap();
    let dir = fs::File::open(used.place.file("live")).unwrap();
    let life = Liveness::new(dir.into())
        .hold(&SessionId::new("s"), &[])
        .unwrap();
    let refused = repair(&used.state()).unwrap_err();
    let own = std::process::id();
    assert!(
        matches!(&refused, RepairError::Living { count: 1, pids } if *pids == [own]),
        "{refused}"
    );
    drop(life);
    assert_eq!(fs::read(used.place.file("maasl.db")).unwrap(), before);
    assert!(!used.place.file("quarantine").exists());
}

#[test]
fn a_newer_store_is_left_alone() {
    let used = Used::new();
    edit(&used.place, "PRAGMA user_version = 99");
    let refused = repair(&used.state()).unwrap_err();
    assert!(
        matches!(refused, RepairError::Store(StoreError::SchemaNewer { .. })),
        "{refused}"
    );
    assert!(!used.place.file("quarantine").exists());
}

#[test]
fn a_repaired_store_works_on() {
    let used = Used::new();
    used.overwrite("maasl.db", &[0xff; 100], 0);
    used.repaired(&["maasl.db"]);
    let store = used.place.open();
    let lease = take(&store, "again", "x");
    let latched = lease.keys().cloned().collect();
    let released = store.transact(&release(&lease, latched)).unwrap();
    assert!(matches!(released, Outcome::Released { .. }));
    store.transact(&finish("open")).unwrap();
    assert_eq!(
        store.history("h", 10).unwrap().len(),
        1,
        "the commit is ended"
    );
}
