//! Through the real server: paths that are refused and leave everything outside
//! untouched, and bytes and modes that survive.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, repository};

/// `root` to serve, and beside it what nobody may reach.
struct Ground {
    dir: TempDir,
}

impl Ground {
    fn new() -> Self {
        let dir = repository("");
        let at = |name: &str| dir.path().join(name);
        for folder in ["root/sub", "root-evil", "root/.git"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for file in ["outside", "root-evil/f", "root/f", "root/.git/config"] {
            std::fs::write(at(file), "old\n").unwrap();
        }
        symlink(at("outside"), at("root/link")).unwrap();
        symlink("f", at("root/inner")).unwrap();
        symlink(at("root-evil"), at("root/linkdir")).unwrap();
        std::fs::hard_link(at("outside"), at("root/hard")).unwrap();
        std::fs::write(at("root/data.db"), b"SQLite format 3\0rest").unwrap();
        make_fifo(&at("root/fifo"));
        Self { dir }
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }

    /// Everything that is there, with its content where that can be read at once.
    fn all(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        found.sort();
        found
    }
}

fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

fn walk(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if path.ends_with("root/.maasl") {
            continue;
        }
        let content = if kind.is_file() {
            std::fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        found.push((path.to_str().unwrap().to_owned(), content));
        if kind.is_dir() {
            walk(&path, found);
        }
    }
}

/// Paths and the reasons for which they are refused.
fn refused_paths(ground: &Ground) -> Vec<(String, &'static str)> {
    let beside = |name: &str| ground.dir.path().join(name).to_str().unwrap().to_owned();
    let fixed = [
        ("", "empty"),
        (".", "empty"),
        ("../outside", "traversal"),
        ("sub/../f", "traversal"),
        ("sub/../../outside", "traversal"),
        ("..", "traversal"),
        ("/etc/passwd", "absolute"),
        ("f\0g", "nul"),
        ("f\ng", "control"),
        ("sub\\f", "backslash"),
        ("//host/share", "network_like"),
        ("file:///etc/passwd", "network_like"),
        ("C:/f", "network_like"),
        ("sub/", "trailing_slash"),
        ("sub", "not_regular"),
        ("link", "symlink"),
        ("inner", "symlink"),
        ("linkdir/f", "symlink"),
        ("linkdir/new", "symlink"),
        ("f/below", "not_directory"),
        ("hard", "hard_linked"),
        ("fifo", "not_regular"),
        (".maasl/maasl.db", "reserved"),
        (".maasl/floor", "reserved"),
        (".MAASL/floor", "reserved"),
        ("sub/.git/config", "reserved"),
        (".git/config", "reserved"),
        (".Git/config", "reserved"),
        ("data.db", "database"),
        ("data.db-wal", "database"),
    ];
    let mut all: Vec<(String, &str)> = fixed
        .into_iter()
        .map(|(path, reason)| (path.to_owned(), reason))
        .collect();
    all.push((beside("outside"), "absolute"));
    all.push((beside("root-evil/f"), "absolute"));
    all.push((beside("root/../outside"), "traversal"));
    all.push((beside("root/.git/config"), "reserved"));
    all.push(("n".repeat(256), "too_long"));
    all.push(("deep/".repeat(900) + "f", "too_long"));
    all
}

/// The calls that take a path, aimed at `path`.
fn calls(path: &str) -> [(&'static str, Value); 6] {
    let edits = json!([{ "old_text": "old", "new_text": "new" }]);
    [
        ("read_file", json!({ "path": path })),
        ("write_file", json!({ "path": path, "content": "mine\n" })),
        ("edit_file", json!({ "path": path, "edits": edits })),
        ("delete_file", json!({ "path": path })),
        ("move_file", json!({ "source": path, "destination": "g" })),
        ("move_file", json!({ "source": "f", "destination": path })),
    ]
}

#[test]
fn refused_paths_are_refused_by_every_tool_and_nothing_is_touched() {
    let ground = Ground::new();
    let mut a = Server::start(&ground.root(), "a");
    let before = ground.all();
    for (path, reason) in refused_paths(&ground) {
        for (tool, arguments) in calls(&path) {
            let refused = a.refused(tool, arguments, "invalid_request");
            let shown: String = path.chars().take(40).collect();
            assert_eq!(refused["reason"], reason, "{tool} {shown:?}: {refused}");
        }
    }
    assert_eq!(ground.all(), before);
    // The server has survived all of it.
    a.ok("read_file", json!({ "path": "f" }));
    a.close();
}

#[test]
fn one_refused_path_refuses_the_whole_set() {
    let ground = Ground::new();
    let mut a = Server::start(&ground.root(), "a");
    a.ok("read_file", json!({ "path": "f" }));
    let before = ground.all();
    let changes = json!([
        { "op": "write", "path": "f", "content": "mine\n" },
        { "op": "write", "path": "new/deep/g", "content": "mine\n" },
        { "op": "write", "path": "link", "content": "mine\n" },
    ]);
    let refused = a.refused(
        "refactor_file",
        json!({ "changes": changes }),
        "invalid_request",
    );
    assert_eq!(refused["reason"], "symlink");
    assert_eq!(ground.all(), before);
    a.close();
}

#[test]
fn absolute_paths_beneath_the_root_are_the_relative_ones() {
    let ground = Ground::new();
    let mut a = Server::start(&ground.root(), "a");
    let f = ground.root().join("sub/../f");
    a.refused("read_file", json!({ "path": f }), "invalid_request");
    let read = a.ok("read_file", json!({ "path": ground.root().join("f") }));
    assert_eq!(read["path"], "f");
    a.ok("write_file", json!({ "path": "./f", "content": "new\n" }));
    let new = json!({ "path": ground.root().join("sub/new"), "content": "x" });
    assert_eq!(a.ok("write_file", new)["path"], "sub/new");
    a.close();
}

fn write_bytes(a: &mut Server, path: &str, bytes: &[u8]) {
    let arguments = match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "path": path, "content": text }),
        Err(_) => json!({ "path": path, "content": base64(bytes), "encoding": "base64" }),
    };
    a.ok("write_file", arguments);
}

