//! The corpus, replayed: every input that is kept, and some mutations of each.
//!
//! Owns: reading the corpus and saying how to repeat what fails. Promises: the same
//! inputs at every run. Leaves to others: what is tried (`maasl_fuzz`), and finding
//! inputs nobody thought of (`cargo fuzz`).

use std::any::Any;
use std::fs;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use maasl_fuzz::mutation::{BYTES_MAX, Draws, mutated};
use maasl_fuzz::{TARGETS, Target};

/// Panics of all threads.
static PANICS: AtomicUsize = AtomicUsize::new(0);
static COUNTING: Once = Once::new();

/// Bytes of all inputs of one target.
const CORPUS_BYTES_MAX: usize = 200 * 1024;

/// An input that is kept.
struct Input {
    name: String,
    bytes: Vec<u8>,
}

fn folder(target: &Target) -> PathBuf {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fuzz.join("corpus").join(target.name)
}

/// The corpus of a target, in the order of names.
fn corpus(target: &Target) -> Vec<Input> {
    let folder = folder(target);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<Input> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .map(|path| Input {
            name: path.file_name().expect("a file").to_string_lossy().into(),
            bytes: fs::read(&path).expect("it can be read"),
        })
        .collect();
    inputs.sort_by(|one, other| one.name.cmp(&other.name));
    inputs
}

/// Tries bytes; what fails is put where `cargo fuzz` puts it, and named.
fn attempt(target: &Target, bytes: &[u8], what: &str) {
    let before = PANICS.load(Ordering::SeqCst);
    let panic = match catch_unwind(|| (target.run)(bytes)) {
        Err(panic) => panic,
        Ok(()) if PANICS.load(Ordering::SeqCst) == before => return,
        // A task of a server has its own thread, and nobody waits for its end.
        Ok(()) => Box::new("a panic in another thread"),
    };
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-failed", target.name));
    fs::write(&kept, bytes).expect("the target folder is writable");
    panic!(
        "{} failed on {what}: {}\nrepeat it: MAASL_FUZZ_INPUT={} cargo nextest run --workspace --test replay \
         -E 'test(={})'",
        target.name,
        words(&*panic),
        kept.display(),
        target.name,
    );
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words")
}

fn replay(name: &str) {
    COUNTING.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            usual(panic);
        }));
    });
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("a target of that name");
    if let Some(path) = std::env::var_os("MAASL_FUZZ_INPUT") {
        let bytes = fs::read(&path).expect("the input can be read");
        return (target.run)(&bytes);
    }
    let corpus = corpus(target);
    assert!(corpus.len() >= 5, "{name} has next to no corpus");
    let mut draws = Draws::of(u64::from(target.mutations));
    for (index, input) in corpus.iter().enumerate() {
        attempt(target, &input.bytes, &input.name);
        let other = &corpus[(index + 1) % corpus.len()].bytes;
        for round in 0..target.mutations {
            let bytes = mutated(&input.bytes, other, &mut draws);
            attempt(
                target,
                &bytes,
                &format!("mutation {round} of {}", input.name),
            );
        }
    }
}

macro_rules! replayed {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_replayed_and_its_corpus_is_small() {
            let replayed = [$(stringify!($name)),*];
            let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(replayed[..], known[..]);
            for target in TARGETS {
                let corpus = corpus(target);
                let total: usize = corpus.iter().map(|input| input.bytes.len()).sum();
                assert!(total <= CORPUS_BYTES_MAX, "{}: {total} bytes", target.name);
                for input in corpus {
                    let length = input.bytes.len();
                    assert!(length <= BYTES_MAX, "{}: {length} bytes", input.name);
                }
            }
        }
    };
}

replayed!(config document edits graph_file graph_patch history path protocol scenario state tools trace);
