//! Devices: keys, pairing records and tokens; who may connect as what without the shared secret.
//!
//! parent: infra · children: none · restart: permanent (it reads its records again)

mod actor;
pub mod identity;
pub mod key;
mod message;
pub mod pairing;
pub mod record;
pub mod token;

pub use actor::{Devices, DevicesArgs, MAILBOX, child};
pub use identity::DeviceIdentity;
pub use key::{PublicKey, SignedFields};
pub use message::{Admittance, Approver, DevicesMsg, PairingRefused};
pub use pairing::{Claim, Reason};
pub use record::{Paired, Pending, Token};
