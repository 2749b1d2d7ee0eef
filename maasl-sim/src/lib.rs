//! The simulator of the Multi-Agent Anti-Stomp Layer (work in progress: no code yet).
