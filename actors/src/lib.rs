//! The supervision tree of the gateway and everything that lives in it.

#[cfg(not(panic = "unwind"))]
compile_error!("supervision needs unwinding: build with panic = \"unwind\"");

pub mod channels;
pub mod config;
pub mod cron;
pub mod delivery;
pub mod devices;
pub mod disk;
pub mod events;
#[cfg(feature = "fault-injection")]
pub mod fault;
pub mod files;
pub mod health;
pub mod heartbeat;
pub mod logs;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod presence;
pub mod protocol;
pub mod restart;
pub mod run;
#[cfg(test)]
mod seeds;
pub mod session;
pub mod store;
pub mod supervision;
pub mod tools;
pub mod transcript;
pub mod tree;
