//! Logs.
pub mod console;
pub mod escape;
mod exact;
mod fields;
pub mod level;
mod patterns;
pub mod record;
pub mod redact;
