//! Folders to try things in.
//!
//! Owns: a root with ways out of it, and what lies outside. Promises: whatever is
//! changed outside is noticed. Leaves to others: what is tried.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

/// What the files outside hold.
const SECRET: &[u8] = b"not yours\n";

/// An empty folder that is removed with the value.
#[must_use]
pub fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("maasl-fuzz-")
        .tempdir()
        .expect("there is room for a folder")
}

/// A root, and beside it what must stay as it is.
#[derive(Debug)]
pub struct Trap {
    dir: TempDir,
}

impl Trap {
    /// A root with a few files, and symbolic links, a hard link, a pipe and a
    /// folder of others in it that lead out or nowhere.
    #[must_use]
    pub fn new() -> Self {
        let dir = folder();
        let made = Self { dir };
        made.fill().expect("a temporary folder can be filled");
        made
    }

    fn fill(&self) -> std::io::Result<()> {
        let (root, outside) = (self.root(), self.outside());
        fs::create_dir_all(root.join("src/deep"))?;
        fs::create_dir_all(outside.join("folder"))?;
        fs::write(outside.join("secret"), SECRET)?;
        fs::write(outside.join("folder/secret"), SECRET)?;
        fs::write(root.join("a.txt"), "one\ntwo\nthree\n")?;
        fs::write(root.join("src/a.py"), "def f():\r\n    pass\r\n")?;
        fs::write(root.join("src/deep/bytes"), b"\xff\0\n")?;
        symlink("../outside", root.join("out"))?;
        symlink("../outside/secret", root.join("out.txt"))?;
        symlink("/", root.join("src/everything"))?;
        symlink("..", root.join("src/up"))?;
        symlink("loop", root.join("loop"))?;
        fs::hard_link(outside.join("folder/secret"), root.join("twin"))?;
        let pipe = root.join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        Ok(())
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// Panics if anything outside the root is not as it was.
    pub fn assert_outside_untouched(&self) {
        let beside = names(self.dir.path());
        assert_eq!(beside, ["outside", "root"], "something appeared beside");
        assert_eq!(names(&self.outside()), ["folder", "secret"]);
        assert_eq!(names(&self.outside().join("folder")), ["secret"]);
        for secret in ["secret", "folder/secret"] {
            let found = fs::read(self.outside().join(secret)).expect("it was there");
            assert_eq!(found, SECRET, "{secret} was changed");
        }
    }
}

impl Default for Trap {
    fn default() -> Self {
        Self::new()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("it can be listed").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
