//! Configuration: the file, its meaning, its edits, its reload.
//!
//! `load.rs` is the way in (text to snapshot, in the order of its steps), `handle.rs` what everybody reads, `write.rs` the only
//! way a file changes, `watch.rs` and `reload.rs` what happens when somebody else changed it.

pub mod actor;
pub mod aliases;
pub mod audit;
pub mod backup;
pub mod channel_ids;
pub mod diff;
pub mod dotenv;
pub mod duration;
pub mod edit;
pub mod effect;
pub mod env;
#[cfg(test)]
mod examples_tests;
#[cfg(test)]
mod golden;
pub mod handle;
pub mod include;
pub mod issue;
pub mod json_schema;
pub mod key_path;
pub mod load;
pub mod owner;
pub mod parse;
pub mod patch;
pub mod paths;
pub mod position;
pub mod redact;
pub mod reload;
pub mod rules;
#[cfg(test)]
mod samples;
pub mod schema;
pub mod secret_ref;
pub mod secrets;
pub mod settings;
pub mod settle;
pub mod start_rules;
pub mod substitute;
pub mod tree;
pub mod validate;
pub mod watch;
pub mod write;

pub use handle::{ConfigHandle, Snapshot};
pub use issue::{ConfigError, Issue, IssueCode, Phase};
