//! Everything that crosses the wire, as data.
//!
//! Leaf module: `std` and serde only, nothing of ours (a test in `actors/tests` checks it).

pub mod agent;
pub mod chat;
pub mod connect;
pub mod error;
pub mod frame;
pub mod hello;
pub mod params;
pub mod scope;
pub mod session;
pub mod session_calls;

pub use connect::validate_connect;
pub use error::{ErrorCode, ErrorShape};
pub use frame::{EventFrame, RequestFrame, ResponseFrame, StateVersion};

/// The protocol that is spoken to everyone.
pub const PROTOCOL_VERSION: u32 = 4;
