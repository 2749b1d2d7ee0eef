//! From the text of a file to a checked configuration.
//!
//! Owns: walking our tables, and tracing what the core refuses back to the line
//! that asked for it. Promises: a configuration that comes out has passed
//! `Config::validate`; of several wrong keys in one table the first is shown.
//! Leaves to others: the list of keys (`keys`), single values (`value`), the
//! look of messages (`diagnostic`).

use maasl_core::config::Config;
use maasl_core::policy::{BUILT_IN_CLASSES, PolicyError, PolicyField, PolicyRegistry};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::diagnostic::{Diagnostic, Source, did_you_mean, nearest};
use super::section::{Places, Section};
use super::value::expected;
use super::{keys, llmc};
use crate::docgen::sources::Patterns;

/// The one top-level table that is ours.
pub(super) const OUR_TABLE: &str = "maasl";

/// How a key begins that names a table of `[maasl.resource]` by itself: LLMC reads
/// `[maasl."resource.<CLASS>"]`, one key with a dot in it.
const QUOTED_CLASS: &str = "resource.";

/// A key of a table with its value.
pub(super) type Entry<'d, 't> = (&'d Spanned<DeString<'t>>, &'d Spanned<DeValue<'t>>);

/// Reads our tables from the text; also says what somebody should be told.
pub(super) fn read(source: Source<'_>) -> Result<(Config, Vec<String>), Diagnostic> {
    let document = DeTable::parse(source.text()).map_err(|error| {
        let span = error.span().unwrap_or_default();
        source.diagnose(&span, error.message())
    })?;
    let mut reader = Reader {
        source,
        config: Config::default(),
        places: Places::default(),
        warnings: Vec::new(),
    };
    for (key, value) in in_order(document.get_ref()) {
        match &**key.get_ref() {
            OUR_TABLE => reader.main((key, value))?,
            other => reader.suspect_table(other),
        }
    }
    reader.adopt(document.get_ref());
    reader.finish()
}

/// The entries of a table as a person reads them, from top to bottom.
fn in_order<'d, 't>(table: &'d DeTable<'t>) -> Vec<Entry<'d, 't>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

