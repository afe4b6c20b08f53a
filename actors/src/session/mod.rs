//! Sessions: one conversation key, its history and what happens to messages that find it busy.
//!
//! This folder's plain decisions know no clock, no store and no actor; whoever calls them brings those.

pub mod command;
pub mod entry;
pub mod key;
mod patch;
pub mod queue;
pub mod reset;
pub mod status_card;
pub mod stop_phrase;
pub mod thinking;

pub use entry::SessionEntry;
pub use key::{AgentId, KeyError, KeyRules, SessionKey};
