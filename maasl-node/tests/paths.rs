//! The table of refused paths.
//!
//! Every row names a path, and the reason for which it must be refused; the
//! whole fixture, inside and outside the root, is compared before and after.
//! A row runs with a deadline, so a pipe that is waited for is a failure and
//! not a hang.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(
    clippy::print_stderr,
    reason = "what could not be checked here is said"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use maasl_core::path::{FileKind, PathReason, PathRefusal, RelPath, fold};
use maasl_node::root::{Root, State};

/// Longest that one row may take; only a blocking open comes near.
const ROW_DEADLINE: Duration = Duration::from_secs(10);

/// `$` stands for the temporary directory that holds `root` and `outside`.
/// An asterisk before the reason: the row also may not create directories.
#[rustfmt::skip]
const REFUSED: &[(&str, &str, &str)] = &[
    // what                              path                                reason
    ("empty",                            "",                                 "empty"),
    ("the root itself",                  ".",                                "empty"),
    ("the root, spelled out",            "$/root",                           "empty"),
    ("climbs out",                       "../outside/secret",                "traversal"),
    ("climbs out from below",            "sub/../../outside/secret",         "traversal"),
    ("climbs and comes back",            "sub/../plain",                     "traversal"),
    ("climbs at the end",                "sub/..",                           "traversal"),
    ("climbs out of the absolute root",  "$/root/../outside/secret",         "traversal"),
    ("absolute, elsewhere",              "/etc/passwd",                      "absolute"),
    ("absolute, next door",              "$/outside/secret",                 "absolute"),
    ("absolute, name begins alike",      "$/root-evil/secret",               "absolute"),
    ("absolute, name is shorter",        "$/roo",                            "absolute"),
    ("symlink to outside, absolute",     "link-abs-out",                     "symlink"),
    ("symlink to outside, relative",     "link-rel-out",                     "symlink"),
    ("symlink to inside",                "link-in",                          "symlink"),
    ("symlink to itself",                "link-loop",                        "symlink"),
    ("symlink to nothing",               "link-dangling",                    "symlink"),
    ("symlink to a directory",           "dirlink-in",                       "symlink"),
    ("through a link out, absolute",     "dirlink-abs-out/secret",           "*symlink"),
    ("through a link out, relative",     "dirlink-rel-out/secret",           "*symlink"),
    ("new file through a link out",      "dirlink-abs-out/new",              "*symlink"),
    ("new directory through a link out", "dirlink-abs-out/new/file",         "*symlink"),
    ("through a link to inside",         "dirlink-in/plain",                 "*symlink"),
    ("through a link further down",      "sub/dirlink-up/plain",             "*symlink"),
    ("through a dangling link",          "link-dangling/new/file",           "*symlink"),
    ("through a link of /proc",          "dirlink-magic/plain",              "*symlink"),
    ("hard link to outside",             "hard-out",                         "hard_linked"),
    ("hard link to inside",              "hard-in",                          "hard_linked"),
    ("directory",                        "sub",                              "not_regular"),
    ("pipe",                             "pipe",                             "not_regular"),
    ("pipe, by absolute path",           "$/root/pipe",                      "not_regular"),
    ("socket",                           "socket",                           "not_regular"),
    ("through a file",                   "plain/x",                          "*not_directory"),
    ("through a pipe",                   "pipe/x",                           "*not_directory"),
    ("trailing slash on a file",         "plain/",                           "trailing_slash"),
    ("trailing slash on a directory",    "sub/",                             "trailing_slash"),
    ("trailing slash on a link",         "dirlink-abs-out/",                 "trailing_slash"),
    ("NUL at the end",                   "plain\0",                          "nul"),
    ("NUL before a lure",                "plain\0/../../outside/secret",     "nul"),
    ("newline",                          "plain\n",                          "control"),
    ("escape sequence",                  "\u{1b}[2Jplain",                   "control"),
    ("text reversed",                    "plain\u{202e}sr.",                 "control"),
    ("component too long",               "<256>",                            "too_long"),
    ("component too long, in bytes",     "<128é>",                           "too_long"),
    ("path too long",                    "<4098>",                           "too_long"),
    ("UNC",                              r"\\host\share\x",                  "network_like"),
    ("UNC with slashes",                 "//host/share/x",                   "network_like"),
    ("Windows drive",                    r"C:\x",                            "network_like"),
    ("Windows drive with a slash",       "C:/x",                             "network_like"),
    ("file URL",                         "file:///etc/passwd",               "network_like"),
    ("ssh URL",                          "ssh://host/x",                     "network_like"),
    ("smb URL",                          "smb://host/share",                 "network_like"),
    ("backslash",                        r"sub\plain",                       "backslash"),
    ("backslashes that climb",           r"..\outside\secret",               "backslash"),
    ("database",                         "app.db",                           "database"),
    ("database of another name",         "notes.txt",                        "database"),
    ("log beside a database",            "app.db-wal",                       "database"),
    ("absent index beside a database",   "app.db-shm",                       "database"),
    ("absent journal, other case",       "app.db-JOURNAL",                   "database"),
    ("live database, by its company",    "live",                             "database"),
    ("log without its database",         "orphan-wal",                       "database"),
    ("journal without its database",     "orphan-journal",                   "database"),
    ("declared database",                "declared",                         "database"),
    ("log of a declared database",       "declared-wal",                     "database"),
    ("state directory",                  ".maasl",                           "reserved"),
    ("state directory with a slash",     ".maasl/",                          "reserved"),
    ("inside the state directory",       "./.maasl/store.db",                "reserved"),
    ("its upper case",                   ".MAASL",                           "reserved"),
    ("its full-width spelling",          "．ｍａａｓｌ/x",                         "reserved"),
    ("its spelling with a joiner",       ".ma\u{200d}asl/x",                 "reserved"),
    ("its long s",                       ".maaſl/x",                         "reserved"),
    ("its trailing dot",                 ".maasl./x",                        "reserved"),
    ("another one further down",         "sub/.maasl/x",                     "reserved"),
    ("by absolute path",                 "$/root/.maasl/store.db",           "reserved"),
    ("Git configuration",                ".git/config",                      "reserved"),
    ("Git hook, other case",             ".GIT/hooks/pre-commit",            "reserved"),
    ("Git of a submodule",               "sub/.git/config",                  "reserved"),
    ("Git link file of a worktree",      "sub/.git",                         "reserved"),
    ("Git with an ignorable",            ".g\u{200c}it/config",              "reserved"),
    ("parent missing",                   "none/file",                        "missing_parent"),
];

