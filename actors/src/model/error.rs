//! How a model call can fail, in the classes that decide what happens next.
//!
//! Invariant: no text in here carries a key. `http.rs` blanks the keys of the target out of what a server sends back.

use std::time::Duration;

/// A failed model call, or one that could not be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The server answered with a status that is not a success. `body` is cut to 4 KiB.
    #[error("{status} {body}")]
    Status { status: u16, body: String, retry_after: Option<Duration> },
    /// The server reported a failure inside a stream that had begun.
    #[error("{message}")]
    InStream { kind: String, message: String },
    /// Connection refused, reset, name not found, TLS failure.
    #[error("connection failed: {0}")]
    Network(String),
    /// The stream ended without a stop reason.
    #[error("the answer broke off before it was complete")]
    Interrupted,
    /// Nothing arrived for this long.
    #[error("no data from the model for {0:?}")]
    Idle(Duration),
    /// The answer was not what the wire prescribes.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// Nothing can be sent: unknown wire, bad base URL.
    #[error("{0}")]
    Unusable(String),
    /// The reference names no provider that we know, or no model at all.
    #[error("{0}")]
    UnknownModel(String),
    /// No key for the provider; the text says where one was looked for.
    #[error("{0}")]
    MissingKey(String),
    /// The allowlist `agents.defaults.models` does not have the model. A contract text.
    #[error("Model \"{0}\" is not allowed. Use /models to list providers, or /models <provider> to list models.")]
    NotAllowed(String),
}

/// What a failure means for the run. Source: failover table of 2026.5.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    Auth,
    RateLimit,
    Overloaded,
    /// Timeouts, resets, broken streams, 5xx.
    Transient,
    Billing,
    ModelNotFound,
    ContextOverflow,
    /// The server refused the request's shape.
    Format,
}

impl FailureClass {
    /// The word for logs, `fallback_step` events and the combined error.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::RateLimit => "rate_limit",
            Self::Overloaded => "overloaded",
            Self::Transient => "timeout",
            Self::Billing => "billing",
            Self::ModelNotFound => "model_not_found",
            Self::ContextOverflow => "context_overflow",
            Self::Format => "format",
        }
    }
}

impl ModelError {
    /// Sorts the failure into its class: by what the text says where servers disagree about statuses, else by status.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Status { status, body, .. } => class_of_status(*status, &fold(body)),
            Self::InStream { kind, message } => class_of_stream_error(&fold(&format!("{kind} {message}"))),
            Self::Network(_) | Self::Interrupted | Self::Idle(_) | Self::Malformed(_) => FailureClass::Transient,
            Self::Unusable(_) => FailureClass::Format,
            Self::UnknownModel(_) | Self::NotAllowed(_) => FailureClass::ModelNotFound,
            Self::MissingKey(_) => FailureClass::Auth,
        }
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Did the server complain that roles alternate wrongly, or that tool calls and results do not pair up?
    pub fn rejects_history(&self) -> bool {
        let text = match self {
            Self::Status { status: 400 | 422, body, .. } => fold(body),
            Self::InStream { kind, message } => fold(&format!("{kind} {message}")),
            _ => return false,
        };
        HISTORY.iter().any(|sign| text.contains(sign))
    }
}

/// Source: overflow list of 2026.5.12, and what OpenAI, Anthropic and llama.cpp answer today. Folded as by `fold`.
const OVERFLOW: &[&str] = &[
    "request too large",
    "context length exceeded",
    "input exceeds the maximum number of tokens",
    "input token count exceeds",
    "input is too long for the model",
    "maximum context length",
    "exceeds the context window",
    "exceed context limit",
    "exceeds the available context size",
    "prompt is too long",
];
/// A limit per minute is no overflow, even where the server says "too large" about it.
const PER_MINUTE: &[&str] = &["tokens per min", "(tpm)"];
const BILLING: &[&str] =
    &["insufficient credits", "insufficient balance", "credit balance is too low", "payment required"];
