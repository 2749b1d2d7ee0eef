//! From a log of calls to the operations on a disk.
//!
//! Owns: which calls change what below one folder. Promises: whatever it does not
//! understand fails the test, and so does a tree that differs in the end from what
//! the recorded operations make; nothing is left out but what is named here. Leaves
//! to others: the log (`strace`), the model (`disk`).
//!
//! Left out:
//! - `*-shm`, the index of SQLite's log: it is written through a mapping, and
//!   SQLite makes it anew for the first who opens the database;
//! - the content of `gate` and of the files in `latch/`: who stood in them is read
//!   while they are locked, and nobody holds a lock after a power cut. Their names
//!   are recorded.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, Entry, Extent, Inode, Kind, Op, ROOT, change_names, write};
use super::strace::{Event, Syscall, bytes_of, path_of};

/// What the program says to us begins with this.
pub(crate) const SAYS: &str = "crash: ";

/// Calls that would change a file in a way that is not modelled.
const UNKNOWN: [&str; 10] = [
    "writev",
    "pwritev",
    "pwritev2",
    "fallocate",
    "symlink",
    "symlinkat",
    "sync_file_range",
    "copy_file_range",
    "sendfile",
    "splice",
];

/// A recording under way.
pub(crate) struct Recording {
    root: String,
    disk: Disk,
    /// As everybody sees it, whether it is on the disk or not.
    folders: BTreeMap<Inode, BTreeMap<String, Inode>>,
    contents: BTreeMap<Inode, Vec<u8>>,
    /// Where the next `write` of a descriptor goes.
    places: BTreeMap<String, u64>,
    /// Of each thread, what its sync covers: the file, and how many operations.
    syncs: BTreeMap<u64, (Inode, usize)>,
    /// Whether something came between that keeps two writes apart.
    apart: bool,
}

impl Recording {
    /// Begins with what is in `root`, all of which counts as durable.
    pub(crate) fn begin(root: &Path) -> Self {
        let mut recording = Self {
            root: root.to_str().expect("paths of tests are UTF-8").to_owned(),
            disk: Disk::default(),
            folders: BTreeMap::new(),
            contents: BTreeMap::new(),
            places: BTreeMap::new(),
            syncs: BTreeMap::new(),
            apart: false,
        };
        recording.load(root);
        recording
    }

