//! What an answer says.
//!
//! Owns: reading the structured answers of tools. Promises: nothing is guessed: a
//! field that is missing is nothing. Leaves to others: what follows from it
//! (`agent`).

use maasl_core::id::ContentHash;
use maasl_sim::history::Changed;
use serde_json::Value;

/// An answer to a call of a tool.
#[derive(Clone, Debug)]
pub(crate) struct Told(Value);

impl Told {
    pub(crate) fn new(answer: Value) -> Self {
        Self(answer)
    }

    /// Why it was refused; nothing if it was done.
    pub(crate) fn code(&self) -> Option<&str> {
        (self.0["ok"] != true).then(|| self.0["error"]["code"].as_str().unwrap_or("?"))
    }

    /// The machine underneath failed: the request may have been carried out.
    pub(crate) fn is_in_doubt(&self) -> bool {
        matches!(self.code(), Some("internal" | "?"))
    }

    /// The server says that it can do nothing more, and is to be started again.
    pub(crate) fn asks_for_a_new_server(&self) -> bool {
        let message = self.0["error"]["message"].as_str().unwrap_or_default();
        let asks = ["start this process again", "start it again"];
        self.is_in_doubt() && asks.iter().any(|asked| message.contains(asked))
    }

    /// The token of its lease.
    pub(crate) fn token(&self) -> Option<u64> {
        self.0["fencing_token"].as_u64()
    }

    /// A field that is text.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.0[field].as_str()
    }

    /// A field as it came.
    pub(crate) fn field(&self, field: &str) -> &Value {
        &self.0[field]
    }

    /// The whole of it, for messages.
    pub(crate) fn whole(&self) -> &Value {
        &self.0
    }

    /// What became of files. A document that was found to be fresh replaces itself.
    pub(crate) fn changes(&self) -> Vec<Changed> {
        if self.0["doc_path"].is_string() {
            return document(&self.0).into_iter().collect();
        }
        match self.0["files"].as_array() {
            Some(files) => files.iter().flat_map(changes_of).collect(),
            None => changes_of(&self.0),
        }
    }

    /// Whether both are one answer. Leases that were lost meanwhile are told with
    /// whatever is answered next, and are no part of it.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let about = |told: &Self| {
            let mut about = told.0.clone();
            if let Some(fields) = about.as_object_mut() {
                fields.remove("lost_leases");
            }
            about
        };
        about(self) == about(other)
    }

    /// Whether both tell of one effect. Programs of two versions may tell of it with
    /// other fields.
    pub(crate) fn tells_of_the_same(&self, other: &Self) -> bool {
        let about = |told: &Self| (told.code().is_none(), told.token(), told.changes());
        about(self) == about(other)
    }
}

/// A move changes two files; what left everything as it was changes none.
fn changes_of(file: &Value) -> Vec<Changed> {
    let (Some(path), true) = (file["path"].as_str(), file["version"].is_u64()) else {
        return Vec::new();
    };
    let conflict = &file["conflict"];
    let base = if conflict["outside_stands"] == false {
        // Recovery found the swap done, over what somebody had saved meanwhile.
        hash(conflict, "found_sha256")
    } else {
        hash(file, "previous_sha256")
    };
    let new = hash(file, "sha256");
    let mut changes = vec![Changed {
        path: path.to_owned(),
        base,
        new,
    }];
    if let Some(source) = file["source"].as_str() {
        changes.push(Changed {
            path: source.to_owned(),
            base: new,
            new: None,
        });
    }
    changes
}

/// What became of a document; nothing where it was not made.
fn document(answer: &Value) -> Option<Changed> {
    let new = hash(answer, "document_sha256");
    let base = match answer["status"].as_str()? {
        "generated" => hash(answer, "previous_sha256"),
        "noop" => new,
        _ => return None,
    };
    let path = answer["doc_path"].as_str()?.to_owned();
    Some(Changed { path, base, new })
}

fn hash(of: &Value, field: &str) -> Option<ContentHash> {
    of[field].as_str().and_then(ContentHash::parse)
}

