//! Supervision: child specs, restart decisions, bounded mailboxes, owned tasks.

pub mod task;
