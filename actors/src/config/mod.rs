//! Configuration: the file, its meaning, its edits, its reload.
//!
//! `load.rs` is the way in (text to snapshot, in the order of its steps), `handle.rs` what everybody reads, `write.rs` the only
//! way a file changes, `watch.rs` and `reload.rs` what happens when somebody else changed it.

pub mod aliases;
pub mod channel_ids;
pub mod dotenv;
pub mod duration;
pub mod env;
pub mod include;
pub mod issue;
pub mod parse;
pub mod paths;
pub mod position;
pub mod schema;
pub mod secret_ref;
pub mod settings;
pub mod substitute;
pub mod tree;
pub mod validate;
