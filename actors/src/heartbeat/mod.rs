//! Heartbeats: an agent wakes by itself, looks at what it has been asked to watch, and says something only if it must.
//!
//! parent: automation · children: the task of one heartbeat at a time · restart: permanent (beats follow from the clock,
//! what waits to be told from the store)
//!
//! * `settings` – who beats, how often, whom it may tell
//! * `hours`, `schedule` – when the clock wakes an agent
//! * `broker` – who else asks, and when it runs
//! * `gate` – may it run now
//! * `checklist`, `prompt` – what the agent is asked
//! * `answer` – what its answer means
//! * `contact` – where an alert goes
//! * `beat` – one heartbeat from end to end
//! * `teller` – how jobs tell a main session something
//! * `record` – how the last one went

mod actor;
pub mod answer;
mod beat;
mod broker;
mod checklist;
mod contact;
mod gate;
mod hours;
pub mod prompt;
pub mod record;
mod schedule;
mod settings;
mod teller;

/// What the key of a conversation that is only for heartbeats ends with.
pub const ISOLATED: &str = ":heartbeat";

pub use actor::{Heartbeat, child};
pub use broker::Source;
pub use settings::{Beat, Target, beats};
pub use teller::Teller;
