//! Presence: which clients and machines are here.
//!
//! parent: infra · children: none · restart: permanent (clients that stay connected reappear when they are touched)

mod actor;
mod entry;
pub mod note;

pub use actor::{PresenceArgs, PresenceMsg, Versions, child};
pub use entry::{PresenceEntry, PresenceTable};

/// Where presence is reached.
pub type Presence = crate::supervision::Address<PresenceMsg>;