const RATE_LIMIT: &[&str] = &["rate limit", "resource exhausted", "too many requests", "quota"];
const OVERLOADED: &[&str] = &["overloaded", "at capacity"];
const AUTH: &[&str] = &[
    "invalid api key",
    "incorrect api key",
    "api key not valid",
    "invalid x-api-key",
    "authentication",
    "permission error",
];
const NOT_FOUND: &[&str] = &["model not found", "not found error", "unknown model", "no such model"];
const HISTORY: &[&str] = &[
    "roles must alternate",
    "incorrect role information",
    "tool use ids were found without",
    "unexpected tool use id",
    "must be followed by tool messages",
    "must be a response to a preceding message",
    "no tool call found for function call output",
    "no tool output found for function call",
];

fn class_of_status(status: u16, text: &str) -> FailureClass {
    let says = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    match status {
        402 => FailureClass::Billing,
        401 | 403 if says(BILLING) => FailureClass::Billing,
        401 | 403 => FailureClass::Auth,
        429 if says(BILLING) => FailureClass::Billing,
        429 => FailureClass::RateLimit,
        413 if says(PER_MINUTE) => FailureClass::RateLimit,
        413 => FailureClass::ContextOverflow,
        408 => FailureClass::Transient,
        // some local servers answer 500 to a prompt that does not fit
        400..=599 if says(OVERFLOW) => FailureClass::ContextOverflow,
        529 => FailureClass::Overloaded,
        503 if says(OVERLOADED) => FailureClass::Overloaded,
        500..=599 => FailureClass::Transient,
        404 => FailureClass::ModelNotFound,
        400..=499 if says(BILLING) => FailureClass::Billing,
        400..=499 if says(AUTH) => FailureClass::Auth,
        400..=499 if says(NOT_FOUND) => FailureClass::ModelNotFound,
        _ => FailureClass::Format,
    }
}

/// A failure inside a stream has no status: only its words tell, and what they do not tell may pass by itself.
fn class_of_stream_error(text: &str) -> FailureClass {
    let says = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    if says(OVERFLOW) && !says(PER_MINUTE) {
        FailureClass::ContextOverflow
    } else if says(BILLING) {
        FailureClass::Billing
    } else if says(OVERLOADED) {
        FailureClass::Overloaded
    } else if says(RATE_LIMIT) || says(PER_MINUTE) {
        FailureClass::RateLimit
    } else if says(AUTH) {
        FailureClass::Auth
    } else if says(NOT_FOUND) {
        FailureClass::ModelNotFound
    } else if text.contains("invalid request") {
        FailureClass::Format
    } else {
        FailureClass::Transient
    }
}