struct Fixture {
    temp: PathBuf,
    root: Root,
    _keep: (tempfile::TempDir, UnixListener),
}

/// A root with everything in it that must be refused, and an outside to lose.
#[rustfmt::skip]
fn fixture() -> Fixture {
    let keep = tempfile::tempdir().unwrap();
    let temp = fs::canonicalize(keep.path()).unwrap();
    for dir in ["root/sub", "root/.git", "root/.maasl", "root-evil", "outside/dir"] {
        fs::create_dir_all(temp.join(dir)).unwrap();
    }
    for (file, content) in [
        ("outside/secret",        &b"outside"[..]),
        ("outside/shared",        b"shared"),
        ("root-evil/secret",      b"evil"),
        ("root/plain",            b"plain"),
        ("root/twin",             b"twin"),
        ("root/.git/config",      b"[core]"),
        ("root/.maasl/store.db",  b"store"),
        ("root/app.db",           b"SQLite format 3\0 and more"),
        ("root/app.db-wal",       b""),
        ("root/notes.txt",        b"SQLite format 3\0 and more"),
        ("root/live",             b"not looked at"),
        ("root/live-wal",         b""),
        ("root/live-shm",         b""),
        ("root/orphan-wal",       b"\x37\x7f\x06\x82 and more"),
        ("root/orphan-journal",   b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7 and more"),
        ("root/declared",         b"not looked at"),
    ] {
        fs::write(temp.join(file), content).unwrap();
    }
    let dir = temp.join("root");
    let out = temp.join("outside");
    for (target, link) in [
        (out.join("secret").as_path(),    "link-abs-out"),
        (Path::new("../outside/secret"),  "link-rel-out"),
        (Path::new("plain"),              "link-in"),
        (Path::new("link-loop"),          "link-loop"),
        (Path::new("nowhere"),            "link-dangling"),
        (out.as_path(),                   "dirlink-abs-out"),
        (Path::new("../outside"),         "dirlink-rel-out"),
        (Path::new("sub"),                "dirlink-in"),
        (Path::new(".."),                 "sub/dirlink-up"),
        (Path::new("/proc/self/cwd"),     "dirlink-magic"),
    ] {
        symlink(target, dir.join(link)).unwrap();
    }
    fs::hard_link(out.join("shared"), dir.join("hard-out")).unwrap();
    fs::hard_link(dir.join("twin"), dir.join("hard-in")).unwrap();
    let made = Command::new("mkfifo").arg(dir.join("pipe")).status().unwrap();
    assert!(made.success());
    let listener = UnixListener::bind(dir.join("socket")).unwrap();
    let root = Root::open(&dir).unwrap();
    let declared = fs::metadata(dir.join("declared")).unwrap();
    root.hold_database(declared.dev(), declared.ino());
    Fixture { temp, root, _keep: (keep, listener) }
}

/// Everything below `dir`: type, mode, links, time of change, and content.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = match meta.file_type() {
            kind if kind.is_file() => fs::read(&path).unwrap(),
            kind if kind.is_symlink() => fs::read_link(&path)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec(),
            _ => Vec::new(),
        };
        if meta.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        let change = (
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        );
        let facts = (meta.ino(), meta.mode(), meta.nlink(), change);
        seen.insert(path, format!("{facts:?} {}", content.escape_ascii()));
    }
    seen
}

