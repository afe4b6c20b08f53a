//! The records of devices, in upstream's shape: what is stored, imported, exported and shown.
//!
//! Invariant: token values are in `Paired` only, and in no debug output; `shown` leaves them out.
//! Source: `devices/pending.json` and `devices/paired.json` of 2026.5.12.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::protocol::scope::Role;

/// A request to pair that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// UUID.
    pub request_id: String,
    pub device_id: String,
    pub public_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// The role of the last connection; `roles` has all that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(default)]
    pub roles: Vec<Role>,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Absent when the client was local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Every part of it may be approved without asking.
    #[serde(default)]
    pub silent: bool,
    /// The device had a record when it asked.
    #[serde(default)]
    pub is_repair: bool,
    /// Epoch milliseconds of the last attempt; good for 300 s.
    pub ts: u64,
}

/// A device that may connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paired {
    pub device_id: String,
    pub public_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Pinned by the first approval that named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Pinned like `platform`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// The role approved last.
    pub role: Role,
    #[serde(default)]
    pub roles: Vec<Role>,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Absent in old files: then `scopes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_scopes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<Role, Token>,
    pub created_at_ms: u64,
    pub approved_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
    /// For example `connect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_reason: Option<String>,
}

impl Paired {
    /// The scopes that somebody approved.
    pub fn approved(&self) -> &[String] {
        self.approved_scopes.as_deref().unwrap_or(&self.scopes)
    }

    /// The token of a role, unless it was revoked.
    pub fn live_token(&self, role: Role) -> Option<&Token> {
        self.tokens.get(&role).filter(|token| token.revoked_at_ms.is_none())
    }

    /// The record as RPC answers show it.
    pub fn shown(&self) -> ShownPaired {
        ShownPaired {
            record: Self { approved_scopes: None, tokens: BTreeMap::new(), ..self.clone() },
            tokens: self.tokens.values().map(Token::shown).collect(),
        }
    }
}

/// What a device presents instead of the shared secret, for one role.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// 32 random bytes, base64url.
    pub token: String,
    pub role: Role,
    pub scopes: Vec<String>,
    pub created_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

impl Token {
    /// When the present value was made, epoch milliseconds.
    pub fn issued_at_ms(&self) -> u64 {
        self.rotated_at_ms.unwrap_or(self.created_at_ms)
    }

    fn shown(&self) -> ShownToken {
        ShownToken {
            role: self.role,
            scopes: self.scopes.clone(),
            created_at_ms: self.created_at_ms,
            rotated_at_ms: self.rotated_at_ms,
            revoked_at_ms: self.revoked_at_ms,
            last_used_at_ms: self.last_used_at_ms,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown(), f)
    }
}

/// A paired device without anything secret: `device.pair.list`, `device.pair.approve`.
#[derive(Debug, Clone, Serialize)]
pub struct ShownPaired {
    /// Emptied of tokens and approved scopes, so that neither is written.
    #[serde(flatten)]
    record: Paired,
    pub tokens: Vec<ShownToken>,
}

/// A token without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownToken {
    pub role: Role,
    pub scopes: Vec<String>,
    pub created_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_read_and_written_in_upstreams_shape_and_shown_without_secrets() {
        let stored = json!({
            "deviceId": "d", "publicKey": "k", "displayName": "cli", "platform": "linux", "clientId": "cli",
            "clientMode": "cli", "role": "operator", "roles": ["operator"], "scopes": ["operator.read"],
            "approvedScopes": ["operator.read"],
            "tokens": {"operator": {"token": "canary", "role": "operator", "scopes": ["operator.read"],
                                    "createdAtMs": 5, "rotatedAtMs": 6}},
            "createdAtMs": 5, "approvedAtMs": 5,
        });
        let record: Paired = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(&record).unwrap(), stored);
        assert_eq!(record.live_token(Role::Operator).unwrap().issued_at_ms(), 6);
        let shown = json!({
            "deviceId": "d", "publicKey": "k", "displayName": "cli", "platform": "linux", "clientId": "cli",
            "clientMode": "cli", "role": "operator", "roles": ["operator"], "scopes": ["operator.read"],
            "createdAtMs": 5, "approvedAtMs": 5,
            "tokens": [{"role": "operator", "scopes": ["operator.read"], "createdAtMs": 5, "rotatedAtMs": 6}],
        });
        assert_eq!(serde_json::to_value(record.shown()).unwrap(), shown);
        assert!(!format!("{record:?}{:?}", record.shown()).contains("canary"));
    }

    #[test]
    fn an_old_record_is_approved_for_what_it_has() {
        let stored = json!({"deviceId": "d", "publicKey": "k", "role": "operator", "scopes": ["operator.read"],
                            "createdAtMs": 1, "approvedAtMs": 1});
        let mut record: Paired = serde_json::from_value(stored).unwrap();
        assert_eq!(record.approved(), ["operator.read"]);
        record.approved_scopes = Some(Vec::new());
        assert!(record.approved().is_empty());
    }
}
