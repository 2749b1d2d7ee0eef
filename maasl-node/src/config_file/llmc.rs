//! Settings of LLMC that ours begin with.
//!
//! Owns: `[docs.docgen]`, the table in which LLMC says how it makes documents.
//! Promises: what is set in a table of ours is left alone; what LLMC's table says
//! in a way we cannot use is left out and told. Leaves to others: our own tables
//! (`reader`); everything else in the file is not looked at.

use maasl_core::docgen::{DocgenSettings, HeaderForm};
use maasl_core::path::RelPath;
use toml::de::{DeTable, DeValue};

/// The longest a generator may take, and the shortest, in seconds.
const TIMEOUT_SEC: std::ops::RangeInclusive<u64> = 1..=3_600;

/// Takes over what LLMC's table says, for each field that `is_ours` does not
/// claim; what had to be left out, one a line.
pub(super) fn adopt(
    document: &DeTable<'_>,
    settings: &mut DocgenSettings,
    is_ours: impl Fn(&str) -> bool,
) -> Vec<String> {
    let Some(theirs) = table(document, "docs").and_then(|docs| table(docs, "docgen")) else {
        return Vec::new();
    };
    let mut adoption = Adoption {
        theirs,
        settings,
        left_out: Vec::new(),
    };
    if !is_ours("root") {
        adoption.root();
    }
    if !is_ours("header") {
        // The only form that LLMC's own generation reads.
        adoption.settings.header = HeaderForm::Plain;
    }
    if !is_ours("command") {
        adoption.command(!is_ours("timeout_ms"));
    }
    adoption.left_out
}

struct Adoption<'a, 't> {
    theirs: &'a DeTable<'t>,
    settings: &'a mut DocgenSettings,
    left_out: Vec<String>,
}

impl Adoption<'_, '_> {
    fn root(&mut self) {
        let Some(value) = self.theirs.get("output_dir") else {
            return;
        };
        let folder = value
            .get_ref()
            .as_str()
            .map(|text| text.trim_end_matches('/'));
        match folder.and_then(|folder| RelPath::parse(folder).ok()) {
            Some(folder) => self.settings.root = folder.into(),
            None => self.leave_out("output_dir", "is no folder below the root"),
        }
    }

    /// The generator, if LLMC's generation is on and is a script.
    fn command(&mut self, timeout_too: bool) {
        let value = |name| self.theirs.get(name).map(toml::Spanned::get_ref);
        let is_on = value("enabled").and_then(DeValue::as_bool) == Some(true);
        let is_script = value("backend").and_then(DeValue::as_str) == Some("shell");
        let Some(shell) = table(self.theirs, "shell").filter(|_| is_on && is_script) else {
            return;
        };
        let Some(command) = command(shell) else {
            self.leave_out("shell", "names no script that can be run");
            return;
        };
        self.settings.command = command;
        if timeout_too {
            self.timeout(shell);
        }
    }

    fn timeout(&mut self, shell: &DeTable<'_>) {
        let Some(value) = shell.get("timeout_seconds") else {
            return;
        };
        let seconds = value.get_ref().as_integer();
        let seconds =
            seconds.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        match seconds.filter(|seconds| TIMEOUT_SEC.contains(seconds)) {
            Some(seconds) => self.settings.timeout_ms = seconds * 1_000,
            None => self.leave_out("shell.timeout_seconds", "is not 1 to 3600"),
        }
    }

    fn leave_out(&mut self, key: &str, why: &str) {
        self.left_out
            .push(format!("`{key}` in `[docs.docgen]` {why}, and is not used"));
    }
}

/// The script and its arguments; a script is meant from the root on.
fn command(shell: &DeTable<'_>) -> Option<Vec<String>> {
    let script = shell.get("script")?.get_ref().as_str()?;
    if script.is_empty() || script.contains('\0') {
        return None;
    }
    let here = if script.contains('/') { "" } else { "./" };
    let mut command = vec![format!("{here}{script}")];
    if let Some(arguments) = shell.get("args") {
        for argument in arguments.get_ref().as_array()? {
            command.push(argument.get_ref().as_str()?.to_owned());
        }
    }
    Some(command)
}

fn table<'a, 't>(parent: &'a DeTable<'t>, name: &str) -> Option<&'a DeTable<'t>> {
    parent.get(name)?.get_ref().as_table()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adopted(text: &str, ours: &[&str]) -> (DocgenSettings, Vec<String>) {
        let document = DeTable::parse(text).unwrap();
        let mut settings = DocgenSettings::default();
        let left_out = adopt(document.get_ref(), &mut settings, |field| {
            ours.contains(&field)
        });
        (settings, left_out)
    }

    const WHOLE: &str = "[docs.docgen]\nenabled = true\nbackend = \"shell\"\n\
        output_dir = \"docs/api/\"\nrequire_rag_fresh = true\n\
        [docs.docgen.shell]\nscript = \"make.py\"\nargs = [\"-v\"]\ntimeout_seconds = 90\n";

    #[test]
    fn what_llmc_is_told_is_taken_over() {
        let (settings, left_out) = adopted(WHOLE, &[]);
        assert_eq!(settings.root, "docs/api");
        assert_eq!(settings.header, HeaderForm::Plain);
        assert_eq!(settings.command, ["./make.py", "-v"]);
        assert_eq!(settings.timeout_ms, 90_000);
        assert!(left_out.is_empty());
    }

    #[test]
    fn what_is_ours_is_left_alone() {
        let fields = ["root", "header", "command", "timeout_ms"];
        assert_eq!(
            adopted(WHOLE, &fields),
            (DocgenSettings::default(), Vec::new())
        );
        let (settings, _) = adopted(WHOLE, &["timeout_ms"]);
        assert_eq!(settings.timeout_ms, DocgenSettings::default().timeout_ms);
        assert_eq!(settings.command, ["./make.py", "-v"]);
    }

    #[test]
    fn a_generation_that_is_off_or_no_script_runs_nothing() {
        for (from, to) in [("= true\nb", "= false\nb"), ("\"shell\"", "\"llm\"")] {
            let (settings, left_out) = adopted(&WHOLE.replace(from, to), &[]);
            assert!(settings.command.is_empty() && left_out.is_empty(), "{to}");
            assert_eq!(settings.root, "docs/api");
        }
        assert_eq!(adopted("[docs]\nx = 1\n", &[]).0, DocgenSettings::default());
    }

    #[test]
    fn what_cannot_be_used_is_told_and_left_out() {
        for (from, to, key) in [
            ("docs/api/", "/srv/docs", "output_dir"),
            ("\"make.py\"", "3", "shell"),
            ("[\"-v\"]", "[1]", "shell"),
            ("= 90", "= 9000", "shell.timeout_seconds"),
        ] {
            let (_, left_out) = adopted(&WHOLE.replace(from, to), &[]);
            assert_eq!(left_out.len(), 1, "{to}");
            assert!(
                left_out[0].starts_with(&format!("`{key}` in")),
                "{left_out:?}"
            );
        }
    }
}
