//! Servers that die at every step of making a document.
//!
//! Whoever asks next finds the document wholly made or makes it: there is one, it
//! was written once, and it was counted once.

use serde_json::{Value, json};

use crate::facts::until;
use crate::harness::{PATIENCE, Server, repository};
use crate::observe::{history, leased, sha256, staged, tree};

const GENERATOR: &str =
    "[maasl.docgen]\ncommand = [\"sh\", \"-c\", \"cat >/dev/null; echo '# a'\"]";

/// The steps in order, how often each is taken, and whether the commit point is
/// passed before it.
const STEPS: [(&str, usize, bool); 13] = [
    ("docgen_lock", 1, false),
    ("read", 3, false),
    ("generate", 1, false),
    ("stage", 1, false),
    ("latch", 1, false),
    ("hash", 3, false),
    ("begin_commit", 1, false),
    ("swap", 1, true),
    ("keep", 1, true),
    ("sync_names", 1, true),
    ("finish_commit", 1, true),
    ("unlatch", 1, true),
    ("docgen_unlock", 1, true),
];

fn source(name: &str) -> String {
    format!("source of {name}\n")
}

fn document(source: &str) -> String {
    format!("<!-- SHA256: {} -->\n\n# a\n", sha256(source))
}

fn asked(path: &str) -> Value {
    json!({ "path": path, "max_wait_ms": 20_000 })
}

fn generated(server: &mut Server) -> u64 {
    let stats = server.ok("llmc_stomp_stats", json!({}));
    stats["docgen_operations"]["generated"].as_u64().unwrap()
}

/// Has a server die of making the document of a source that has an old one, and
/// another ask for it.
fn case(dir: &tempfile::TempDir, heir: &mut Server, point: &str, committed: bool) {
    let path = format!("{}.py", point.replace(':', "-"));
    let put = |text: &str| std::fs::write(dir.path().join(&path), text).unwrap();
    put("before\n");
    assert_eq!(heir.ok("docgen_file", asked(&path))["status"], "generated");
    let before = generated(heir);
    let source = source(&path);
    put(&source);
    let fault = format!("kill@{point}");
    let mut victim = Server::with_env(dir.path(), "victim", &[("MAASL_FAULT", &fault)]);
    let id = victim.send("docgen_file", asked(&path));
    assert_eq!(
        victim.result_within(id, PATIENCE),
        None,
        "{point} was never reached"
    );
    victim.wait_dead();
    let status = heir.ok("docgen_file", asked(&path))["status"].clone();
    let expected = if committed { "noop" } else { "generated" };
    assert_eq!(status, expected, "{point}");
    let place = format!("DOCS/REPODOCS/{path}.md");
    let found = std::fs::read_to_string(dir.path().join(&place)).unwrap();
    assert_eq!(found, document(&source), "{point}");
    assert_eq!(generated(heir), before + 1, "{point}");
    let versions = history(heir, &place);
    assert_eq!(versions.len(), 2, "{point}: {versions:?}");
    let author = if committed { "victim" } else { "heir" };
    assert_eq!(versions[1].agent, author, "{point}");
    assert!(versions[0].kept, "{point}: what it displaced is kept");
    assert_eq!(leased(heir), Vec::<Value>::new(), "{point}");
}

#[test]
fn a_document_is_whole_or_absent_wherever_its_maker_dies() {
    let dir = repository(GENERATOR);
    std::fs::create_dir(dir.path().join(".llmc")).unwrap();
    let mut heir = Server::start(dir.path(), "heir");
    let mut cases = 0;
    for (step, times, committed) in STEPS {
        for time in 1..=times {
            case(&dir, &mut heir, &format!("before:{step}:{time}"), committed);
            let committed = committed || step == "begin_commit";
            case(&dir, &mut heir, &format!("after:{step}:{time}"), committed);
            cases += 2;
        }
    }
    assert_eq!(
        generated(&mut heir),
        2 * cases,
        "one for each content of each source"
    );
    heir.close();
    let mut next = Server::start(dir.path(), "next");
    until("only the living have staging folders", || {
        staged(dir.path()) == (1, 0)
    });
    let documents = tree(&dir.path().join("DOCS")).len() as u64;
    assert_eq!(documents, cases, "and nothing else");
    assert_eq!(leased(&mut next), Vec::<Value>::new());
}
