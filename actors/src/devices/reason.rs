//! Why a device needs approval, and how the gateway says so.
//!
//! Texts and codes are matched by official clients. Source: WebSocket protocol of 2026.5.12, pairing refusal.

use serde_json::json;

use super::pairing::{self, Claim};
use super::record::Paired;
use crate::protocol::{ErrorCode, ErrorShape};

/// What about a device is not approved yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There is no record, or one with another key.
    NotPaired,
    /// Platform or device family differ from the pinned ones.
    MetadataUpgrade,
    /// No live token for the role.
    RoleUpgrade,
    /// More scopes than approved.
    ScopeUpgrade,
}

impl Reason {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotPaired => "not-paired",
            Self::MetadataUpgrade => "metadata-upgrade",
            Self::RoleUpgrade => "role-upgrade",
            Self::ScopeUpgrade => "scope-upgrade",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Self::NotPaired => "pairing required: device is not approved yet",
            Self::MetadataUpgrade => "pairing required: device identity changed and must be re-approved",
            Self::RoleUpgrade => "pairing required: device is asking for a higher role than currently approved",
            Self::ScopeUpgrade => "pairing required: device is asking for more scopes than currently approved",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::NotPaired => "Approve this device from the pending pairing requests.",
            Self::MetadataUpgrade => "Review the refreshed device details, then approve the pending request.",
            Self::RoleUpgrade => "Review the requested role upgrade, then approve the pending request.",
            Self::ScopeUpgrade => "Review the requested scopes, then approve the pending upgrade.",
        }
    }

    /// The answer to the `connect` that must wait. What is approved is told only to the holder of the approved key.
    pub fn refusal(self, request_id: &str, claim: &Claim, paired: Option<&Paired>) -> ErrorShape {
        let mut details = json!({
            "code": "PAIRING_REQUIRED",
            "reason": self.as_str(),
            "requestId": request_id,
            "remediationHint": self.hint(),
            "deviceId": claim.device_id,
            "requestedRole": claim.role,
            "requestedScopes": claim.scopes,
        });
        if let Some(record) = paired.filter(|record| pairing::same_key(record, claim)) {
            details["approvedRoles"] = json!(record.roles);
            details["approvedScopes"] = json!(record.approved());
        }
        ErrorShape::new(ErrorCode::NotPaired, self.message()).with_details(details)
    }

    /// Reason of the close frame that follows, before it is cut to length.
    pub fn close_reason(self, request_id: &str) -> String {
        format!("{} (requestId: {request_id})", self.message())
    }
}
