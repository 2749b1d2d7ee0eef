//! Graphs: the laws of merging, on histories nobody chose.
//!
//! `history` makes patches as stores would that hear of each other late, in part
//! and in any order; `model` says a second time, in the plainest way, what a set
//! of patches amounts to.

mod cases;
mod history;
mod laws;
mod model;
