//! Room on the disk of the state directory: looked at every minute, told when it gets scarce.
//!
//! parent: infra · children: one task that looks · restart: permanent (the last answer stays readable)

mod actor;

pub use actor::{Disk, Room, child};
