//! Finding the repository a command is about.

use std::path::{Path, PathBuf};

use super::Failure;

/// What marks the root of a repository, nearest first.
const MARKS: [&str; 4] = ["maasl.toml", "llmc.toml", ".maasl", ".git"];

/// The folder given, or the nearest one upwards that looks like a root, or the
/// current one.
pub(super) fn find(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        if !given.is_dir() {
            return Err(Failure::Usage(format!(
                "--root: {} is no folder",
                given.display()
            )));
        }
        return Ok(given);
    }
    let here =
        std::env::current_dir().map_err(|error| Failure::internal("current folder", error))?;
    Ok(marked(&here).unwrap_or(&here).to_path_buf())
}

fn marked(here: &Path) -> Option<&Path> {
    here.ancestors()
        .find(|folder| MARKS.iter().any(|mark| folder.join(mark).exists()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_marked_folder_is_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        assert_eq!(marked(&deep), Some(dir.path()));
        std::fs::write(dir.path().join("a/maasl.toml"), "").unwrap();
        assert_eq!(marked(&deep), Some(dir.path().join("a").as_path()));
    }

    #[test]
    fn a_root_that_is_no_folder_is_wrong_usage() {
        assert!(matches!(
            find(Some("/dev/null".into())),
            Err(Failure::Usage(_))
        ));
    }
}
