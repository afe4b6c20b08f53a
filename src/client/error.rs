//! How talking to a gateway can fail, in the classes that callers tell apart.
//!
//! No credential is part of any of these.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// A failed connection or call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No WebSocket came about: nobody listens, name unknown, TLS or upgrade refused, too slow.
    #[error("gateway not reachable at {url} ({reason})")]
    Unreachable {
        url: String,
        /// Short: `ECONNREFUSED`, `ETIMEDOUT`, `HTTP 503`.
        reason: String,
        /// The whole story: `connect ECONNREFUSED 127.0.0.1:18789`.
        detail: String,
    },
    /// `connect` was answered with an error.
    #[error("{}", .0.message)]
    Refused(Box<RpcError>),
    /// The gateway ended the connection. Code 1005: without a code; 1006: without a close frame.
    #[error("gateway closed the connection ({code}{}{reason})", if .reason.is_empty() { "" } else { " " })]
    Closed { code: u16, reason: String },
    /// A call was answered with an error. A failed run carries a payload too.
    #[error("{}", .error.message)]
    Rpc { method: String, error: Box<RpcError>, payload: Option<Value> },
    /// No answer in time; the gateway may still be working on it.
    #[error("no answer from the gateway to {what} within {} ms", .limit.as_millis())]
    Timeout { what: String, limit: Duration },
    /// The other side does not speak the protocol.
    #[error("the gateway sent {0}")]
    Malformed(String),
}

/// The error of a response. `code` is text: other generations know codes that we do not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RpcError {
    pub code: String,
    pub message: String,
    #[serde(default)]
    pub details: Option<Value>,
    #[serde(default)]
    pub retryable: Option<bool>,
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

impl RpcError {
    /// `details.code`, for example `PAIRING_REQUIRED`.
    pub fn detail_code(&self) -> Option<&str> {
        self.details.as_ref()?.get("code")?.as_str()
    }
}
