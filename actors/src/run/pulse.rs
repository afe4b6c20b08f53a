//! When a run made progress last: said something, called a tool, had an answer. Its session looks at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Cheap to clone; clones are the same pulse.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    since: Instant,
    /// Milliseconds after `since`.
    last: AtomicU64,
    /// It waits for a place among the runs of others: that is no standstill of its own.
    in_line: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Inner { since: Instant::now(), last: AtomicU64::new(0), in_line: AtomicBool::new(false) }))
    }
}

impl Pulse {
    /// There is progress.
    pub fn beat(&self) {
        let ms = u64::try_from(self.0.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(ms, Ordering::Relaxed);
    }

    /// Does it wait for others?
    pub fn stand_in_line(&self, waits: bool) {
        self.0.in_line.store(waits, Ordering::Relaxed);
        self.beat();
    }

    /// How long there has been no progress.
    pub fn silent_for(&self) -> Duration {
        if self.0.in_line.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        self.0.since.elapsed().saturating_sub(Duration::from_millis(self.0.last.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_with_progress_and_does_not_count_in_line() {
        let pulse = Pulse::default();
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(pulse.silent_for(), Duration::from_secs(90));
        pulse.beat();
        assert_eq!(pulse.silent_for(), Duration::ZERO);
        pulse.stand_in_line(true);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(pulse.silent_for(), Duration::ZERO);
        pulse.stand_in_line(false);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(pulse.silent_for(), Duration::from_secs(1));
    }
}
