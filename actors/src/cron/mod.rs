//! Cron: what is to be done at which time.
//!
//! parent: automation · children: one actor; its tasks look at the jobs and run them · restart: permanent
//!
//! A job is a row; its slots follow from its schedule. A slot is taken in the transaction that writes its run down, and the run
//! is a turn of a session like any other. What is due says the database at each look, so no timer can be lost; what was begun
//! and is not over is found at the next look, whoever died meanwhile.
//!
//! * `job` – a job as data; `draft` makes one of what was asked for
//! * `schedule` – when a job is due: its slots
//! * `plan` – what becomes of a job at an instant: due, missed, held back, over
//! * `round` – what is written at a look at the jobs, and at the end of a run
//! * `actor` – looks, and has run what is due
//! * `execution` – one run: its turn, its end, what is said of it; `verdict` – what the end of a turn means
//! * `delivery` – where results and failures are told
//! * `record` – what is told of a run; `settings` – what the configuration says
//! * `handle` – what everybody may ask of cron, and the seam to the main session

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
pub mod settings;
mod verdict;

pub use actor::child;
pub use execution::publish;
pub use handle::{Cron, MainSession};