struct Reader<'t> {
    source: Source<'t>,
    config: Config,
    places: Places,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// `[maasl]` and below. Classes come last: they start from the defaults.
    fn main(&mut self, ours: Entry<'_, '_>) -> Result<(), Diagnostic> {
        let section = Section::new("[maasl]", "", keys::MAIN, &keys::TABLES);
        let mut classes = Vec::new();
        for (key, value) in self.entries("[maasl]", ours)? {
            let entry = (key, value);
            match &**key.get_ref() {
                "db" => {
                    let databases = self.entries("[maasl.db]", entry)?;
                    databases
                        .into_iter()
                        .try_for_each(|one| self.database(one))?;
                }
                "docgen" => self.docgen(entry)?,
                "history" => self.history(entry)?,
                "limits" => self.limits(entry)?,
                "resource" => classes.extend(self.classes(entry)?),
                name => match name.strip_prefix(QUOTED_CLASS) {
                    Some(class) => classes.push((class, entry)),
                    None => section.set(&mut self.config, entry, self.source, &mut self.places)?,
                },
            }
        }
        classes
            .into_iter()
            .try_for_each(|(class, table)| self.class(class, table))
    }

    /// The tables in `[maasl.resource]`, each with the class it is for.
    fn classes<'d, 't>(
        &self,
        table: Entry<'d, 't>,
    ) -> Result<Vec<(&'d str, Entry<'d, 't>)>, Diagnostic> {
        let tables = self.entries("[maasl.resource]", table)?;
        let classes = tables.into_iter();
        Ok(classes.map(|one| (&**one.0.get_ref(), one)).collect())
    }

    fn docgen(&mut self, table: Entry<'_, '_>) -> Result<(), Diagnostic> {
        let section = Section::new("[maasl.docgen]", "docgen.", keys::DOCGEN, &[]);
        self.fill(&section, table)
    }

    fn history(&mut self, table: Entry<'_, '_>) -> Result<(), Diagnostic> {
        let section = Section::new("[maasl.history]", "history.", keys::HISTORY, &[]);
        self.fill(&section, table)
    }

    fn limits(&mut self, table: Entry<'_, '_>) -> Result<(), Diagnostic> {
        let section = Section::new("[maasl.limits]", "limits.", keys::LIMITS, &[]);
        self.fill(&section, table)
    }

    /// `[maasl.db.<NAME>]`: names a database, or moves the one that is shipped.
    fn database(&mut self, table: Entry<'_, '_>) -> Result<(), Diagnostic> {
        let key = table.0;
        let name = &**key.get_ref();
        let header = format!("[maasl.db.{name}]");
        let path = format!("databases.{name}.");
        let section = Section::new(&header, &path, keys::DATABASE, &[]);
        let mut place = String::new();
        for entry in self.entries(&header, table)? {
            section.set(&mut place, entry, self.source, &mut self.places)?;
        }
        if place.is_empty() {
            let message = format!("`{header}` says no `path`");
            return Err(self.source.diagnose(&key.span(), message));
        }
        self.config.databases.insert(name.to_owned(), place);
        Ok(())
    }

    fn fill(
        &mut self,
        section: &Section<'_, Config>,
        table: Entry<'_, '_>,
    ) -> Result<(), Diagnostic> {
        let entries = self.entries(section.header(), table)?;
        entries.into_iter().try_for_each(|entry| {
            section.set(&mut self.config, entry, self.source, &mut self.places)
        })
    }

    /// `[maasl.resource.<CLASS>]`: tunes a built-in class or makes a new one.
    fn class(&mut self, class: &str, table: Entry<'_, '_>) -> Result<(), Diagnostic> {
        let key = table.0;
        let header = format!("[maasl.resource.{class}]");
        let path = format!("policies.{class}.");
        let section = Section::new(&header, &path, keys::RESOURCE, &[]);
        let known = self.config.policies.get(class).cloned();
        let mut policy = known.unwrap_or_else(|| self.config.user_policy(class));
        for entry in self.entries(&header, table)? {
            section.set(&mut policy, entry, self.source, &mut self.places)?;
        }
        let inserted = self.config.policies.insert(policy);
        inserted.map_err(|error| self.refused_class(&error, key))?;
        self.suspect_class(class, key);
        Ok(())
    }

    /// The entries of what has to be a table.
    fn entries<'d, 't>(
        &self,
        header: &str,
        (key, value): Entry<'d, 't>,
    ) -> Result<Vec<Entry<'d, 't>>, Diagnostic> {
        let table = value.get_ref().as_table().ok_or_else(|| {
            let reason = expected("a table", value.get_ref());
            let message = format!("`{}`: {reason}", key.get_ref());
            let help = format!("write it as `{header}` on a line of its own");
            let shown = self.source.diagnose(&value.span(), message);
            shown.or_help(Some(help))
        })?;
        Ok(in_order(table))
    }

    /// Lets the defaults for documents follow LLMC's.
    fn adopt(&mut self, document: &DeTable<'_>) {
        let places = &self.places;
        let is_ours = |field: &str| places.span_of(&format!("docgen.{field}")).is_some();
        let left_out = llmc::adopt(document, &mut self.config.docgen, is_ours);
        self.warnings.extend(left_out);
    }

    fn finish(mut self) -> Result<(Config, Vec<String>), Diagnostic> {
        let checked = self.config.validate();
        checked.map_err(|error| self.places.locate(&error, self.source))?;
        let patterns = Patterns::parse(&self.config.docgen.sources);
        patterns.map_err(|wrong| self.places.unusable("docgen.sources", &wrong, self.source))?;
        self.suspect_defaults();
        Ok((self.config, self.warnings))
    }

    /// Shows the key that the refusal is about, else the name of the class.
    fn refused_class(&self, error: &PolicyError, key: &Spanned<DeString<'_>>) -> Diagnostic {
        let field = match error.field {
            PolicyField::Class => None,
            PolicyField::Concurrency => Some("concurrency"),
            PolicyField::Failure => Some("failure"),
        };
        let path = field.map(|field| format!("policies.{}.{field}", error.class));
        let span = path.and_then(|path| self.places.span_of(&path));
        let span = span.unwrap_or_else(|| key.span());
        let shown = self.source.diagnose(&span, error.to_string());
        let meant = nearest(&error.class, BUILT_IN_CLASSES).filter(|meant| *meant != error.class);
        shown.or_help(meant.map(|meant| format!("did you mean `{meant}`?")))
    }

    /// A table of others, unless it looks like ours with a letter wrong.
    fn suspect_table(&mut self, name: &str) {
        if let Some(advice) = did_you_mean(name, [OUR_TABLE]) {
            let warning = format!("table `{name}` is not read; {advice}");
            self.warnings.push(warning);
        }
    }

    /// A class of the user's own, unless it looks like a built-in misspelt.
    fn suspect_class(&mut self, class: &str, key: &Spanned<DeString<'_>>) {
        if PolicyRegistry::is_built_in(class) {
            return;
        }
        if let Some(advice) = did_you_mean(class, BUILT_IN_CLASSES) {
            let line = self.source.diagnose(&key.span(), "").line();
            let warning = format!("class `{class}` (line {line}) is taken as a new one; {advice}");
            self.warnings.push(warning);
        }
    }

    /// Defaults that were changed although no class takes them.
    fn suspect_defaults(&mut self) {
        let mut classes = self.config.policies.iter();
        if !classes.all(|policy| PolicyRegistry::is_built_in(&policy.class)) {
            return;
        }
        let (ours, shipped) = (&self.config, Config::default());
        let changed = ours.default_lease_ttl_ms != shipped.default_lease_ttl_ms
            || ours.default_interactive_max_wait_ms != shipped.default_interactive_max_wait_ms
            || ours.default_batch_max_wait_ms != shipped.default_batch_max_wait_ms;
        if changed {
            let warning = "`default_*` settings are for classes of your own, of which there are \
                           none; built-in classes are tuned in `[maasl.resource.<CLASS>]`";
            self.warnings.push(warning.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::keys::{Key, Slot};
    use super::*;
    use maasl_core::config::{Durability, GuardMode};
    use maasl_core::policy::{CRIT_CODE, CRIT_DB, MERGE_META};
    use maasl_core::policy::{ConcurrencyMode, FailureMode, Policy, Urgency};

    fn read_all(text: &str) -> (Config, Vec<String>) {
        read(Source::new("maasl.toml", text)).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    fn config(text: &str) -> Config {
        read_all(text).0
    }

    fn refused(text: &str) -> Diagnostic {
        read(Source::new("maasl.toml", text)).expect_err(text)
    }

    /// Checks place, message and help (empty for none) of a refusal.
    #[track_caller]
    fn assert_refused(text: &str, line: usize, column: usize, message: &str, help: &str) {
        let shown = refused(text);
        assert_eq!(shown.message(), message);
        assert_eq!(shown.help().unwrap_or_default(), help);
        assert_eq!((shown.line(), shown.column()), (line, column), "{shown}");
        assert_eq!(Some(shown.line_text()), text.lines().nth(line - 1));
    }

    /// Changes the field of `key` from what it is; returns the line that does.
    fn change<T>(key: &Key<T>, target: &mut T) -> String {
        let value = match key.slot {
            Slot::Flag(field) => {
                *field(target) = !*field(target);
                field(target).to_string()
            }
            Slot::Number(unit, field) => {
                *field(target) *= 2;
                unit.show(*field(target))
            }
            Slot::Text(field) => {
                field(target).push_str("-changed");
                format!("\"{}\"", field(target))
            }
            Slot::Texts(field) => {
                field(target).push("changed".into());
                format!("{:?}", field(target))
            }
            Slot::Word(set) => {
                let words = set(target, "").expect_err("no word is empty");
                let last = words.last().expect("there are words");
                set(target, last).expect("one of the words");
                format!("\"{last}\"")
            }
        };
        format!("{} = {value}", key.name)
    }

    #[test]
    fn every_key_of_the_main_tables_fills_its_field() {
        for (header, keys) in [
            ("[maasl]", keys::MAIN),
            ("[maasl.history]", keys::HISTORY),
            ("[maasl.limits]", keys::LIMITS),
            ("[maasl.docgen]", keys::DOCGEN),
        ] {
            for key in keys {
                let mut changed = Config::default();
                let line = change(key, &mut changed);
                assert_ne!(changed, Config::default(), "{line}");
                assert_eq!(config(&format!("{header}\n{line}\n")), changed, "{line}");
            }
        }
    }

    #[test]
    fn a_class_may_be_named_as_llmc_names_it() {
        let quoted = config("[maasl.\"resource.CRIT_DB\"]\nlease_ttl_sec = 7\n");
        let plain = config("[maasl.resource.CRIT_DB]\nlease_ttl_sec = 7\n");
        assert_ne!(quoted, Config::default());
        assert_eq!(quoted, plain);
        let text = "[maasl.\"resource.CRIT_DB\"]\nlease_ttl_secs = 7\n";
        assert_eq!(refused(text).line(), 2);
    }

    #[test]
    fn every_key_of_a_class_fills_its_field() {
        for key in keys::RESOURCE {
            let mut policy = Config::default().user_policy("DEPLOY");
            policy.concurrency = ConcurrencyMode::Merge;
            policy.lock_delay_ms = 1;
            let mut lines = vec![format!("lock_delay_ms = 1")];
            let line = change(key, &mut policy);
            lines.retain(|other| !other.starts_with(key.name));
            if key.name != "concurrency" {
                lines.push("concurrency = \"merge\"".into());
            }
            let text = format!("[maasl.resource.DEPLOY]\n{line}\n{}\n", lines.join("\n"));
            let read = config(&text);
            assert_eq!(read.policies.get("DEPLOY"), Some(&policy), "{text}");
        }
    }

    #[test]
    fn a_whole_file_reads_as_written() {
        let read = config(
            "[maasl]\nenabled = false\nmode = \"observe\"\ndurability = \"process\"\n\
             default_lease_ttl_sec = 1.5\n[maasl.history]\nmax_mib = 2\n\
             [maasl.resource.CRIT_CODE]\nlease_ttl_sec = 0x10\n\
             [maasl.resource.MERGE_META]\nfailure = \"fail_closed\"\n\
             [maasl.resource.DEPLOY]\nconcurrency = \"single_writer\"\n",
        );
        assert!(!read.enabled);
        assert_eq!(read.mode, GuardMode::Observe);
        assert_eq!(read.durability, Durability::Process);
        assert_eq!(read.history.max_bytes, 2_097_152);
        let policy = |class: &str| -> &Policy { read.policies.get(class).expect(class) };
        assert_eq!(policy(CRIT_CODE).lease_ttl_ms, 16_000);
        assert_eq!(policy(CRIT_CODE).max_wait_ms(Urgency::Batch), 3_000);
        assert_eq!(
            policy(CRIT_DB).lease_ttl_ms,
            60_000,
            "defaults do not reach it"
        );
        assert_eq!(policy(MERGE_META).failure, FailureMode::FailClosed);
        assert_eq!(policy("DEPLOY").concurrency, ConcurrencyMode::SingleWriter);
        assert_eq!(policy("DEPLOY").lease_ttl_ms, 1_500, "defaults do");
    }

    #[test]
    fn defaults_reach_classes_that_stand_above_them() {
        let read = config("[maasl.resource.DEPLOY]\n[maasl]\ndefault_batch_max_wait_ms = 7\n");
        let policy = read.policies.get("DEPLOY").expect("a new class");
        assert_eq!(policy.batch_max_wait_ms, 7);
    }

    #[test]
    fn tables_of_others_are_left_alone() {
        let text = "enabled = 3\n[maas_]\n[other]\nmode = 1\n[[maaslx.y]]\n[tool.maasl]\nx = 1\n";
        assert_eq!(config(text), Config::default());
    }

    #[test]
    fn documents_are_made_as_llmc_is_told_unless_we_are_told_otherwise() {
        let theirs = "[docs.docgen]\noutput_dir = \"docs/api\"\n";
        assert_eq!(config(theirs).docgen.root, "docs/api");
        let both = format!("{theirs}[maasl.docgen]\nroot = \"ours\"\n");
        assert_eq!(config(&both).docgen.root, "ours");
        let unusable = "[docs.docgen]\noutput_dir = \"/\"\n";
        let (read, warnings) = read_all(unusable);
        assert_eq!(read.docgen.root, Config::default().docgen.root);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }

    #[test]
    fn unknown_keys_are_refused_with_a_suggestion() {
        assert_refused(
            "[maasl.resource.CRIT_CODE]\n\tlease_ttl_ms = 5 # five\n",
            2,
            2,
            "unknown key `lease_ttl_ms` in `[maasl.resource.CRIT_CODE]`",
            "did you mean `lease_ttl_sec`?",
        );
        let unknown = "unknown key `zzz` in `[maasl]`";
        assert_refused("[other]\n[maasl]\nzzz = 1\nyyy = 1", 3, 1, unknown, "");
        let table = "unknown table `resources` in `[maasl]`";
        let meant = "did you mean `resource`?";
        assert_refused("[maasl.resources.CRIT_CODE]", 1, 8, table, meant);
        let stray = "unknown key `max_edits` in `[maasl]`";
        let home = "`max_edits` belongs in `[maasl.limits]`";
        assert_refused("maasl.max_edits = 3", 1, 7, stray, home);
    }

    #[test]
    fn databases_are_named_and_the_shipped_one_can_be_moved() {
        let text = "[maasl.db.main]\npath = \"data/main.db\"\n[maasl.db.rag]\npath = \"r.db\"\n";
        let (config, warnings) = read_all(text);
        let databases: Vec<_> = config.databases.iter().collect();
        let (main, rag) = ("main".to_owned(), "rag".to_owned());
        let (main_path, rag_path) = ("data/main.db".to_owned(), "r.db".to_owned());
        assert_eq!(databases, [(&main, &main_path), (&rag, &rag_path)]);
        assert_eq!(warnings, [""; 0]);
    }

    #[test]
    fn databases_that_cannot_be_are_refused_where_it_shows() {
        let missing = "`[maasl.db.main]` says no `path`";
        assert_refused("[maasl.db.main]\n", 1, 11, missing, "");
        let typo = "unknown key `pth` in `[maasl.db.main]`";
        let text = "[maasl.db.main]\npth = \"x\"";
        assert_refused(text, 2, 1, typo, "did you mean `path`?");
        let outside = "database `main`: its path \"../x.db\" climbs with `..`";
        assert_refused("[maasl.db.main]\npath = \"../x.db\"", 2, 8, outside, "");
        let twice = "database `rag`: its path is that of `main`";
        let text = "[maasl.db.main]\npath = \"X.db\"\n[maasl.db.rag]\npath = \"x.db\"\n";
        assert_refused(text, 4, 8, twice, "");
        let named = "database `a b`: its name may have letters, digits, `-` and `_` only";
        assert_refused("[maasl.db.\"a b\"]\npath = \"x\"", 2, 8, named, "");
    }

    #[test]
    fn wrong_types_are_refused_at_the_value() {
        let message = "`enabled` in `[maasl]`: expected true or false, found a string";
        assert_refused("[maasl]\nenabled = \"yes\"", 2, 11, message, "");
        let message = "`max_edits` in `[maasl.limits]`: expected an integer, found a float";
        assert_refused("[maasl.limits]\nmax_edits = 1.0", 2, 13, message, "");
        let message = "`mode` in `[maasl]`: expected a string, found a boolean";
        assert_refused("maasl = { mode = true }", 1, 18, message, "");
        let message =
            "`mode` in `[maasl]`: expected \"enforce\" or \"observe\", found \"enforced\"";
        let help = "did you mean `enforce`?";
        assert_refused("[maasl]\nmode = \"enforced\"", 2, 8, message, help);
        let message = "`CRIT_DB`: expected a table, found an integer";
        let help = "write it as `[maasl.resource.CRIT_DB]` on a line of its own";
        assert_refused("[maasl.resource]\nCRIT_DB = 3", 2, 11, message, help);
        let message = "`maasl`: expected a table, found an array";
        let help = "write it as `[maasl]` on a line of its own";
        assert_eq!(refused("[[maasl]]\n").message(), message);
        assert_eq!(refused("maasl = []\n").help(), Some(help));
    }

    #[test]
    fn texts_that_cannot_be_used_are_refused_at_the_value() {
        let at = |line: &str| format!("[maasl.docgen]\n{line}");
        let wrong = |key: &str, reason: &str| format!("`{key}` in `[maasl.docgen]`: {reason}");
        let listed = wrong("command", "expected an array of strings, found a string");
        assert_refused(&at("command = \"x\""), 2, 11, &listed, "");
        let inner = wrong("command", "expected a string, found an integer");
        assert_refused(&at("command = [\"x\", 1]"), 2, 11, &inner, "");
        let text = wrong("root", "expected a string, found an integer");
        assert_refused(&at("root = 1"), 2, 8, &text, "");
        let spelt = "`root` is to be written as \"docs\"";
        assert_refused(&at("root = \"./docs\""), 2, 8, spelt, "");
        let layout = wrong("layout", "expected \"tree\" or \"flat\", found \"flatt\"");
        assert_refused(
            &at("layout = \"flatt\""),
            2,
            10,
            &layout,
            "did you mean `flat`?",
        );
        let pattern = refused(&at("sources = [\"{a\"]"));
        assert_eq!((pattern.line(), pattern.column()), (2, 11));
        assert!(pattern.message().contains("pattern \"{a\""), "{pattern}");
        let unknown = "unknown key `comand` in `[maasl.docgen]`";
        assert_refused(&at("comand = []"), 2, 1, unknown, "did you mean `command`?");
    }

    #[test]
    fn numbers_out_of_range_are_refused_in_the_unit_of_the_key() {
        let huge = "99999999999999999999999";
        for value in ["0.05", "-1", "3601", "9223372036854775807", huge] {
            let text = format!("[maasl.resource.CRIT_DB]\nlease_ttl_sec = {value}\n");
            let message = format!("`lease_ttl_sec` is {value}; expected 0.1 to 3600");
            let help = "the upper end is `limits.max_lease_ttl_ms`";
            assert_refused(&text, 2, 17, &message, help);
        }
        let message = "`max_mib` is 0; expected 1 to 1048576";
        assert_refused("[maasl.history]\nmax_mib = 0", 2, 11, message, "");
        let message = "`clock_drift_ppm` is 1_000_000; expected 0 to 200000";
        assert_refused("maasl.clock_drift_ppm = 1_000_000", 1, 25, message, "");
    }

    #[test]
    fn a_limit_that_a_class_passes_is_shown_at_the_limit() {
        assert_refused(
            "[maasl.limits]\nmax_wait_ms = 6000\n",
            2,
            15,
            "policies.CRIT_DB.batch_max_wait_ms is 10000; expected 0 to 6000 (limits.max_wait_ms)",
            "raise `max_wait_ms`, or lower the other",
        );
    }

    #[test]
    fn classes_that_cannot_be_are_refused_where_it_shows() {
        let message = "class `crit_code`: too like class `CRIT_CODE`; choose another name";
        let help = "did you mean `CRIT_CODE`?";
        assert_refused("[maasl.resource.crit_code]", 1, 17, message, help);
        let fixed = "class `CRIT_CODE`: the concurrency of this built-in class is always \"mutex\"";
        let text = "[maasl.resource.CRIT_CODE]\nconcurrency = \"merge\"";
        assert_refused(text, 2, 15, fixed, "");
        let open =
            "class `X`: \"fail_open_merge\" needs concurrency \"merge\"; use \"fail_closed\"";
        let text = "[maasl.resource.X]\nfailure = \"fail_open_merge\"";
        assert_refused(text, 2, 11, open, "");
        assert_eq!(refused("[maasl.resource.\"a:b\"]").column(), 17);
    }

    #[test]
    fn broken_syntax_is_shown_where_it_breaks() {
        let shown = refused("[maasl]\nmode = \n");
        assert_eq!(shown.line(), 2, "{shown}");
        let shown = refused("[maasl]\nmode = \"observe\"\nmode = \"enforce\"\n");
        assert_eq!((shown.line(), shown.column()), (3, 1), "{shown}");
        assert_eq!(refused("[maasl").line(), 1);
    }

    #[test]
    fn near_misses_that_are_legal_are_warned_about() {
        let (_, warnings) = read_all("[masl]\nmode = 1\n\n[maasl.resource.CRTI_CODE]\n");
        assert_eq!(
            warnings,
            [
                "table `masl` is not read; did you mean `maasl`?",
                "class `CRTI_CODE` (line 4) is taken as a new one; did you mean `CRIT_CODE`?",
            ]
        );
        let idle = "[maasl]\ndefault_lease_ttl_sec = 10\n";
        assert_eq!(read_all(idle).1.len(), 1);
        let taken = format!("{idle}[maasl.resource.DEPLOY]\n");
        assert_eq!(read_all(&taken).1, [""; 0]);
        let as_shipped = "[maasl]\ndefault_lease_ttl_sec = 30\n";
        assert_eq!(read_all(as_shipped).1, [""; 0]);
    }
}
