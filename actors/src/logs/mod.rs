//! The log: one clean record per event, written to a daily file and the console, read back by `logs.tail`.
//!
//! Not an actor: logging must work before the tree exists and after it is gone. Each sink has a bounded queue and a thread of
//! its own, so neither a full disk nor a stuck terminal holds anybody, and every string is redacted before it is queued.
//!
//! ```text
//! tracing event → layer → record (redacted, escaped) ─┬→ queue → thread "log-file"    → file (JSON lines) → tail, render
//!                                                     └→ queue → thread "log-console" → stderr
//! ```

mod backward;
pub mod console;
mod counters;
pub mod directory;
pub mod escape;
mod exact;
pub mod extra;
mod fields;
mod file;
pub mod filter;
mod layer;
pub mod level;
mod outputs;
pub mod parse;
pub mod path;
mod patterns;
pub mod record;
pub mod redact;
pub mod render;
pub mod retention;
mod setup;
mod sink;
pub mod tail;
pub mod tail_params;
pub mod when;

pub use counters::Counts;
pub use layer::{Clock, LogLayer};
pub use level::{Level, Levels, levels};
pub use patterns::is_sensitive_name;
pub use redact::Redactor;
pub use setup::{ConsoleOptions, FileOptions, LogError, LogGuard, LogHandle, LogOptions, build, init};
