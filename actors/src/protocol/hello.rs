//! The handshake on the wire: challenge, `connect` parameters, `hello-ok`.
//!
//! Everything we send has exactly the published keys and omits what is absent; what we receive may have more.
//! Secrets in here never reach a debug output. Source: WebSocket protocol of 2026.5.12, handshake.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::frame::StateVersion;
use super::scope::Role;

/// Names that `client.id` may have: both generations of official clients.
pub const CLIENT_IDS: [&str; 17] = [
    "webchat-ui",
    client_id::CONTROL_UI,
    client_id::TUI,
    "webchat",
    client_id::CLI,
    client_id::GATEWAY_CLIENT,
    "openclaw-macos",
    "openclaw-ios",
    "openclaw-android",
    "node-host",
    "test",
    "fingerprint",
    "openclaw-probe",
    "openclaw-browser-copilot",
    "openclaw-linux",
    "openclaw-watchos",
    "openclaw-worker",
];

/// Names that `client.mode` may have.
pub const CLIENT_MODES: [&str; 8] = [
    client_mode::WEBCHAT,
    client_mode::CLI,
    "ui",
    client_mode::BACKEND,
    client_mode::NODE,
    client_mode::PROBE,
    "test",
    "worker",
];

/// Client ids that a rule names.
pub mod client_id {
    pub const CLI: &str = "cli";
    pub const GATEWAY_CLIENT: &str = "gateway-client";
    pub const CONTROL_UI: &str = "openclaw-control-ui";
    pub const TUI: &str = "openclaw-tui";
}

/// Client modes that a rule names.
pub mod client_mode {
    pub const WEBCHAT: &str = "webchat";
    pub const CLI: &str = "cli";
    pub const BACKEND: &str = "backend";
    pub const NODE: &str = "node";
    pub const PROBE: &str = "probe";
}

/// Payload of the event `connect.challenge`, the first frame of every connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// UUID v4, good for this socket only.
    pub nonce: String,
    /// Epoch milliseconds; browsers sign with it.
    pub ts: u64,
}

/// What a client says of itself in `connect`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectParams {
    pub min_protocol: u32,
    pub max_protocol: u32,
    pub client: ClientInfo,
    /// Absent means `operator`; anything but `operator` and `node` is refused later with its own message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// `tool-events`: wants the tool events of runs that it starts. Unknown names are ignored.
    #[serde(default)]
    pub caps: Vec<String>,
    /// Commands that a node offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeMap<String, bool>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ConnectAuth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceProof>,
}

impl ConnectParams {
    /// The role by name, after defaulting; not yet known to be a role.
    pub fn role_name(&self) -> &str {
        self.role.as_deref().unwrap_or(Role::Operator.as_str())
    }
}

/// `connect.client`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientInfo {
    /// One of `CLIENT_IDS`.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// May be `dev`.
    pub version: String,
    pub platform: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_identifier: Option<String>,
    /// One of `CLIENT_MODES`.
    pub mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
}

/// `connect.auth`: credentials, each possibly empty, which counts as absent.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectAuth {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_token: Option<String>,
}

impl ConnectAuth {
    /// The token that the device signature covers; never the password.
    pub fn signed_token(&self) -> &str {
        [&self.token, &self.device_token, &self.bootstrap_token]
            .into_iter()
            .find_map(|token| token.as_deref().filter(|t| !t.is_empty()))
            .unwrap_or("")
    }
}

impl fmt::Debug for ConnectAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |secret: &Option<String>| secret.as_ref().map(|_| "***");
        f.debug_struct("ConnectAuth")
            .field("token", &shown(&self.token))
            .field("password", &shown(&self.password))
            .field("device_token", &shown(&self.device_token))
            .field("bootstrap_token", &shown(&self.bootstrap_token))
            .finish()
    }
}

/// `connect.device`: a key and the proof that the client holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceProof {
    /// Hex SHA-256 of the raw public key.
    pub id: String,
    /// Ed25519, 32 bytes: base64url, base64 or PEM.
    pub public_key: String,
    /// 64 bytes: base64url or base64.
    pub signature: String,
    /// Epoch milliseconds.
    pub signed_at: u64,
    pub nonce: String,
}

/// Payload of the accepted `connect`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelloOk {
    #[serde(rename = "type")]
    pub kind: HelloTag,
    /// Always 4.
    pub protocol: u32,
    pub server: HelloServer,
    pub features: Features,
    pub snapshot: HelloSnapshot,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugin_surface_urls: BTreeMap<String, String>,
    pub auth: HelloAuth,
    pub policy: Policy,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HelloTag {
    #[default]
    #[serde(rename = "hello-ok")]
    HelloOk,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelloServer {
    pub version: String,
    /// UUID of this connection.
    pub conn_id: String,
}

/// What the gateway offers; clients take it as a hint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Features {
    pub methods: Vec<String>,
    pub events: Vec<String>,
}

