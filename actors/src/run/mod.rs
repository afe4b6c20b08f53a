//! Runs: one accepted request to an agent, from its prompt to its answer.

pub mod prompt;
pub mod workspace;
