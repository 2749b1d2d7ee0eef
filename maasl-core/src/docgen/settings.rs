//! Settings of the making of documents.
//!
//! Owns: `[maasl.docgen]` as data, its defaults and its limits. Promises: the
//! defaults make documents where no generator is configured, from what callers
//! offer. Leaves to others: ranges of numbers (`config`), reading files and running
//! generators (`maasl-node`).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::header::HeaderForm;
use super::layout::Layout;
use crate::path::RelPath;

/// The document root, if nothing else is said.
pub const ROOT: &str = "DOCS/REPODOCS";

/// What is a source, if nothing else is said: program text in the usual
/// languages.
const SOURCES: &str = "**/*.{c,cc,cpp,cs,cxx,dart,erl,ex,exs,fs,go,h,hpp,hs,java,jl,js,jsx,kt,\
                       lua,m,ml,mjs,php,pl,proto,ps1,py,pyi,r,rb,rs,scala,sh,sql,swift,ts,tsx,\
                       vue,zig}";

/// How documents are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocgenSettings {
    /// The generator and its arguments; nothing where callers bring the content.
    pub command: Vec<String>,
    /// Environment variables that the generator gets besides the usual few.
    pub environment: Vec<String>,
    /// How long the generator may take, in milliseconds, 100 to 3 600 000.
    /// Default: 60 000.
    pub timeout_ms: u64,
    /// How much it may write, in bytes, 1 KiB to 64 MiB. Default: 1 MiB.
    pub max_output_bytes: u64,
    /// Where new documents are put. Default: as their sources.
    pub layout: Layout,
    /// Which header they get. Default: a comment.
    pub header: HeaderForm,
    /// The folder of all documents, relative to the repository.
    pub root: String,
    /// Patterns of the files that count as sources.
    pub sources: Vec<String>,
}

impl Default for DocgenSettings {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            environment: Vec::new(),
            timeout_ms: 60_000,
            max_output_bytes: 1 << 20,
            layout: Layout::default(),
            header: HeaderForm::default(),
            root: ROOT.to_owned(),
            sources: Vec::from([SOURCES.to_owned()]),
        }
    }
}

impl DocgenSettings {
    /// Whether every text can be used; the first field that cannot, and why.
    pub(crate) fn check_texts(&self) -> Result<(), (&'static str, String)> {
        match RelPath::parse(&self.root) {
            Err(refusal) => return Err(("root", format!("{}", refusal.reason))),
            Ok(root) if root.as_str() != self.root => {
                return Err(("root", format!("is to be written as \"{root}\"")));
            }
            Ok(_) => {}
        }
        let is_plain = |text: &String| !text.contains('\0');
        if !self.command.iter().all(is_plain) || self.command.first().is_some_and(String::is_empty)
        {
            return Err(("command", "names no program".to_owned()));
        }
        let names_nothing = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
        if let Some(name) = self.environment.iter().find(names_nothing) {
            return Err(("environment", format!("{name:?} is no name of a variable")));
        }
        if self.sources.is_empty() {
            return Err((
                "sources",
                "is empty, so nothing would be a source".to_owned(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_cannot_be_used_are_named() {
        type Spoil = fn(&mut DocgenSettings);
        let cases: [(&str, Spoil); 9] = [
            ("root", |s| s.root = "/docs".into()),
            ("root", |s| s.root = "../docs".into()),
            ("root", |s| s.root = ".maasl/docs".into()),
            ("root", |s| s.root = "./docs".into()),
            ("root", |s| s.root = String::new()),
            ("command", |s| s.command = [String::new()].into()),
            ("command", |s| s.command = ["a\0".to_owned()].into()),
            ("environment", |s| s.environment = ["A=1".to_owned()].into()),
            ("sources", |s| s.sources.clear()),
        ];
        for (field, spoil) in cases {
            let mut settings = DocgenSettings::default();
            assert_eq!(settings.check_texts(), Ok(()));
            spoil(&mut settings);
            let (named, _) = settings.check_texts().expect_err(field);
            assert_eq!(named, field);
        }
    }
}