/// The state that a client starts from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelloSnapshot {
    /// Presence entries, newest first.
    pub presence: Vec<Arc<RawValue>>,
    /// The last health payload; an empty object before the first.
    pub health: Box<RawValue>,
    pub state_version: StateVersion,
    pub uptime_ms: u64,
    /// These three only for a connection with `operator.admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
    pub session_defaults: SessionDefaults,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_available: Option<UpdateAvailable>,
}

/// For example `main`, `main`, `agent:main:main`, `per-sender`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionDefaults {
    pub default_agent_id: String,
    pub main_key: String,
    pub main_session_key: String,
    pub scope: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAvailable {
    pub current_version: String,
    pub latest_version: String,
    pub channel: String,
}

/// What the connection was granted.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelloAuth {
    pub role: Role,
    /// Those of the device token when one is given out, which may be more than the connection asked for; else the effective ones.
    pub scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at_ms: Option<u64>,
}

impl fmt::Debug for HelloAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelloAuth")
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .field("device_token", &self.device_token.as_ref().map(|_| "***"))
            .finish_non_exhaustive()
    }
}

/// Limits of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Largest message from a client, bytes.
    pub max_payload: usize,
    /// Most bytes that wait for a client before it counts as slow.
    pub max_buffered_bytes: usize,
    /// Distance of `tick` events, milliseconds.
    pub tick_interval_ms: u64,
}

impl Policy {
    /// Source: WebSocket protocol of 2026.5.12, transport and limits.
    pub const STANDARD: Self =
        Self { max_payload: 25 * 1024 * 1024, max_buffered_bytes: 50 * 1024 * 1024, tick_interval_ms: 30_000 };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hello_ok_has_exactly_the_published_keys() {
        let hello = HelloOk {
            kind: HelloTag::HelloOk,
            protocol: 4,
            server: HelloServer { version: "1".into(), conn_id: "c".into() },
            features: Features { methods: vec!["health".into()], events: vec!["tick".into()] },
            snapshot: HelloSnapshot {
                presence: Vec::new(),
                health: RawValue::from_string("{}".into()).unwrap(),
                state_version: StateVersion { presence: 1, health: 1 },
                uptime_ms: 5,
                config_path: None,
                state_dir: None,
                session_defaults: SessionDefaults {
                    default_agent_id: "main".into(),
                    main_key: "main".into(),
                    main_session_key: "agent:main:main".into(),
                    scope: "per-sender".into(),
                },
                auth_mode: None,
                update_available: None,
            },
            plugin_surface_urls: BTreeMap::new(),
            auth: HelloAuth { role: Role::Operator, scopes: Vec::new(), device_token: None, issued_at_ms: None },
            policy: Policy::STANDARD,
        };
        let expected = json!({
            "type": "hello-ok",
            "protocol": 4,
            "server": { "version": "1", "connId": "c" },
            "features": { "methods": ["health"], "events": ["tick"] },
            "snapshot": {
                "presence": [],
                "health": {},
                "stateVersion": { "presence": 1, "health": 1 },
                "uptimeMs": 5,
                "sessionDefaults": {
                    "defaultAgentId": "main",
                    "mainKey": "main",
                    "mainSessionKey": "agent:main:main",
                    "scope": "per-sender",
                },
            },
            "auth": { "role": "operator", "scopes": [] },
            "policy": { "maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000 },
        });
        assert_eq!(serde_json::to_value(&hello).unwrap(), expected);
    }

    #[test]
    fn the_signed_token_is_the_first_that_is_not_empty_and_never_the_password() {
        let some = |text: &str| Some(text.to_owned());
        let mut auth = ConnectAuth { password: some("p"), ..ConnectAuth::default() };
        assert_eq!(auth.signed_token(), "");
        auth.bootstrap_token = some("b");
        assert_eq!(auth.signed_token(), "b");
        auth.device_token = some("d");
        assert_eq!(auth.signed_token(), "d");
        auth.token = some("");
        assert_eq!(auth.signed_token(), "d");
        auth.token = some("t");
        assert_eq!(auth.signed_token(), "t");
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let canary = || Some("canary".to_owned());
        let auth =
            ConnectAuth { token: canary(), password: canary(), device_token: canary(), bootstrap_token: canary() };
        assert!(!format!("{auth:?}").contains("canary"));
        let hello =
            HelloAuth { role: Role::Operator, scopes: Vec::new(), device_token: canary(), issued_at_ms: Some(1) };
        assert!(!format!("{hello:?}").contains("canary"));
    }
}
