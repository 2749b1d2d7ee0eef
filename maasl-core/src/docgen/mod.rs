//! Documents made from sources: the decisions.
//!
//! Owns: which document belongs to a source, what its header says, and whether
//! it has to be made anew. Promises: everything here is a pure function of bytes
//! and names. Leaves to others: reading, generating and writing
//! (`coordinator::docgen` says in which order, the node does it).

pub mod belief;
pub mod freshness;
pub mod gate;
pub mod header;
pub mod layout;
pub mod record;
pub mod refusal;
pub mod settings;

pub use belief::{Belief, Stamp};
pub use freshness::{Checked, Freshness, Marked};
pub use gate::{Gate, Known, Offer, gate};
pub use header::HeaderForm;
pub use layout::Layout;
pub use record::{DocgenRecord, DocgenStatus, Made};
pub use refusal::{DocgenStale, GeneratorFailure, GeneratorFault, Unmarked};
pub use settings::DocgenSettings;
