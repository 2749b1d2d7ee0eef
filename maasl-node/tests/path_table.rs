//! What other servers of files had to learn about paths, as one table.
//!
//! The cases are those that the file server among the MCP reference servers tests
//! (`modelcontextprotocol/servers`, `src/filesystem`), said anew for a guard with
//! one root, with the two holes it once had: a directory whose name begins like the
//! allowed one (CVE-2025-53110) and links that lead out (CVE-2025-53109). Where its
//! answer is to tidy up a path and go on, ours is mostly a refusal: a path that has
//! to be guessed at would be guarded under another name than the one that is meant.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use maasl_core::path::{PathReason, PathRefusal};
use maasl_node::platform::{FileMeta, open_beneath, walk_beneath};
use maasl_node::root::{Root, State};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// What is expected of a row.
enum Is {
    /// A file that is there, with this content.
    File(&'static str),
    /// A name that is free; it may be made.
    Free,
    /// A refusal with this code.
    No(&'static str),
}
use Is::{File, Free, No};

/// `$` stands for the directory that holds `allowed`, which is the root.
#[rustfmt::skip]
const TABLE: &[(&str, &str, Is)] = &[
    // what                                    path                                   expected
    ("the root itself, absolute",              "$/allowed",                           No("empty")),
    ("the root itself, with a slash",          "$/allowed/",                          No("empty")),
    ("a file, absolute",                       "$/allowed/file.txt",                  File("file")),
    ("a file, relative to the root",           "file.txt",                            File("file")),
    ("a file far below",                       "$/allowed/src/deep/er/index.js",      File("index")),
    // A name that begins like the root's is another directory.
    ("twin with an underscore",                "$/allowed_evil/secret",               No("absolute")),
    ("twin with a digit",                      "$/allowed2/secret",                   No("absolute")),
    ("twin with a dash",                       "$/allowed-backup/secret",             No("absolute")),
    ("twin with a dot",                        "$/allowed.old/secret",                No("absolute")),
    ("twin, longer word",                      "$/allowedsecret",                     No("absolute")),
    ("twin, shorter word",                     "$/allow",                             No("absolute")),
    ("twin with a space",                      "$/allowed /secret",                   No("absolute")),
    ("twin in other case",                     "$/ALLOWED/file.txt",                  No("absolute")),
    ("twin, reached by climbing",              "$/allowed/../allowed_evil/secret",    No("traversal")),
    ("twin, reached by climbing, relative",    "../allowed_evil/secret",              No("traversal")),
    // Beside and above.
    ("the directory above",                    "$",                                   No("absolute")),
    ("a sister directory",                     "$/other/secret",                      No("absolute")),
    ("the root of the system",                 "/",                                   No("absolute")),
    ("a file of the system",                   "/etc/passwd",                         No("absolute")),
    // Climbing, in every place.
    ("climbs once",                            "..",                                  No("traversal")),
    ("climbs to the top",                      "../../../../../../etc/passwd",        No("traversal")),
    ("climbs in the middle",                   "src/../../other/secret",              No("traversal")),
    ("climbs and comes back",                  "src/../file.txt",                     No("traversal")),
    ("climbs behind a dot",                    "./../other/secret",                   No("traversal")),
    ("climbs behind doubled slashes",          "src//..//..//other//secret",          No("traversal")),
    ("climbs at the end",                      "$/allowed/src/..",                    No("traversal")),
    ("climbs through what is missing",         "none/../../other/secret",             No("traversal")),
    // Dots that climb nowhere.
    ("single dots",                            "./src/./deep/./er/index.js",          File("index")),
    ("doubled slashes",                        "src//deep//er///index.js",            File("index")),
    ("three dots",                             ".../file",                            No("missing_parent")),
    ("two dots in a name",                     "a..b",                                Free),
    ("two dots before a name",                 "..hidden",                            Free),
    ("two dots after a name",                  "src/name..txt",                       Free),
    ("a hidden file",                          ".env",                                Free),
    // Encodings are bytes of a name, never read.
    ("percent sign",                           "100%.txt",                            Free),
    ("encoded climbing is a name",             "..%2f..%2fetc%2fpasswd",              Free),
    ("encoded dots are a directory",           "%2e%2e/secret",                       No("missing_parent")),
    ("doubly encoded climbing is a name",      "%252e%252e%252fsecret",               Free),
    ("home is not looked up",                  "~/secret",                            No("missing_parent")),
    ("another's home is not looked up",        "~root/secret",                        No("missing_parent")),
    ("variables are not looked up",            "$HOME",                               Free),
    ("quotes belong to the name",              "\"file.txt\"",                        Free),
    ("a space before belongs to the name",     " file.txt",                           Free),
    ("spaces inside",                          "my project/read me.md",               File("spaces")),
    ("letters of all the world",               "src/日本語/файл.txt",                  File("unicode")),
    ("marks that shells read",                 "src/a;b&c|d'e(f)[g]{h}.txt",          File("marks")),
    // What is no path here.
    ("nothing",                                "",                                    No("empty")),
    ("NUL",                                    "file.txt\0",                          No("nul")),
    ("NUL before a second path",               "file.txt\0/etc/passwd",               No("nul")),
    ("NUL in the root's part",                 "$/allowed\0/file.txt",                No("nul")),
    ("slash after a file",                     "file.txt/",                           No("trailing_slash")),
    ("drive with backslashes",                 r"C:\Users\name\file.txt",             No("network_like")),
    ("drive with slashes",                     "c:/Users/name/file.txt",              No("network_like")),
    ("drive alone",                            "C:",                                  No("network_like")),
    ("drive as some shells write it",          "/c/Users/name",                       No("absolute")),
    ("drive as seen from a guest",             "/mnt/c/Users/name",                   No("absolute")),
    ("share of a network",                     r"\\server\share\file.txt",            No("network_like")),
    ("both kinds of slashes",                  r"src\deep/er\index.js",               No("backslash")),
    ("file URL of the root",                   "file://$/allowed/file.txt",           No("network_like")),
    ("longer than any path",                   "<long>",                              No("too_long")),
    // Links.
    ("link to a file outside",                 "link-out",                            No("symlink")),
    ("link to a file inside",                  "link-in",                             No("symlink")),
    ("link to nothing yet, outside",           "link-new",                            No("symlink")),
    ("file behind a linked directory",         "dir-out/secret",                      No("symlink")),
    ("new file behind a linked directory",     "dir-out/new",                         No("symlink")),
    ("link to a twin of the root",             "dir-evil/secret",                     No("symlink")),
    ("chain of links that ends outside",       "chain-1/secret",                      No("symlink")),
    ("chain of links that ends inside",        "chain-a/er/index.js",                 No("symlink")),
    ("link to the directory above",            "up/allowed_evil/secret",              No("symlink")),
    ("link to the root itself",                "self/file.txt",                       No("symlink")),
    ("link in a circle",                       "circle",                              No("symlink")),
    ("link given by its absolute path",        "$/allowed/dir-out/secret",            No("symlink")),
    // Parents.
    ("parent is missing",                      "none/file.txt",                       No("missing_parent")),
    ("parent is a file",                       "file.txt/below",                      No("not_directory")),
    ("a directory where a file is meant",      "src",                                 No("not_regular")),
    ("new file in a directory that is there",  "src/new.txt",                         Free),
    // The root through a link of its own: the way to it is the user's affair.
    ("by the root's other name",               "$/alias/file.txt",                    File("file")),
    ("twin of the root's other name",          "$/alias_evil/secret",                 No("absolute")),
];

struct Ground {
    _keep: tempfile::TempDir,
    dir: PathBuf,
    root: Root,
}

#[rustfmt::skip]
fn ground() -> Ground {
    let keep = tempfile::tempdir().unwrap();
    let dir = fs::canonicalize(keep.path()).unwrap();
    for folder in [
        "allowed/src/deep/er", "allowed/src/日本語", "allowed/my project", "other",
        "allowed_evil", "allowed2", "allowed-backup", "allowed.old", "allowed ", "alias_evil",
    ] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    for (file, content) in [
        ("allowed/file.txt", "file"), ("allowed/src/deep/er/index.js", "index"),
        ("allowed/my project/read me.md", "spaces"), ("allowed/src/日本語/файл.txt", "unicode"),
        ("allowed/src/a;b&c|d'e(f)[g]{h}.txt", "marks"), ("allowedsecret", "secret"),
        ("other/secret", "secret"), ("allowed_evil/secret", "secret"), ("allowed2/secret", "secret"),
        ("allowed-backup/secret", "secret"), ("allowed.old/secret", "secret"),
        ("allowed /secret", "secret"), ("alias_evil/secret", "secret"),
    ] {
        fs::write(dir.join(file), content).unwrap();
    }
    for (link, target) in [
        ("alias", "allowed"), ("allowed/link-out", "../other/secret"),
        ("allowed/link-in", "file.txt"), ("allowed/link-new", "../other/new"),
        ("allowed/dir-out", "../other"), ("allowed/dir-evil", "../allowed_evil"),
        ("allowed/chain-1", "chain-2"), ("allowed/chain-2", "chain-3"),
        ("allowed/chain-3", "../other"), ("allowed/chain-a", "chain-b"),
        ("allowed/chain-b", "src/deep"), ("allowed/up", ".."), ("allowed/self", "."),
        ("allowed/circle", "circle"),
    ] {
        symlink(target, dir.join(link)).unwrap();
    }
    let root = Root::open(&dir.join("alias")).unwrap();
    Ground { _keep: keep, dir, root }
}

fn expand(path: &str, dir: &Path) -> String {
    match path {
        "<long>" => "long/".repeat(1_000),
        "$HOME" => path.to_owned(),
        path => path.replace('$', dir.to_str().unwrap()),
    }
}

fn found(root: &Root, path: &str) -> Result<Option<Vec<u8>>, PathRefusal> {
    let located = root.locate(&root.relative(path)?)?;
    match located.state {
        State::Absent => Ok(None),
        State::Present(_) => Ok(Some(located.read(1_000).unwrap())),
    }
}

#[test]
fn every_row_is_answered_as_the_table_says() {
    let ground = ground();
    let mut wrong = Vec::new();
    for (what, path, expected) in TABLE {
        let given = expand(path, &ground.dir);
        let answer = found(&ground.root, &given);
        let fits = match (expected, &answer) {
            (File(content), Ok(Some(bytes))) => bytes == content.as_bytes(),
            (Free, Ok(None)) => true,
            (No(code), Err(refusal)) => refusal.reason.code() == *code,
            _ => false,
        };
        if !fits {
            let answer = answer.map_err(|refusal| refusal.reason);
            wrong.push(format!("{what}: {given:?}: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What was opened, or the number of the error.
fn answer(opened: std::io::Result<OwnedFd>) -> Result<u64, Option<i32>> {
    let opened = opened.map_err(|error| error.raw_os_error())?;
    Ok(FileMeta::of(opened.as_fd()).unwrap().ino)
}

#[test]
fn the_walk_answers_the_table_as_the_kernel_does() {
    let ground = ground();
    let mut asked = 0;
    for (what, path, expected) in TABLE {
        let Ok(rel) = ground.root.relative(&expand(path, &ground.dir)) else {
            continue;
        };
        asked += 1;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let open = |open: fn(BorrowedFd<'_>, &str, OFlags, Mode) -> _| {
            answer(open(ground.root.dir(), rel.as_str(), flags, Mode::empty()))
        };
        let walked = open(walk_beneath);
        assert_eq!(walked, open(open_beneath), "{what}");
        let is_link = matches!(expected, No("symlink"));
        let says_link = walked == Err(Some(Errno::LOOP.raw_os_error()));
        assert_eq!(says_link, is_link, "{what}: {walked:?}");
        assert_eq!(
            matches!(expected, File(_)),
            walked.is_ok() && *path != "src",
            "{what}"
        );
    }
    assert!(asked > 30, "{asked} of the rows are paths");
}

#[test]
fn directories_are_not_made_through_links_or_beside_the_root() {
    let ground = ground();
    for path in [
        "dir-out/a/b",
        "chain-1/a/b",
        "up/a/b",
        "dir-evil/a/b",
        "link-new/a/b",
    ] {
        let rel = ground.root.relative(path).unwrap();
        let refused = ground.root.create_parents(&rel).unwrap_err();
        assert_eq!(refused.reason, PathReason::Symlink, "{path}");
    }
    for folder in ["other", "allowed_evil"] {
        let left = fs::read_dir(ground.dir.join(folder)).unwrap().count();
        assert_eq!(left, 1, "{folder}");
    }
}
