<<<<<<< HEAD
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
=======
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
>>>>>>> cli
pub use record::{Paired, Pending, Token};