    fn load(&mut self, path: &Path) -> Inode {
        let meta = std::fs::symlink_metadata(path).unwrap();
        let inode = self.disk.inodes.len();
        if meta.is_dir() {
            self.disk.inodes.push(Kind::Pipe);
            let mut names = BTreeMap::new();
            for entry in std::fs::read_dir(path).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if !is_left_out(&name) {
                    names.insert(name.clone(), self.load(&path.join(name)));
                }
            }
            self.disk.inodes[inode] = Kind::Folder(names.clone());
            self.folders.insert(inode, names);
        } else if meta.file_type().is_fifo() {
            self.disk.inodes.push(Kind::Pipe);
        } else {
            let content: Arc<[u8]> = std::fs::read(path).unwrap().into();
            self.contents.insert(inode, content.to_vec());
            self.disk.inodes.push(Kind::File(content));
        }
        inode
    }

    /// Takes all calls in and compares the outcome with what is in `root` now.
    pub(crate) fn finish(mut self, events: &[Event], root: &Path) -> Disk {
        for event in events {
            match event {
                Event::Began(thread, name, arguments) => self.began(*thread, name, arguments),
                Event::Ended(thread, call) if call.value >= 0 => self.ended(*thread, call),
                Event::Ended(..) => {}
            }
        }
        self.compare(ROOT, root);
        self.disk
    }

    /// A sync covers what had returned when it began.
    fn began(&mut self, thread: u64, name: &str, arguments: &[String]) {
        if !matches!(name, "fsync" | "fdatasync") {
            return;
        }
        let synced = path_of(&arguments[0]).and_then(|path| self.find(&path));
        match synced {
            Some(inode) => self.syncs.insert(thread, (inode, self.disk.ops.len())),
            None => self.syncs.remove(&thread),
        };
    }

    fn ended(&mut self, thread: u64, call: &Syscall) {
        let argument = |at: usize| call.arguments[at].as_str();
        let number = |at: usize| argument(at).parse::<u64>().unwrap();
        match call.name.as_str() {
            "open" | "openat" | "openat2" | "creat" => self.opened(call),
            "write" => self.wrote(call, None),
            "pwrite64" => self.wrote(call, Some(number(3))),
            "lseek" => {
                let place = u64::try_from(call.value).unwrap();
                self.places.insert(descriptor(argument(0)), place);
            }
            "ftruncate" => {
                let file = path_of(argument(0)).and_then(|path| self.find(&path));
                if let Some(inode) = file {
                    self.change(Op::Truncate(inode, number(1)));
                }
            }
            "rename" => self.renamed(&path(None, argument(0)), &path(None, argument(1)), false),
            "renameat" | "renameat2" => {
                let from = path(Some(argument(0)), argument(1));
                let to = path(Some(argument(2)), argument(3));
                let flags = call.arguments.get(4).map_or("0", String::as_str);
                self.renamed(&from, &to, flags.contains("RENAME_EXCHANGE"));
            }
            "link" | "linkat" => self.linked(call),
            "unlink" | "rmdir" => self.removed(&path(None, argument(0))),
            "unlinkat" => self.removed(&path(Some(argument(0)), argument(1))),
            "mkdir" => self.made(&path(None, argument(0)), Kind::Folder(BTreeMap::new())),
            "mkdirat" => {
                let at = path(Some(argument(0)), argument(1));
                self.made(&at, Kind::Folder(BTreeMap::new()));
            }
            "mknod" => self.made(&path(None, argument(0)), Kind::Pipe),
            "mknodat" => self.made(&path(Some(argument(0)), argument(1)), Kind::Pipe),
            "fsync" | "fdatasync" => {
                if let Some((inode, covers)) = self.syncs.remove(&thread) {
                    self.disk.push(Op::Sync(inode, covers));
                }
            }
            "mmap" => self.mapped(call),
            name => self.refuse_unknown(name, call),
        }
    }

    /// The call may have made the file, or emptied it.
    fn opened(&mut self, call: &Syscall) {
        let Some(opened) = &call.opened else { return };
        self.places.insert(call.value.to_string(), 0);
        let flags = call.arguments.join(" ");
        if self.entry(opened).is_none() || is_left_out(opened) {
            return;
        }
        assert!(
            !flags.contains("O_TMPFILE"),
            "a file without a name: {call:?}"
        );
        assert!(
            !flags.contains("O_APPEND"),
            "a file that is appended to: {call:?}"
        );
        match self.find(opened) {
            None if flags.contains("O_CREAT") => self.made(opened, Kind::File(Arc::default())),
            None => panic!("opened, and never made: {call:?}"),
            Some(inode) if flags.contains("O_TRUNC") => self.change(Op::Truncate(inode, 0)),
            Some(_) => {}
        }
    }

    fn wrote(&mut self, call: &Syscall, at: Option<u64>) {
        let fd = descriptor(&call.arguments[0]);
        let count = usize::try_from(call.value).unwrap();
        let bytes = || bytes_of(&call.arguments[1])[..count].to_vec();
        let target = path_of(&call.arguments[0]);
        let at = at.unwrap_or_else(|| {
            let place = self.places.entry(fd.clone()).or_default();
            *place += count as u64;
            *place - count as u64
        });
        if fd == "1" {
            let text = String::from_utf8_lossy(&bytes()).into_owned();
            if let Some(begins) = text.find(SAYS) {
                let said = text[begins + SAYS.len()..].trim_end();
                self.disk.push(Op::Mark(said.to_owned()));
            }
            return;
        }
        let Some(target) = target else { return };
        if names_a_holder(&target) {
            self.apart = true;
            return;
        }
        if let Some(inode) = self.find(&target) {
            self.change(Op::Write {
                inode,
                at,
                bytes: bytes(),
            });
        }
    }

    /// Writes that continue each other are one, unless something came between.
    fn change(&mut self, op: Op) {
        let inode = op.file().expect("a change of a file");
        let content = self.contents.get_mut(&inode).expect("it is a file");
        write(content, &op, Extent::Whole);
        let together = !std::mem::take(&mut self.apart) && self.syncs.is_empty();
        if together
            && let Some(Op::Write {
                inode: before,
                at,
                bytes,
            }) = self.disk.ops.last_mut()
            && let Op::Write {
                at: next,
                bytes: more,
                ..
            } = &op
            && (*before, *at + bytes.len() as u64) == (inode, *next)
        {
            bytes.extend(more);
            return;
        }
        self.disk.push(op);
    }

    fn made(&mut self, path: &str, kind: Kind) {
        let Some(entry) = self.entry(path) else {
            return;
        };
        let inode = self.disk.inodes.len();
        match &kind {
            Kind::File(_) => drop(self.contents.insert(inode, Vec::new())),
            Kind::Folder(_) => drop(self.folders.insert(inode, BTreeMap::new())),
            Kind::Pipe => {}
        }
        self.disk.inodes.push(kind);
        self.name(Op::Make(entry, inode));
    }

    fn linked(&mut self, call: &Syscall) {
        let argument = |at: usize| call.arguments[at].as_str();
        let (from, to) = match call.name.as_str() {
            "link" => (path(None, argument(0)), path(None, argument(1))),
            _ => (
                path(Some(argument(0)), argument(1)),
                path(Some(argument(2)), argument(3)),
            ),
        };
        if let (Some(inode), Some(entry)) = (self.find(&from), self.entry(&to)) {
            self.name(Op::Link(entry, inode));
        }
    }

    fn renamed(&mut self, from: &str, to: &str, exchange: bool) {
        match (self.entry(from), self.entry(to)) {
            (Some(from), Some(to)) => self.name(Op::Rename { from, to, exchange }),
            (None, None) => {}
            _ => panic!("a rename across the border of the recording: {from} to {to}"),
        }
    }

    fn removed(&mut self, path: &str) {
        if is_left_out(path) {
            return;
        }
        if let (Some(entry), Some(inode)) = (self.entry(path), self.find(path)) {
            self.name(Op::Remove(entry, inode));
        }
    }

    fn name(&mut self, op: Op) {
        change_names(&mut self.folders, &op);
        self.disk.push(op);
    }

    fn mapped(&self, call: &Syscall) {
        let writes =
            call.arguments[2].contains("PROT_WRITE") && call.arguments[3].contains("MAP_SHARED");
        let target = path_of(&call.arguments[4]).unwrap_or_default();
        let inside = self.entry(&target).is_some() && !is_left_out(&target);
        assert!(!(writes && inside), "written through a mapping: {call:?}");
    }

    fn refuse_unknown(&self, name: &str, call: &Syscall) {
        let text = call.arguments.join(" ");
        let inside = call.arguments.iter().filter_map(|text| path_of(text));
        let inside = inside.into_iter().any(|path| path.starts_with(&self.root));
        let system_wide = matches!(name, "sync" | "syncfs" | "io_uring_setup");
        let unknown = UNKNOWN.contains(&name) && inside;
        assert!(
            !unknown && !system_wide,
            "the recording does not know {name}({text})"
        );
    }

    /// The folder and the name of a path; nothing outside the root.
    fn entry(&self, path: &str) -> Option<Entry> {
        let below = path.strip_prefix(&self.root)?.strip_prefix('/')?;
        let (folder, name) = below.rsplit_once('/').unwrap_or(("", below));
        Some((self.walk(folder)?, name.to_owned()))
    }

    fn find(&self, path: &str) -> Option<Inode> {
        self.walk(path.strip_prefix(&self.root)?)
    }

    fn walk(&self, below: &str) -> Option<Inode> {
        let mut names = below.split('/').filter(|name| !name.is_empty());
        names.try_fold(ROOT, |folder, name| {
            self.folders.get(&folder)?.get(name).copied()
        })
    }

    fn compare(&self, folder: Inode, path: &Path) {
        let names = &self.folders[&folder];
        let found = std::fs::read_dir(path).unwrap();
        let found = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut found: Vec<String> = found.filter(|name| !is_left_out(name)).collect();
        found.sort();
        let recorded: Vec<String> = names.keys().cloned().collect();
        assert_eq!(
            found,
            recorded,
            "the recording went wrong in {}",
            path.display()
        );
        for (name, inode) in names {
            let path = path.join(name);
            match &self.disk.inodes[*inode] {
                Kind::Folder(_) => self.compare(*inode, &path),
                Kind::File(_) if !names_a_holder(&path.to_string_lossy()) => {
                    let same = std::fs::read(&path).unwrap() == self.contents[inode];
                    assert!(same, "the recording went wrong at {}", path.display());
                }
                Kind::File(_) | Kind::Pipe => {}
            }
        }
    }
}

fn is_left_out(path: &str) -> bool {
    path.ends_with("-shm")
}

fn names_a_holder(path: &str) -> bool {
    path.ends_with("/.maasl/gate") || path.contains("/.maasl/latch/")
}

fn descriptor(argument: &str) -> String {
    argument.split('<').next().unwrap_or_default().to_owned()
}

/// An absolute path, from the folder that a call names and the rest.
fn path(folder: Option<&str>, text: &str) -> String {
    let name = String::from_utf8(bytes_of(text)).expect("paths here are UTF-8");
    match folder.and_then(path_of) {
        Some(folder) if !name.starts_with('/') => format!("{folder}/{name}"),
        _ => name,
    }
}
