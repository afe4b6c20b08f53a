//! How a model call can fail, in the classes that decide what happens next.

use std::time::Duration;

/// A failed model call.
#[derive(Debug, Clone, thiserror::Error)]
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
