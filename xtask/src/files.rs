//! Reading the files of the checkout.
//!
//! Owns: walking folders. Promises: names relative to the root, with `/` between
//! the parts, in sorted order. Leaves to others: judging what was read.

use std::path::Path;
use std::{fs, io};

/// A text file of the checkout.
pub(crate) struct TextFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The folders of the member crates: the layout is flat, so those directly
/// below the root that hold a manifest.
pub(crate) fn crate_folders(root: &Path) -> Result<Vec<String>, String> {
    let mut folders = entries(root, "")?;
    folders.retain(|name| root.join(name).join("Cargo.toml").is_file());
    Ok(folders)
}

/// The files below a folder whose names end so; none if there is no such folder.
pub(crate) fn below(root: &Path, folder: &str, ending: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let full = root.join(&path);
        if full.is_dir() && !full.is_symlink() {
            open.extend(entries(root, &path)?);
        } else if full.is_file() && path.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a file; its name is part of any complaint.
pub(crate) fn read(root: &Path, path: String) -> Result<TextFile, String> {
    match fs::read_to_string(root.join(&path)) {
        Ok(text) => Ok(TextFile { path, text }),
        Err(error) => Err(format!("{path}: {error}")),
    }
}

/// What lies in a folder, hidden files and build output left out.
fn entries(root: &Path, folder: &str) -> Result<Vec<String>, String> {
    let names = || -> io::Result<Vec<String>> {
        fs::read_dir(root.join(folder))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    let mut names = names().map_err(|error| format!("{folder}: {error}"))?;
    names.retain(|name| !name.starts_with('.') && name != "target");
    names.sort();
    let prefix = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    Ok(names
        .into_iter()
        .map(|name| format!("{prefix}{name}"))
        .collect())
}
