//! Health: how the gateway is doing, as one payload that is built at most once a minute, and the beat for clients.
//!
//! parent: front · children: one task that builds · restart: permanent (the payload it had built stays readable)
//!
//! While no client is connected nothing is built and no timer runs.

mod actor;
mod event_loop;
mod payload;
mod report;
pub mod sessions;

pub use actor::{HealthArgs, HealthError, HealthMsg, MAILBOX, TICK, child};
pub use event_loop::EventLoop;
pub use payload::heartbeat_of;
pub use report::{Cache, Report, TTL};
