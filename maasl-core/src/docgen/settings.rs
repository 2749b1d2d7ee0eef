//! Settings of the making of documents.
//!
//! Owns: `[maasl.docgen]` as data, its defaults and its limits. Promises: the
//! defaults make documents where no generator is configured, from what callers
//! offer. Leaves to others: ranges (`config`), reading files and running
//! generators (`maasl-node`).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::header::HeaderForm;
use super::layout::Layout;

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
