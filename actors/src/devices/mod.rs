//! Devices: their keys, the records of who may connect, and when an approval is needed.
//!
//! Data and decisions only; the records live in the store, requests to pair in memory.

pub mod identity;
pub mod key;
pub mod pairing;
pub mod record;
pub mod token;

pub use identity::DeviceIdentity;
pub use key::{PublicKey, SignedFields};
pub use pairing::{Claim, Reason};
pub use record::{Paired, Pending, Token};
