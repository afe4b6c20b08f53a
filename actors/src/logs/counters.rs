//! What the log did and failed to do: every record that is not written somewhere is counted here.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records written to files.
    pub written: u64,
    /// Records refused because a queue was full or its thread gone.
    pub dropped: u64,
    /// Records lost by failed writes.
    pub lost: u64,
    /// Failed file operations: open, write, rename, delete.
    pub failures: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    written: AtomicU64,
    dropped: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
}

impl Counters {
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            written: read(&self.written),
            dropped: read(&self.dropped),
            lost: read(&self.lost),
            failures: read(&self.failures),
        }
    }

    pub fn add_written(&self, records: u64) {
        self.written.fetch_add(records, Ordering::Relaxed);
    }

    pub fn add_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub fn add_lost(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    pub fn add_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}
