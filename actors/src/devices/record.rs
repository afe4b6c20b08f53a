<<<<<<< HEAD
//! The records of devices, in upstream's shape: what is stored, imported, exported and shown.
//!
//! Invariant: token values are in `Paired` only, and in no debug output; `shown` leaves them out.
//! Source: `devices/pending.json` and `devices/paired.json` of 2026.5.12.
=======
//! The records of pairing: a request that waits, a device that was approved, a token that was given out.
//!
//! The serialised form is upstream's file format, which is also what the store keeps. Token values appear in no debug output and
//! in no listing. Times are epoch milliseconds. Source: WebSocket protocol of 2026.5.12, pairing records.
>>>>>>> cli

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

<<<<<<< HEAD
use crate::protocol::scope::Role;

/// A request to pair that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// UUID.
=======
use crate::protocol::scope::{self, Role};

/// A device that asks to be approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// UUID; names exactly this key with these roles and scopes.
>>>>>>> cli
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
<<<<<<< HEAD
    /// The role of the last connection; `roles` has all that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
=======
    /// The role asked for last.
    #[serde(default = "operator")]
    pub role: Role,
    /// Every role asked for.
>>>>>>> cli
    #[serde(default)]
    pub roles: Vec<Role>,
    #[serde(default)]
    pub scopes: Vec<String>,
<<<<<<< HEAD
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
=======
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    #[serde(default)]
    pub silent: bool,
    /// The device has a record already.
    #[serde(default)]
    pub is_repair: bool,
    /// When it was asked, or asked again.
    pub ts: u64,
}

/// Longest life of a request that nobody answers, milliseconds.
pub const PENDING_TTL_MS: u64 = 300_000;

impl Pending {
    pub fn is_expired(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.ts) >= PENDING_TTL_MS
    }
}

/// A device that was approved.
>>>>>>> cli
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paired {
    pub device_id: String,
    pub public_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
<<<<<<< HEAD
    /// Pinned by the first approval that named one.
=======
    /// Pinned: another claim needs a new approval.
>>>>>>> cli
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
<<<<<<< HEAD
=======
    #[serde(default = "operator")]
>>>>>>> cli
    pub role: Role,
    #[serde(default)]
    pub roles: Vec<Role>,
    #[serde(default)]
    pub scopes: Vec<String>,
<<<<<<< HEAD
    /// Absent in old files: then `scopes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_scopes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
=======
    /// What the device may ask for; absent in old files, where `scopes` says it.
    #[serde(default)]
    pub approved_scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    #[serde(default)]
>>>>>>> cli
    pub tokens: BTreeMap<Role, Token>,
    pub created_at_ms: u64,
    pub approved_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
<<<<<<< HEAD
    /// For example `connect`.
=======
>>>>>>> cli
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_reason: Option<String>,
}

