//! The tools for documents.
//!
//! Owns: the list of them, one file each. Promises: all of them call the same
//! thing by the same name. Leaves to others: whether a document has to be made
//! (the core).

mod check;
mod file;
mod status;

pub(crate) use check::DocgenCheck;
pub(crate) use file::{Arguments as DocumentArgument, DocgenFile};
pub(crate) use status::DocgenStatus;
