//! Events: who hears what, in which order, within which bound.
//!
//! parent: infra · children: none · restart: permanent
//!
//! Runs, sessions and everybody else publish here; connections subscribe with an outbox. Pushing to an outbox never
//! waits. When the hub itself restarts, its subscriptions are gone: connections notice and close with 1012.

pub mod actor;
mod message;
pub mod outbox;

pub use actor::{FOLLOWED_MAX, MAILBOX, child, uncounted};
pub use message::{Audience, ConnId, Entitlement, Event, EventsMsg, Need, Subscriber, needs};
pub use outbox::{Close, Outbox, SLOW_CONSUMER, Taken};

/// Where the hub is reached.
pub type Events = crate::supervision::Address<EventsMsg>;
