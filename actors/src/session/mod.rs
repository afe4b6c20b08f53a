//! Sessions: one conversation key, its history, and one turn after the other.
//!
//! parent: the sessions' group · children: one run at a time · restart: transient (it reads its rows when it is back;
//! a run that was cut off is marked as interrupted)

pub mod actor;
mod announce;
pub mod command;
pub mod commands;
mod debts;
pub mod entry;
pub mod key;
mod left_over;
pub mod lookup;
pub mod message;
mod patch;
mod phase;
pub mod queue;
pub mod recovery;
pub mod reply;
mod requests;
pub mod reset;
pub mod resume;
#[cfg(test)]
mod simulation;
mod state;
pub mod status_card;
pub mod step;
pub mod stop_phrase;
pub mod submit;
pub mod thinking;
mod waiting;
mod watch;
mod writes;

pub use entry::SessionEntry;
pub use key::{AgentId, KeyError, KeyRules, SessionKey};
pub use message::{Admission, SessionError, SessionMsg, SessionStatus};

/// All sessions by key.
pub type Sessions = crate::supervision::Group<SessionKey, SessionMsg>;
