//! Models: messages, providers and their wires. A plain library; the run calls it.

pub mod error;
pub mod message;
pub mod provider;
