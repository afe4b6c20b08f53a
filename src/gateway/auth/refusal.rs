//! How a refused connection is told: code, text, details and close code for every reason.
//!
//! Invariant: clients decide by `details.code` and `recommendedNextStep` whether to try again, so a reason has exactly one of each.
//! Source: connect failures of the WebSocket protocol of 2026.5.12.

use openclaw_actors::protocol::hello::{ClientInfo, ConnectParams, client_id, client_mode};
use openclaw_actors::protocol::{ErrorCode, ErrorShape, PROTOCOL_VERSION};
use serde_json::json;

use super::origin;

/// A violated policy: every refusal but one.
pub const CLOSE_POLICY: u16 = 1008;
/// No common protocol version.
pub const CLOSE_PROTOCOL: u16 = 1002;

/// The oldest version that a probe may speak.
const PROBE_PROTOCOL_MIN: u32 = 3;

/// An answer to `connect` and the close that follows it. The close reason is the error's message.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub error: Box<ErrorShape>,
    pub close_code: u16,
}

impl Refusal {
    fn policy(error: ErrorShape) -> Self {
        Self { error: Box::new(error), close_code: CLOSE_POLICY }
    }
}

pub fn protocol(params: &ConnectParams) -> Refusal {
    let details = json!({
        "code": "PROTOCOL_MISMATCH",
        "clientMinProtocol": params.min_protocol,
        "clientMaxProtocol": params.max_protocol,
        "expectedProtocol": PROTOCOL_VERSION,
        "minimumProbeProtocol": PROBE_PROTOCOL_MIN,
    });
    let error = ErrorShape::invalid("protocol mismatch").with_details(details);
    Refusal { error: Box::new(error), close_code: CLOSE_PROTOCOL }
}

pub fn role() -> Refusal {
    Refusal::policy(ErrorShape::invalid("invalid role"))
}

pub fn origin(reason: &str) -> Refusal {
    let message = "origin not allowed (open the Control UI from the gateway host or allow it in \
                   gateway.controlUi.allowedOrigins)";
    let details = json!({"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": reason});
    Refusal::policy(ErrorShape::invalid(message).with_details(details))
}

pub fn device_required() -> Refusal {
    let error = ErrorShape::new(ErrorCode::NotPaired, "device identity required");
    Refusal::policy(error.with_details(json!({"code": "DEVICE_IDENTITY_REQUIRED"})))
}

pub fn control_ui_device_required() -> Refusal {
    let error = ErrorShape::invalid("control ui requires device identity (use HTTPS or localhost secure context)");
    Refusal::policy(error.with_details(json!({"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"})))
}

pub fn device_proof(message: &str, code: &str, reason: &str) -> Refusal {
    Refusal::policy(ErrorShape::invalid(message).with_details(json!({"code": code, "reason": reason})))
}

/// The connection has no valid credential.
pub fn unauthorized(reason: &str, params: &ConnectParams) -> Refusal {
    let retry = reason == "token_mismatch" && may_retry_with_device_token(params);
    let details = json!({
        "code": detail_code(reason),
        "authReason": reason,
        "canRetryWithDeviceToken": retry,
        "recommendedNextStep": if retry { "retry_with_device_token" } else { next_step(reason) },
    });
    Refusal::policy(ErrorShape::invalid(message(reason, &params.client)).with_details(details))
}

/// A device that sent a wrong `auth.token` may have a token of its own that it did not send.
fn may_retry_with_device_token(params: &ConnectParams) -> bool {
    let sent = |secret: &Option<String>| secret.as_deref().is_some_and(|text| !text.is_empty());
    params.device.is_some() && params.auth.as_ref().is_some_and(|auth| sent(&auth.token) && !sent(&auth.device_token))
}

fn message(reason: &str, client: &ClientInfo) -> String {
    let text = match reason {
        "token_missing" => format!("gateway token missing ({})", token_hint(client)),
        "token_mismatch" => format!("gateway token mismatch ({})", token_hint(client)),
        "token_missing_config" => "gateway token not configured on gateway (set gateway.auth.token)".into(),
        "password_missing" => format!("gateway password missing ({})", password_hint(client)),
        "password_mismatch" => format!("gateway password mismatch ({})", password_hint(client)),
        "password_missing_config" => "gateway password not configured on gateway (set gateway.auth.password)".into(),
        "device_token_mismatch" => "device token mismatch (rotate/reissue device token)".into(),
        "scope_mismatch" => "device token scope mismatch (re-pair or approve scope upgrade)".into(),
        "bootstrap_token_invalid" => "bootstrap token invalid or expired (scan a fresh setup code)".into(),
        "rate_limited" => "too many failed authentication attempts (retry later)".into(),
        _ => return "unauthorized".into(),
    };
    format!("unauthorized: {text}")
}

fn token_hint(client: &ClientInfo) -> &'static str {
    match kind(client) {
        Kind::CommandLine => "set gateway.remote.token to match gateway.auth.token",
        Kind::Page => "open the dashboard URL and paste the token in Control UI settings",
        Kind::Other => "provide gateway auth token",
    }
}

fn password_hint(client: &ClientInfo) -> &'static str {
    match kind(client) {
        Kind::CommandLine => "set gateway.remote.password to match gateway.auth.password",
        Kind::Page => "enter the password in Control UI settings",
        Kind::Other => "provide gateway auth password",
    }
}

/// Who is going to read the hint.
enum Kind {
    CommandLine,
    Page,
    Other,
}

fn kind(client: &ClientInfo) -> Kind {
    if client.mode == client_mode::CLI {
        Kind::CommandLine
    } else if client.id == client_id::CONTROL_UI || client.id == client_id::TUI || origin::is_webchat(client) {
        Kind::Page
    } else {
        Kind::Other
    }
}

fn detail_code(reason: &str) -> &'static str {
    match reason {
        "token_missing" => "AUTH_TOKEN_MISSING",
        "token_mismatch" => "AUTH_TOKEN_MISMATCH",
        "token_missing_config" => "AUTH_TOKEN_NOT_CONFIGURED",
        "password_missing" => "AUTH_PASSWORD_MISSING",
        "password_mismatch" => "AUTH_PASSWORD_MISMATCH",
        "password_missing_config" => "AUTH_PASSWORD_NOT_CONFIGURED",
        "device_token_mismatch" => "AUTH_DEVICE_TOKEN_MISMATCH",
        "scope_mismatch" => "AUTH_SCOPE_MISMATCH",
        "bootstrap_token_invalid" => "AUTH_BOOTSTRAP_TOKEN_INVALID",
        "rate_limited" => "AUTH_RATE_LIMITED",
        _ => "AUTH_UNAUTHORIZED",
    }
}

fn next_step(reason: &str) -> &'static str {
    match reason {
        "token_missing" | "token_missing_config" | "password_missing" | "password_missing_config" => {
            "update_auth_configuration"
        }
        "token_mismatch" | "password_mismatch" | "device_token_mismatch" => "update_auth_credentials",
        "rate_limited" => "wait_then_retry",
        _ => "review_auth_configuration",
    }
}