/// What a program says of a store that another version has written or put there.
pub(crate) fn refusal_of_version(said: &str) -> Option<&str> {
    let begins = said.find("store has schema")?;
    said[begins..].split([':', '\n', ';']).next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_move_changes_two_files_and_a_no_op_none() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let moved = json!({ "ok": true, "path": "b", "source": "a", "sha256": one,
            "previous_sha256": two, "version": 3, "fencing_token": 9 });
        let changes = Told::new(moved).changes();
        let shown: Vec<_> = changes
            .iter()
            .map(|change| {
                (
                    change.path.as_str(),
                    change.base.is_some(),
                    change.new.is_some(),
                )
            })
            .collect();
        assert_eq!(shown, [("b", true, true), ("a", true, false)]);
        let same = json!({ "files": [{ "path": "b", "sha256": one, "version": null }] });
        assert!(Told::new(same).changes().is_empty());
    }

    #[test]
    fn a_change_over_an_outside_save_replaced_that() {
        let (one, two, three) = ("1".repeat(64), "2".repeat(64), "3".repeat(64));
        let base = |outside_stands: bool| {
            let conflict = json!({ "found_sha256": three, "outside_stands": outside_stands });
            let answer = json!({ "ok": true, "path": "a", "sha256": one, "version": 3,
                "previous_sha256": two, "conflict": conflict });
            Told::new(answer).changes()[0].base
        };
        assert_eq!(base(true), ContentHash::parse(&two));
        assert_eq!(base(false), ContentHash::parse(&three));
    }

    #[test]
    fn a_document_is_written_or_stays_what_it_is() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let changes = |status: &str| {
            let answer = json!({ "ok": true, "status": status, "doc_path": "d", "sha256": two,
                "document_sha256": one, "previous_sha256": null });
            Told::new(answer).changes()
        };
        let new = ContentHash::parse(&one);
        let became = |base| {
            let path = "d".to_owned();
            vec![Changed { path, base, new }]
        };
        assert_eq!(changes("generated"), became(None));
        assert_eq!(changes("noop"), became(new));
        assert!(changes("needs_content").is_empty());
    }

    #[test]
    fn answers_are_the_same_whatever_is_told_beside_them() {
        let answer = |token: u64, waited_ms: u64| {
            let answer = json!({ "ok": true, "fencing_token": token, "waited_ms": waited_ms });
            Told::new(answer)
        };
        let mut beside = answer(1, 2);
        beside.0["lost_leases"] = json!([{}]);
        assert!(beside.says_the_same(&answer(1, 2)));
        assert!(!answer(1, 3).says_the_same(&answer(1, 2)));
        assert!(answer(1, 3).tells_of_the_same(&answer(1, 2)));
        assert!(!answer(2, 2).tells_of_the_same(&answer(1, 2)));
    }

    #[test]
    fn a_server_that_is_at_its_end_says_so() {
        let said = "the store has schema 5, this program knows up to 4: a newer maasl has \
            written it; update this program and start it again";
        for (code, is_end) in [("internal", true), ("resource_busy", false)] {
            let error = json!({ "code": code, "message": said });
            let told = Told::new(json!({ "ok": false, "error": error }));
            assert_eq!(told.asks_for_a_new_server(), is_end);
        }
        let refusal = "store has schema 5, this program knows up to 4";
        assert_eq!(
            refusal_of_version(&format!("maasl: {said}\n")),
            Some(refusal)
        );
        assert_eq!(refusal_of_version("no room left"), None);
    }

    #[test]
    fn a_failure_of_the_machine_is_no_refusal() {
        let refused = |code: &str| Told::new(json!({ "ok": false, "error": { "code": code } }));
        assert!(refused("internal").is_in_doubt());
        assert!(!refused("stale_version").is_in_doubt());
        assert_eq!(refused("stale_version").code(), Some("stale_version"));
        assert!(!refused("internal").asks_for_a_new_server());
        assert_eq!(Told::new(json!({ "ok": true })).code(), None);
    }
}
