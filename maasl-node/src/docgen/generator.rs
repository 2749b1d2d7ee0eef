//! The generator of documents: a command of the user's own.
//!
//! Owns: what it is started with, and what it is told. Promises: it runs in the
//! root, knows nothing of this process's environment but the few variables listed
//! here and those that the configuration names, and gets the source as JSON.
//! Leaves to others: holding it to its bounds (`child`), and what is done with
//! what it writes (the core).
//!
//! The names in the JSON are those that generators of other tools read already.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use maasl_core::coordinator::io::GeneratorRun;
use maasl_core::docgen::{DocgenSettings, GeneratorFailure};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::child::{self, Bounds};

/// What every generator gets of the environment, where it is set.
const ENVIRONMENT: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ"];
/// Names the source, relative to the root.
const SOURCE: &str = "MAASL_DOCGEN_SOURCE";
/// Names the document, relative to the root.
const DOCUMENT: &str = "MAASL_DOCGEN_DOCUMENT";

/// What a generator reads from its standard input.
#[derive(Serialize)]
struct Told<'a> {
    repo_root: &'a str,
    relative_path: &'a str,
    file_sha256: String,
    source_contents: &'a str,
    doc_path: &'a str,
    existing_doc_contents: Option<String>,
    graph_context: Option<&'a str>,
}

/// Runs the configured generator for one document; the text it writes.
pub(crate) fn generate(
    settings: &DocgenSettings,
    root: &Path,
    run: &GeneratorRun,
    cancel: &CancellationToken,
) -> Result<Arc<[u8]>, GeneratorFailure> {
    let bounds = Bounds {
        time: Duration::from_millis(settings.timeout_ms),
        max_output_bytes: settings.max_output_bytes,
    };
    child::run(
        command(settings, root, run),
        told(root, run),
        bounds,
        cancel,
    )
}

fn command(settings: &DocgenSettings, root: &Path, run: &GeneratorRun) -> Command {
    let (program, arguments) = settings
        .command
        .split_first()
        .expect("the core asks for a generator only where one is configured");
    let named = settings.environment.iter().map(String::as_str);
    let kept = ENVIRONMENT.into_iter().chain(named);
    let kept = kept.filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(beneath(root, program));
    command
        .args(arguments)
        .current_dir(root)
        .env_clear()
        .envs(kept)
        .env(SOURCE, &run.source)
        .env(DOCUMENT, &run.document);
    command
}

/// A program named by a path is meant from the root on; a bare name is looked for
/// where the system looks.
fn beneath(root: &Path, program: &str) -> PathBuf {
    if program.contains('/') {
        root.join(program)
    } else {
        program.into()
    }
}

fn told(root: &Path, run: &GeneratorRun) -> Vec<u8> {
    let existing = run.existing.as_deref();
    let told = Told {
        repo_root: &root.to_string_lossy(),
        relative_path: &run.source,
        file_sha256: run.source_sha256.to_string(),
        source_contents: &String::from_utf8_lossy(&run.content),
        doc_path: &run.document,
        existing_doc_contents: existing.map(|text| String::from_utf8_lossy(text).into_owned()),
        graph_context: None,
    };
    serde_json::to_vec(&told).expect("texts are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use maasl_core::docgen::GeneratorFault;
    use maasl_core::id::ContentHash;
    use serde_json::Value;

    fn run() -> GeneratorRun {
        GeneratorRun {
            source: "a/b.py".into(),
            source_sha256: ContentHash::of(b"x = 1\n"),
            content: b"x = 1\n".as_slice().into(),
            document: "docs/a/b.py.md".into(),
            existing: Some(b"old".as_slice().into()),
        }
    }

    fn made(script: &str, settings: DocgenSettings) -> Result<String, GeneratorFailure> {
        let root = tempfile::tempdir().unwrap();
        let settings = DocgenSettings {
            command: ["sh", "-c", script].map(str::to_owned).into(),
            ..settings
        };
        let made = generate(&settings, root.path(), &run(), &CancellationToken::new())?;
        Ok(String::from_utf8(made.to_vec()).unwrap())
    }

    #[test]
    fn a_generator_is_told_everything_and_is_listened_to() {
        let told = made("cat", DocgenSettings::default()).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["relative_path"], "a/b.py");
        assert_eq!(told["source_contents"], "x = 1\n");
        assert_eq!(told["doc_path"], "docs/a/b.py.md");
        assert_eq!(told["existing_doc_contents"], "old");
        let hash = ContentHash::of(b"x = 1\n").to_string();
        assert_eq!(told["file_sha256"], hash.as_str());
    }

    #[test]
    fn a_generator_knows_little_of_its_surroundings() {
        // The shell adds what is its own.
        let script = "cat >/dev/null; env | cut -d= -f1 | grep -v -e ^PWD -e ^_ -e SHLVL | sort";
        let seen = made(script, DocgenSettings::default()).unwrap();
        let allowed = |name: &str| ENVIRONMENT.contains(&name) || name.starts_with("MAASL_DOCGEN_");
        assert!(seen.lines().all(allowed), "{seen}");
        assert!(seen.contains(SOURCE) && seen.contains(DOCUMENT), "{seen}");
        let settings = DocgenSettings {
            environment: vec!["CARGO_PKG_NAME".into(), "NOT_SET_ANYWHERE".into()],
            ..DocgenSettings::default()
        };
        let seen = made(script, settings).unwrap();
        assert!(seen.contains("CARGO_PKG_NAME"), "{seen}");
        assert!(!seen.contains("NOT_SET_ANYWHERE"), "{seen}");
    }

    #[test]
    fn a_program_of_the_repository_is_found_from_its_root() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/pwd", root.path().join("make-doc")).unwrap();
        let settings = DocgenSettings {
            command: vec!["./make-doc".into()],
            ..DocgenSettings::default()
        };
        let cancel = CancellationToken::new();
        let made = generate(&settings, root.path(), &run(), &cancel).unwrap();
        let at = root.path().canonicalize().unwrap();
        assert_eq!(String::from_utf8_lossy(&made).trim(), at.to_str().unwrap());
        let settings = DocgenSettings {
            command: vec!["./no-such-program".into()],
            ..DocgenSettings::default()
        };
        let failed = generate(&settings, root.path(), &run(), &cancel).unwrap_err();
        assert!(matches!(failed.fault, GeneratorFault::NotStarted { .. }));
    }
}
