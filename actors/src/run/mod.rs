//! Runs: one accepted request to an agent each, from the prompt over model and tools to the answer.
//!
//! parent: its session · children: one task · restart: temporary (the session decides what a failed run means)

pub mod actor;
pub mod context;
pub mod conversation;
pub mod directory;
pub mod lane;
pub mod line;
pub mod message;
pub mod models;
pub mod prompt;
pub mod pulse;
pub mod safe_mode;
pub mod sentinel;
pub mod steering;
pub mod stream;
mod tools;
pub mod turn;
pub mod workspace;
