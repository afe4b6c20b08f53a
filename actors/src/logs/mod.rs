//! Logs.
pub mod escape;
mod exact;
pub mod level;
mod patterns;
pub mod redact;