/// Written here, not taken from a library, so that both sides are checked.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..three.len()].copy_from_slice(three);
        let number = group
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte));
        for digit in 0..4 {
            let index = number >> (18 - 6 * digit) & 63;
            let is_there = digit <= three.len();
            text.push(if is_there {
                char::from(DIGITS[index])
            } else {
                '='
            });
        }
    }
    text
}

#[test]
fn bytes_come_back_as_they_were_written() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let all: Vec<u8> = (0..=255).collect();
    let cases: [(&str, &[u8]); 9] = [
        ("crlf", b"one\r\ntwo\r\n"),
        ("mixed", b"one\r\ntwo\nthree\rfour"),
        ("bom", b"\xef\xbb\xbfone\n"),
        ("no final newline", b"one\ntwo"),
        ("empty", b""),
        ("only newlines", b"\n\n\n"),
        ("latin-1", b"caf\xe9\n"),
        ("nul inside", b"a\0b"),
        ("all bytes", &all),
    ];
    for (name, bytes) in cases {
        write_bytes(&mut a, name, bytes);
        let on_disk = std::fs::read(dir.path().join(name)).unwrap();
        assert_eq!(on_disk, bytes, "{name}");
        let read = a.ok("read_file", json!({ "path": name }));
        assert_eq!(read["size"], bytes.len(), "{name}");
        let expected = match std::str::from_utf8(bytes) {
            Ok(text) => ("utf-8", text.to_owned()),
            Err(_) => ("base64", base64(bytes)),
        };
        assert_eq!(read["encoding"], expected.0, "{name}");
        assert_eq!(read["content"], expected.1, "{name}");
    }
    a.close();
}

#[test]
fn an_edit_changes_what_it_names_and_no_other_byte() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    for (name, before, after) in [
        (
            "crlf",
            &b"one\r\ntwo\r\nthree"[..],
            &b"one\r\nTWO\r\nthree"[..],
        ),
        ("bom", b"\xef\xbb\xbftwo\r\n", b"\xef\xbb\xbfTWO\r\n"),
        ("no final newline", b"one\ntwo", b"one\nTWO"),
        ("latin-1", b"caf\xe9 two \xff\n", b"caf\xe9 TWO \xff\n"),
    ] {
        std::fs::write(dir.path().join(name), before).unwrap();
        a.ok("read_file", json!({ "path": name }));
        let edits = json!([{ "old_text": "two", "new_text": "TWO" }]);
        a.ok("edit_file", json!({ "path": name, "edits": edits }));
        let on_disk = std::fs::read(dir.path().join(name)).unwrap();
        assert_eq!(on_disk, after, "{name}");
    }
    a.close();
}

#[test]
fn modes_survive_every_kind_of_change() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let mode = |name: &str| {
        let meta = std::fs::metadata(dir.path().join(name)).unwrap();
        meta.permissions().mode() & 0o7777
    };
    for bits in [0o755, 0o600, 0o640] {
        let path = dir.path().join("f");
        std::fs::write(&path, "one\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
        a.ok("read_file", json!({ "path": "f" }));
        let edits = json!([{ "old_text": "one", "new_text": "two" }]);
        a.ok("edit_file", json!({ "path": "f", "edits": edits }));
        assert_eq!(mode("f"), bits, "edited");
        a.ok("write_file", json!({ "path": "f", "content": "three\n" }));
        assert_eq!(mode("f"), bits, "written");
        a.ok("move_file", json!({ "source": "f", "destination": "g" }));
        assert_eq!(mode("g"), bits, "moved");
        a.ok("delete_file", json!({ "path": "g" }));
    }
    a.close();
}

#[test]
fn ten_megabytes_go_in_and_out() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    let content = line.repeat(10 * 1024 * 1024 / line.len());
    a.ok("write_file", json!({ "path": "big", "content": content }));
    let on_disk = std::fs::read(dir.path().join("big")).unwrap();
    assert!(on_disk == content.as_bytes(), "the bytes differ");
    let read = a.ok("read_file", json!({ "path": "big" }));
    assert!(read["content"] == *content, "the content differs");
    let some = json!({ "path": "big", "start_line": 3, "end_line": 3 });
    assert_eq!(a.ok("read_file", some)["content"], line);
    a.close();
}