impl Paired {
<<<<<<< HEAD
    /// The scopes that somebody approved.
    pub fn approved(&self) -> &[String] {
        self.approved_scopes.as_deref().unwrap_or(&self.scopes)
=======
    /// The scopes that were granted to this device.
    pub fn approved(&self) -> &[String] {
        if self.approved_scopes.is_empty() { &self.scopes } else { &self.approved_scopes }
>>>>>>> cli
    }

    /// The token of a role, unless it was revoked.
    pub fn live_token(&self, role: Role) -> Option<&Token> {
        self.tokens.get(&role).filter(|token| token.revoked_at_ms.is_none())
    }

<<<<<<< HEAD
    /// The record as RPC answers show it.
    pub fn shown(&self) -> ShownPaired {
        ShownPaired {
            record: Self { approved_scopes: None, tokens: BTreeMap::new(), ..self.clone() },
            tokens: self.tokens.values().map(Token::shown).collect(),
=======
    /// Does the grant cover these scopes in this role?
    pub fn covers(&self, role: Role, wanted: &[String]) -> bool {
        self.roles.contains(&role) && scope::covers(role, self.approved(), wanted)
    }

    /// The record as listings show it: no token values, no `approvedScopes`.
    pub fn listed(&self) -> ListedDevice<'_> {
        ListedDevice {
            device_id: &self.device_id,
            public_key: &self.public_key,
            display_name: self.display_name.as_deref(),
            platform: self.platform.as_deref(),
            device_family: self.device_family.as_deref(),
            client_id: self.client_id.as_deref(),
            client_mode: self.client_mode.as_deref(),
            role: self.role,
            roles: &self.roles,
            scopes: &self.scopes,
            remote_ip: self.remote_ip.as_deref(),
            created_at_ms: self.created_at_ms,
            approved_at_ms: self.approved_at_ms,
            last_seen_at_ms: self.last_seen_at_ms,
            last_seen_reason: self.last_seen_reason.as_deref(),
            tokens: self.tokens.values().map(Token::listed).collect(),
>>>>>>> cli
        }
    }
}

<<<<<<< HEAD
/// What a device presents instead of the shared secret, for one role.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// 32 random bytes, base64url.
=======
/// A device token: 32 random bytes in base64url, good for one role of one device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
>>>>>>> cli
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
<<<<<<< HEAD
    /// When the present value was made, epoch milliseconds.
=======
    /// When this value came into being: `hello-ok` reports it.
>>>>>>> cli
    pub fn issued_at_ms(&self) -> u64 {
        self.rotated_at_ms.unwrap_or(self.created_at_ms)
    }

<<<<<<< HEAD
    fn shown(&self) -> ShownToken {
        ShownToken {
            role: self.role,
            scopes: self.scopes.clone(),
=======
    fn listed(&self) -> ListedToken<'_> {
        ListedToken {
            role: self.role,
            scopes: &self.scopes,
>>>>>>> cli
            created_at_ms: self.created_at_ms,
            rotated_at_ms: self.rotated_at_ms,
            revoked_at_ms: self.revoked_at_ms,
            last_used_at_ms: self.last_used_at_ms,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
<<<<<<< HEAD
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
=======
        f.debug_struct("Token").field("role", &self.role).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// `Paired` as `device.pair.list` and `device.pair.approve` answer it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedDevice<'a> {
    device_id: &'a str,
    public_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_family: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_mode: Option<&'a str>,
    role: Role,
    roles: &'a [Role],
    scopes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<&'a str>,
    created_at_ms: u64,
    approved_at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_reason: Option<&'a str>,
    tokens: Vec<ListedToken<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedToken<'a> {
    role: Role,
    scopes: &'a [String],
    created_at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotated_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at_ms: Option<u64>,
}

fn operator() -> Role {
    Role::Operator
>>>>>>> cli
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

<<<<<<< HEAD
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
=======
    fn paired() -> Paired {
        serde_json::from_value(json!({
            "deviceId": "d", "publicKey": "k", "displayName": "laptop", "platform": "linux", "clientId": "cli",
            "clientMode": "cli", "role": "operator", "roles": ["operator"], "scopes": ["operator.read"],
            "approvedScopes": ["operator.read"], "createdAtMs": 1, "approvedAtMs": 2,
            "tokens": { "operator": {
                "token": "canary", "role": "operator", "scopes": ["operator.read"], "createdAtMs": 1, "rotatedAtMs": 2,
            } },
        }))
        .unwrap()
    }

    #[test]
    fn a_listing_shows_no_token_value() {
        let listed = serde_json::to_value(paired().listed()).unwrap();
        let expected = json!({
            "deviceId": "d", "publicKey": "k", "displayName": "laptop", "platform": "linux", "clientId": "cli",
            "clientMode": "cli", "role": "operator", "roles": ["operator"], "scopes": ["operator.read"],
            "createdAtMs": 1, "approvedAtMs": 2,
            "tokens": [{ "role": "operator", "scopes": ["operator.read"], "createdAtMs": 1, "rotatedAtMs": 2 }],
        });
        assert_eq!(listed, expected);
        assert!(!format!("{:?}", paired()).contains("canary"));
    }

    #[test]
    fn records_survive_the_file_format() {
        let text = serde_json::to_string(&paired()).unwrap();
        assert_eq!(serde_json::from_str::<Paired>(&text).unwrap(), paired());
        assert!(text.contains(r#""tokens":{"operator":{"token":"canary""#));
    }

    #[test]
    fn a_revoked_token_is_not_live() {
        let mut record = paired();
        assert_eq!(record.live_token(Role::Operator).map(Token::issued_at_ms), Some(2));
        assert!(record.live_token(Role::Node).is_none());
        record.tokens.get_mut(&Role::Operator).unwrap().revoked_at_ms = Some(3);
        assert!(record.live_token(Role::Operator).is_none());
    }

    #[test]
    fn an_old_record_without_approved_scopes_grants_its_scopes() {
        let mut record = paired();
        record.approved_scopes.clear();
        assert!(record.covers(Role::Operator, &["operator.read".to_owned()]));
        assert!(!record.covers(Role::Node, &[]));
    }

    #[test]
    fn a_request_lives_five_minutes() {
        let pending: Pending =
            serde_json::from_value(json!({ "requestId": "r", "deviceId": "d", "publicKey": "k", "ts": 1000 })).unwrap();
        assert!(!pending.is_expired(1000 + 299_999) && pending.is_expired(1000 + 300_000));
        assert!(!pending.is_expired(0), "a clock that went back expires nothing");
>>>>>>> cli
    }
}
