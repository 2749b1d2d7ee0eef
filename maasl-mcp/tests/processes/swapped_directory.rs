//! Through the real server: a directory that becomes a link to the outside, again
//! and again, while it is read and written through.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{RenameFlags, renameat_with};
use serde_json::json;

use crate::harness::{Server, repository};

const CALLS: usize = 150;

#[test]
fn nothing_outside_is_read_or_written_while_a_directory_is_swapped() {
    let dir = repository("");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("f"), "secret\n").unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(dir.path().join("d/f"), "inside\n").unwrap();
    symlink(outside.path(), dir.path().join("link")).unwrap();
    let mut a = Server::start(dir.path(), "a");
    let over = AtomicBool::new(false);
    let (mut done, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let root = File::open(dir.path()).unwrap();
            while !over.load(Ordering::Relaxed) {
                renameat_with(&root, "d", &root, "link", RenameFlags::EXCHANGE).unwrap();
            }
        });
        for n in 0..CALLS {
            let read = a.call("read_file", json!({ "path": "d/f" }));
            let new = json!({ "path": format!("d/new-{n}"), "content": "mine\n" });
            let made = a.call("write_file", new);
            let write = json!({ "path": "d/f", "content": format!("inside {n}\n") });
            let written = a.call("write_file", write);
            for answer in [read, made, written] {
                assert!(!answer.to_string().contains("secret"), "{answer}");
                if answer["ok"] == true {
                    done += 1;
                } else {
                    refused += 1;
                }
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    a.close();
    assert!(done > 5 && refused > 5, "{done} done, {refused} refused");
    let left: Vec<_> = std::fs::read_dir(outside.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["f"]);
    let content = std::fs::read_to_string(outside.path().join("f")).unwrap();
    assert_eq!(content, "secret\n");
}
