//! The whole supervision tree with a scripted model and a real database: what goes on, what comes back, what stops when.
//!
//! Nothing here waits for time to be enough: every wait is for news, with a deadline. The database has threads of its
//! own, so the clock runs, except where a test stops it while nothing is on its way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in tests a failure is a panic")]

mod architecture;
mod channels;
mod cron;
mod full_disk;
mod groups;
mod lanes;
mod model;
mod overload;
mod queue_modes;
mod restarts;
mod stopping;
mod transport;
mod turns;
mod world;
