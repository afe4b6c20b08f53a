//! Error codes and the texts that clients and operators match on.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why a request failed, as the wire carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorShape {
    pub code: ErrorCode,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// Bad parameters, unknown method, missing scope, not found, failed authentication.
    InvalidRequest,
    /// A device identity or its approval is missing.
    NotPaired,
    /// Starting, overloaded, rate-limited, or the handler failed; a retry may help.
    Unavailable,
}

impl ErrorShape {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, retryable: None, retry_after_ms: None }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// `UNAVAILABLE` that says when to try again.
    pub fn retry_after(message: impl Into<String>, ms: u64) -> Self {
        Self { retryable: Some(true), retry_after_ms: Some(ms), ..Self::new(ErrorCode::Unavailable, message) }
    }

    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }
}
