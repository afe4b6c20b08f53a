//! Everything that crosses the wire, as data.
//!
//! Leaf module: `std` and serde only, nothing of ours (a test in `actors/tests` checks it).

pub mod connect;
pub mod error;
pub mod frame;
pub mod hello;
pub mod scope;

pub use connect::validate_connect;
pub use error::{ErrorCode, ErrorShape};
pub use frame::{ClientFrame, EventFrame, RequestFrame, ResponseFrame, StateVersion};

/// The protocol that is spoken to everyone.
pub const PROTOCOL_VERSION: u32 = 4;
