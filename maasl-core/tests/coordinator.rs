//! The coordinator, driven through its public interface in a scripted world.
//!
//! Owns: what several processes over one store do to one tree of files, with
//! pauses, deaths and outside writers at every step. Promises: no real clock,
//! file or thread. Leaves to others: random schedules (the simulator).

#[cfg(test)]
mod coordinator {
    mod asking;
    mod databases;
    mod disk;
    mod generator;
    mod machine;
    mod ops;
    mod world;

    mod again;
    mod copies;
    mod crash;
    mod database;
    mod docgen;
    mod docgen_struck;
    mod fault;
    mod graph;
    mod graph_file;
    mod graph_numbers;
    mod lease;
    mod observe;
    mod outside;
    mod pause;
    mod power;
    mod success;
    mod transaction;
    mod wait;
}
