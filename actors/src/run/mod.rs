//! Runs: one accepted request to an agent each, from the prompt over model and tools to the answer.
//!
//! parent: its session · children: one task · restart: temporary (the session decides what a failed run means)

pub mod directory;
pub mod lane;
pub mod message;
mod sentinel;
pub mod stream;
