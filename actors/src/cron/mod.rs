//! Cron jobs: what is to be done at which time, kept in the database.
//!
//! * `job` – a job as data; `draft` makes one of what was asked for
//! * `schedule` – when a job is due: its slots
//! * `round` – what is written at a look at the jobs, and at the end of a run
//! * `record` – what is told of a run
//! * `plan` – what becomes of a job at an instant: due, missed, held back, over

mod actor;
pub mod delivery;
pub mod draft;
mod execution;
pub mod handle;
pub mod job;
pub mod plan;
pub mod record;
pub mod round;
pub mod schedule;
mod verdict;

pub use actor::child;
pub use execution::publish;
pub use handle::{Cron, MainSession};
