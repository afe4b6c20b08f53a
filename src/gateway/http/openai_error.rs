//! Refusals in the form that OpenAI clients read: `{"error": {"message", "type"}}`.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use openclaw_actors::protocol::{ErrorCode, ErrorShape};
use serde_json::json;

use super::answer;

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Invalid(String),
    NotFound(String),
    /// A scope is missing; the one refusal in the gateway's own form.
    Forbidden(String),
    /// Try again after so many milliseconds.
    Busy {
        message: String,
        retry_after_ms: u64,
    },
    /// The cause goes to the log only.
    Internal,
}

impl Refusal {
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    pub fn into_response(self) -> Response<Body> {
        let (status, kind, message, retry_after) = match self {
            Self::Invalid(message) => (StatusCode::BAD_REQUEST, "invalid_request_error", message, None),
            Self::NotFound(message) => (StatusCode::NOT_FOUND, "invalid_request_error", message, None),
            Self::Busy { message, retry_after_ms } => {
                (StatusCode::SERVICE_UNAVAILABLE, "api_error", message, Some(retry_after_ms.div_ceil(1000)))
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "api_error", "internal error".into(), None),
            Self::Forbidden(message) => {
                let body = json!({ "ok": false, "error": { "type": "forbidden", "message": message } });
                return answer::json(StatusCode::FORBIDDEN, &body);
            }
        };
        let mut response = answer::error(status, kind, &message);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ErrorShape> for Refusal {
    fn from(error: ErrorShape) -> Self {
        match error.code {
            ErrorCode::InvalidRequest | ErrorCode::NotPaired => Self::Invalid(error.message),
            ErrorCode::Unavailable if error.retryable == Some(true) => {
                Self::Busy { message: error.message, retry_after_ms: error.retry_after_ms.unwrap_or(1_000) }
            }
            ErrorCode::Unavailable => {
                tracing::error!(error = %error.message, "an HTTP request failed");
                Self::Internal
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_whether_to_try_again() {
        let busy = Refusal::from(ErrorShape::retry_after("the store is overloaded", 250)).into_response();
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(busy.headers()[header::RETRY_AFTER], "1");
        assert_eq!(Refusal::from(ErrorShape::invalid("no")), Refusal::Invalid("no".into()));
        assert_eq!(Refusal::from(ErrorShape::unavailable("disk")), Refusal::Internal, "causes stay in the log");
    }
}
