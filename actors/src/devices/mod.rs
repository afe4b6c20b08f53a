//! Devices: who they are, how they prove it, what they were granted.
//!
//! Plain decisions and records; the store keeps the records, the gateway's handshake asks the questions.

pub mod identity;
pub mod pairing;
pub mod proof;
pub mod reason;
pub mod record;
pub mod token;

pub use identity::{DeviceIdentity, IdentityError};
pub use pairing::{Claim, Settled};
pub use proof::{PublicKey, SignedFields};
pub use reason::Reason;
pub use record::{Paired, Pending, Token};
