//! What the node does for documents.
//!
//! Owns: the list of modules. Promises: nothing here decides whether a document
//! has to be made. Leaves to others: deciding (`maasl_core::docgen`), and writing,
//! which goes the way of all files.

pub mod check;
mod child;
pub(crate) mod claims;
pub(crate) mod generator;
pub(crate) mod lock;
mod look;
mod manifest;
pub(crate) mod sources;
