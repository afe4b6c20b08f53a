//! What the devices actor can be told.

use ractor::RpcReplyPort;

use super::pairing::{Claim, Reason};
use super::record::{Paired, Pending, ShownPaired, Token};
use crate::protocol::ErrorShape;
use crate::protocol::scope::{Role, Scope};
use crate::store::StoreError;

/// Who asks for a change, as the handshake established it.
#[derive(Debug, Clone)]
pub struct Approver {
    /// Absent for the owner without a device.
    pub device_id: Option<String>,
    pub scopes: Vec<Scope>,
}

impl Approver {
    pub fn is_admin(&self) -> bool {
        self.scopes.contains(&Scope::Admin)
    }

    /// A device that is not admin sees and manages only itself.
    pub fn may_touch(&self, device_id: &str) -> bool {
        self.is_admin() || self.device_id.as_deref().is_none_or(|own| own == device_id)
    }
}

/// What a connecting device needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admittance {
    /// Its record covers the claim.
    Covered,
    /// It is approved without asking.
    Silent(Reason),
    /// Somebody must be asked; the connection is refused meanwhile.
    Ask(Reason),
}

/// A refused connection: the error and the reason of the close frame.
#[derive(Debug, Clone)]
pub struct PairingRefused {
    pub error: ErrorShape,
    pub close_reason: String,
}

/// What the devices actor can be told.
pub enum DevicesMsg {
    /// The record of one device.
    Lookup(String, RpcReplyPort<Option<Paired>>),
    /// A device connects: it gets its token, is approved, or a request to pair is recorded and it is refused.
    Admit {
        claim: Claim,
        admittance: Admittance,
        reply: RpcReplyPort<Result<Option<Token>, PairingRefused>>,
    },
    /// Requests that wait and paired devices, as far as the asker may see them.
    List(Approver, RpcReplyPort<(Vec<Pending>, Vec<ShownPaired>)>),
    Approve {
        request_id: String,
        approver: Approver,
        reply: RpcReplyPort<Result<ShownPaired, ErrorShape>>,
    },
    /// Answers with the device's id.
    Reject {
        request_id: String,
        approver: Approver,
        reply: RpcReplyPort<Result<String, ErrorShape>>,
    },
    Remove {
        device_id: String,
        approver: Approver,
        reply: RpcReplyPort<Result<(), ErrorShape>>,
    },
    Rotate {
        device_id: String,
        role: Role,
        scopes: Option<Vec<String>>,
        approver: Approver,
        reply: RpcReplyPort<Result<Token, ErrorShape>>,
    },
    /// Answers with the time of the revocation, epoch milliseconds.
    Revoke {
        device_id: String,
        role: Role,
        approver: Approver,
        reply: RpcReplyPort<Result<u64, ErrorShape>>,
    },
    News(News),
}

/// What the actor learns from the store.
pub enum News {
    /// The records as they were after so many writes of this life.
    Loaded { writes: u64, loaded: Result<Vec<Paired>, StoreError> },
    /// A change could not be stored: what is in memory is no longer the truth.
    NotStored(StoreError),
}
