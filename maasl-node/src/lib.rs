//! The IO half of the Multi-Agent Anti-Stomp Layer: stores, latches, files, driver.

pub mod platform;
pub mod root;