/// Lower case, spaces for underscores, no quotes: `context_length_exceeded` and its prose look the same.
fn fold(text: &str) -> String {
    let quotes = ['`', '"', '\'', '\\'];
    text.to_lowercase().replace('_', " ").replace(quotes, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, body: &str) -> ModelError {
        ModelError::Status { status, body: body.into(), retry_after: None }
    }

    fn in_stream(kind: &str, message: &str) -> ModelError {
        ModelError::InStream { kind: kind.into(), message: message.into() }
    }

    #[test]
    fn statuses_are_sorted_by_number_and_by_what_the_body_says() {
        for (code, body, expected) in [
            (400, r#"{"error":{"message":"messages: bad role"}}"#, FailureClass::Format),
            (400, r#"{"error":{"code":"context_length_exceeded"}}"#, FailureClass::ContextOverflow),
            (400, "This model's maximum context length is 8192 tokens", FailureClass::ContextOverflow),
            (400, "prompt is too long: 210000 tokens > 200000 maximum", FailureClass::ContextOverflow),
            (400, "input exceeds the maximum number of tokens", FailureClass::ContextOverflow),
            (400, "The input token count exceeds 1048576", FailureClass::ContextOverflow),
            (400, "Input is too long for the model", FailureClass::ContextOverflow),
            (500, "ollama error: context length exceeded", FailureClass::ContextOverflow),
            (413, r#"{"error":{"type":"request_too_large"}}"#, FailureClass::ContextOverflow),
            (413, "Request too large, limit on tokens per minute (TPM)", FailureClass::RateLimit),
            (400, "API key not valid. Please pass a valid API key.", FailureClass::Auth),
            (400, "Your credit balance is too low", FailureClass::Billing),
            (401, "no", FailureClass::Auth),
            (403, "no", FailureClass::Auth),
            (403, "insufficient credits", FailureClass::Billing),
            (402, "", FailureClass::Billing),
            (404, "", FailureClass::ModelNotFound),
            (422, "unknown model", FailureClass::ModelNotFound),
            (418, "teapot", FailureClass::Format),
            (408, "", FailureClass::Transient),
            (429, "slow down", FailureClass::RateLimit),
            (429, "you exceeded your current quota", FailureClass::RateLimit),
            (429, "request too large", FailureClass::RateLimit),
            (500, "", FailureClass::Transient),
            (503, "service unavailable", FailureClass::Transient),
            (503, "overloaded_error", FailureClass::Overloaded),
            (529, "", FailureClass::Overloaded),
            (302, "", FailureClass::Format),
        ] {
            assert_eq!(status(code, body).class(), expected, "{code} {body}");
        }
    }

    #[test]
    fn failures_inside_a_stream_are_sorted_by_their_words() {
        for (kind, message, expected) in [
            ("overloaded_error", "Overloaded", FailureClass::Overloaded),
            ("rate_limit_error", "", FailureClass::RateLimit),
            ("", "RESOURCE_EXHAUSTED", FailureClass::RateLimit),
            ("authentication_error", "invalid x-api-key", FailureClass::Auth),
            ("not_found_error", "model: x", FailureClass::ModelNotFound),
            ("invalid_request_error", "tools.0: bad", FailureClass::Format),
            ("context_length_exceeded", "Your input exceeds the context window", FailureClass::ContextOverflow),
            ("402", "Insufficient credits", FailureClass::Billing),
            ("server_error", "try again", FailureClass::Transient),
        ] {
            assert_eq!(in_stream(kind, message).class(), expected, "{kind} {message}");
        }
    }

    #[test]
    fn what_never_reached_the_model_may_pass_or_needs_the_operator() {
        assert_eq!(ModelError::Network("refused".into()).class(), FailureClass::Transient);
        assert_eq!(ModelError::Interrupted.class(), FailureClass::Transient);
        assert_eq!(ModelError::Idle(Duration::from_secs(120)).class(), FailureClass::Transient);
        assert_eq!(ModelError::Malformed("x".into()).class(), FailureClass::Transient);
        assert_eq!(ModelError::Unusable("x".into()).class(), FailureClass::Format);
        assert_eq!(ModelError::MissingKey("x".into()).class(), FailureClass::Auth);
        assert_eq!(ModelError::UnknownModel("x".into()).class(), FailureClass::ModelNotFound);
    }

    #[test]
    fn a_refused_history_is_told_from_other_bad_requests() {
        assert!(status(400, "messages: roles must alternate between \"user\" and \"assistant\"").rejects_history());
        assert!(
            status(400, "`tool_use` ids were found without `tool_result` blocks immediately after").rejects_history()
        );
        assert!(!status(400, "max_tokens too large").rejects_history());
        assert!(!status(500, "roles must alternate").rejects_history());
    }

    #[test]
    fn the_rejection_of_a_model_is_the_contract_text() {
        assert_eq!(
            ModelError::NotAllowed("p/m".into()).to_string(),
            "Model \"p/m\" is not allowed. Use /models to list providers, or /models <provider> to list models."
        );
    }
}
