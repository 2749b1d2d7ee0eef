//! The IO half of the Multi-Agent Anti-Stomp Layer: stores, latches, files, driver.

pub mod config_file;
pub mod state_dir;
pub mod store;
