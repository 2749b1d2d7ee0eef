//! Paths, and where they lead.
//!
//! Owns: names as arbitrary bytes, in a root with ways out of it. Promises: what a
//! path leads to lies beneath the root, and making its folders makes none outside.
//! Leaves to others: what is done with the file.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use maasl_core::path::{PATH_BYTES_MAX, PathRefusal, RelPath, fold};
use maasl_core::resource::{Extent, ResourceKey, Scope};
use maasl_node::root::{Root, State};

use crate::pieces::text;
use crate::scratch::Trap;

thread_local! {
    static PLACE: RefCell<Option<(Trap, Root)>> = const { RefCell::new(None) };
}

/// Tries bytes as a path.
pub fn run(bytes: &[u8]) {
    let input = text(bytes);
    match RelPath::parse(&input) {
        Ok(path) => normal(&path),
        Err(refusal) => told(&refusal),
    }
    folded(&input);
    PLACE.with_borrow_mut(|place| {
        let (trap, root) = place.get_or_insert_with(|| {
            let trap = Trap::new();
            let root = Root::open(&trap.root()).expect("a folder is a root");
            (trap, root)
        });
        match root.relative_os(OsStr::from_bytes(bytes)) {
            Ok(path) => found(trap, root, &path),
            Err(refusal) => told(&refusal),
        }
        let absolute = format!("{}/{input}", trap.root().display());
        if let Ok(path) = root.relative(&absolute) {
            normal(&path);
        }
        trap.assert_outside_untouched();
    });
}

fn told(refusal: &PathRefusal) {
    assert!(!refusal.reason.code().is_empty());
    assert!(
        refusal.path.len() <= PATH_BYTES_MAX + 3,
        "all of it is told"
    );
    assert!(refusal.to_string().len() <= 4 * PATH_BYTES_MAX);
}

fn normal(path: &RelPath) {
    assert_eq!(RelPath::parse(path.as_str()).as_ref(), Ok(path));
    assert!(path.as_str().len() <= PATH_BYTES_MAX);
    for component in path.components() {
        assert!(!matches!(component, "" | "." | ".."), "{path}");
        assert!(!matches!(&*fold(component), ".git" | ".maasl"), "{path}");
    }
    let key = ResourceKey::new("code", &fold(path.as_str()));
    let at = |scope| Extent {
        key: key.clone(),
        scope,
    };
    assert!(at(Scope::Exact).overlaps(&at(Scope::Subtree)));
    let (from, to) = key.range_below();
    assert!(from < to, "{key}");
    for above in key.ancestors() {
        assert!(above.len() < key.as_str().len(), "{above} is above {key}");
    }
}

fn folded(input: &str) {
    let once = fold(input);
    assert!(!once.is_empty());
    assert_eq!(fold(&once), once, "{input:?}");
    assert_eq!(
        fold(&input.to_lowercase()),
        fold(&input.to_uppercase().to_lowercase())
    );
}

/// Looks at what a path leads to, makes its folders, and removes them again.
fn found(trap: &Trap, root: &Root, path: &RelPath) {
    normal(path);
    let base = fs::canonicalize(trap.root()).expect("the root is there");
    let beneath = |at: &Path| assert!(at.starts_with(&base), "{path} leads to {}", at.display());
    let look = || match root.locate(path) {
        Ok(located) => {
            beneath(&place_of(std::os::fd::AsFd::as_fd(&located.parent)));
            if let State::Present(present) = &located.state {
                beneath(&place_of(std::os::fd::AsFd::as_fd(&present.file)));
                located.read(1 << 10).expect("the files here are short");
            }
        }
        Err(refusal) => told(&refusal),
    };
    look();
    match root.create_parents(path) {
        Ok(made) => {
            look();
            for folder in made.iter().rev() {
                let folder = trap.root().join(folder);
                fs::remove_dir(&folder).expect("it was made just now, and is empty");
            }
        }
        Err(refusal) => told(&refusal),
    }
}

/// Where a file lies that is open.
fn place_of(file: BorrowedFd<'_>) -> PathBuf {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::read_link(link).expect("the system knows what is open")
}
