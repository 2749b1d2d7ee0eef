//! What a graph does, by name.
