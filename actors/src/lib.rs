//! The supervision tree of the gateway and everything that lives in it.

#[cfg(not(panic = "unwind"))]
compile_error!("supervision needs unwinding: build with panic = \"unwind\"");

pub mod config;
pub mod devices;
pub mod files;
pub mod logs;
pub mod model;
pub mod protocol;
pub mod supervision;