/// `$`, and `<…>` for what is too long to stand in a table.
fn expand(path: &str, temp: &Path) -> String {
    match path {
        "<256>" => "a".repeat(256),
        "<128é>" => "é".repeat(128),
        "<4098>" => format!("{}bc", "a/".repeat(2048)),
        path => path.replace('$', temp.to_str().unwrap()),
    }
}

/// Runs with a deadline; the thread of a blocked row is left behind.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    let failed = |_| panic!("{what}: blocked, or panicked");
    receiver.recv_timeout(ROW_DEADLINE).unwrap_or_else(failed)
}

fn locate(root: &Root, input: &str) -> Result<State, PathRefusal> {
    let rel = root.relative(input)?;
    root.locate(&rel).map(|located| located.state)
}

fn reason_of<T>(result: Result<T, PathRefusal>) -> Option<PathReason> {
    result.err().map(|refusal| refusal.reason)
}

#[test]
fn every_row_is_refused_for_its_reason_and_touches_nothing() {
    let fixture = fixture();
    let before = snapshot(&fixture.temp);
    let root = std::sync::Arc::new(fixture.root);
    let mut wrong = Vec::new();
    for (what, path, expected) in REFUSED {
        let input = expand(path, &fixture.temp);
        let (expected, creates_too) = match expected.strip_prefix('*') {
            Some(expected) => (expected, true),
            None => (*expected, false),
        };
        let (shared, asked) = (root.clone(), input.clone());
        let (located, created) = in_time(what, move || {
            let rel = shared.relative(&asked);
            let created =
                rel.and_then(|rel| creates_too.then(|| shared.create_parents(&rel)).transpose());
            (reason_of(locate(&shared, &asked)), reason_of(created))
        });
        let code =
            |reason: &Option<PathReason>| reason.as_ref().map_or("accepted", PathReason::code);
        if code(&located) != expected || creates_too && code(&created) != expected {
            wrong.push(format!(
                "{what}: {input:?}: {located:?}, {created:?}, not {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        snapshot(&fixture.temp),
        before,
        "a refused call has changed something"
    );
}

#[test]
fn ordinary_files_are_found_by_every_spelling() {
    let fixture = fixture();
    for path in [
        "plain",
        "./plain",
        ".//./plain",
        "$/root/plain",
        "$/root/./plain",
    ] {
        let input = expand(path, &fixture.temp);
        let rel = fixture.root.relative(&input).unwrap();
        let located = fixture.root.locate(&rel).unwrap();
        assert_eq!(located.read(100).unwrap(), b"plain", "{path}");
        assert_eq!(located.name, "plain");
    }
    for path in [
        "new",
        "sub/new",
        "sub/-wal",
        "plain-wal",
        ".gitignore",
        "émile ﬁ.rs",
    ] {
        let found = locate(&fixture.root, path);
        assert!(matches!(found, Ok(State::Absent)), "{path}: {found:?}");
    }
}

#[test]
fn aliases_share_a_key_and_other_files_do_not() {
    for (one, other) in [
        ("src/Main.rs", "SRC/main.RS"),
        ("caf\u{e9}.md", "cafe\u{301}.md"),
        ("stra\u{df}e", "STRASSE"),
        ("stra\u{1e9e}e", "strasse"),
        ("\u{212a}elvin", "kelvin"),
        ("\u{fb01}le", "file"),
        ("I\u{307}x", "ix"),
        ("\u{131}x", "Ix"),
        ("ｆｕｌｌ", "full"),
        ("name.", "name"),
    ] {
        let key = |path: &str| fold(RelPath::parse(path).unwrap().as_str());
        assert_eq!(key(one), key(other), "{one} and {other}");
        assert_ne!(key(one), key("elsewhere"));
    }
}

#[test]
fn refusals_say_what_they_found() {
    let fixture = fixture();
    let found = |path: &str| reason_of(locate(&fixture.root, path)).unwrap();
    for (path, kind) in [
        ("pipe", FileKind::Fifo),
        ("socket", FileKind::Socket),
        ("sub", FileKind::Directory),
    ] {
        assert_eq!(found(path), PathReason::NotRegular { kind });
    }
    assert_eq!(found("hard-in"), PathReason::HardLinked { links: 2 });
    let name = ".maasl".to_owned();
    assert_eq!(found(".MAASL/x"), PathReason::Reserved { name });
}

#[test]
fn devices_are_refused() {
    let dev = Root::open(Path::new("/dev")).unwrap();
    let kind = FileKind::CharDevice;
    let expected = Some(PathReason::NotRegular { kind });
    assert_eq!(reason_of(locate(&dev, "null")), expected);
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_without_a_driver_is_refused_unopened() {
    use rustix::fs::{FileType, Mode, mknodat};

    let fixture = fixture();
    let dir = fs::File::open(fixture.root.path()).unwrap();
    // No driver has this number: to open it would fail in another way.
    let number = 0xfff << 8;
    let node = mknodat(&dir, "node", FileType::BlockDevice, Mode::empty(), number);
    if node.is_err() {
        eprintln!("NOT CHECKED: a device of our own, {node:?}");
        return;
    }
    let kind = FileKind::BlockDevice;
    let expected = Some(PathReason::NotRegular { kind });
    assert_eq!(reason_of(locate(&fixture.root, "node")), expected);
}

#[cfg(target_os = "linux")]
#[test]
fn other_mounts_are_refused() {
    let root = Root::open(Path::new("/")).unwrap();
    for path in [
        "proc/version",
        "proc/self/status",
        "dev/null",
        "/sys/kernel/notes",
    ] {
        let found = reason_of(locate(&root, path));
        assert_eq!(found, Some(PathReason::OtherFileSystem), "{path}");
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let fixture = fixture();
    // Beyond what the file system's own tables hold, yet within our limits.
    let deep = format!("{}x", "none/".repeat(800));
    let found = reason_of(locate(&fixture.root, &deep));
    assert_eq!(found, Some(PathReason::MissingParent));
    let plain = fixture.root.path().join("plain");
    fs::set_permissions(&plain, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    match reason_of(locate(&fixture.root, "plain")) {
        Some(PathReason::Unreadable { errno }) => assert!(errno.contains("denied"), "{errno}"),
        None => eprintln!("NOT CHECKED: permissions do not bind root"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_serialised_code_is_the_stable_code() {
    let reasons = [
        PathReason::Empty,
        PathReason::Absolute,
        PathReason::Traversal,
        PathReason::Nul,
        PathReason::Control { code_point: 10 },
        PathReason::Backslash,
        PathReason::NetworkLike,
        PathReason::TooLong {
            bytes: 2,
            limit_bytes: 1,
        },
        PathReason::NotUtf8,
        PathReason::TrailingSlash,
        PathReason::Symlink,
        PathReason::HardLinked { links: 2 },
        PathReason::NotRegular {
            kind: FileKind::CharDevice,
        },
        PathReason::NotDirectory,
        PathReason::NetworkFileSystem { name: "nfs".into() },
        PathReason::OtherFileSystem,
        PathReason::Database,
        PathReason::Reserved {
            name: ".git".into(),
        },
        PathReason::MissingParent,
        PathReason::Unreadable { errno: "e".into() },
    ];
    for reason in reasons {
        let refusal = PathRefusal::new("p", reason);
        let json = serde_json::to_value(&refusal).unwrap();
        assert_eq!(json["reason"]["code"], refusal.reason.code());
        assert_eq!(
            serde_json::from_value::<PathRefusal>(json).unwrap(),
            refusal
        );
    }
}
