//! The latest payload, readable by everybody without asking the actor.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use super::event_loop::EventLoop;

/// How long a payload is good.
pub const TTL: Duration = Duration::from_secs(60);

/// One built payload.
#[derive(Debug, Clone)]
pub struct Report {
    /// JSON.
    pub text: Arc<str>,
    pub event_loop: EventLoop,
    pub built: Instant,
    /// Of the configuration that it describes.
    pub generation: u64,
}

/// Where the latest report lies. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    latest: Arc<ArcSwapOption<Report>>,
}

impl Cache {
    /// The report, if it is not older than a minute and describes this generation of the configuration.
    pub fn fresh(&self, generation: u64) -> Option<Arc<Report>> {
        let latest = self.latest.load_full()?;
        (latest.generation == generation && latest.built.elapsed() < TTL).then_some(latest)
    }

    /// The report, however old.
    pub fn latest(&self) -> Option<Arc<Report>> {
        self.latest.load_full()
    }

    pub(super) fn put(&self, report: Arc<Report>) {
        self.latest.store(Some(report));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn event_loop() -> EventLoop {
        EventLoop {
            degraded: false,
            reasons: Vec::new(),
            interval_ms: 1,
            delay_p99_ms: 0.0,
            delay_max_ms: 0.0,
            utilization: 0.0,
            cpu_core_ratio: 0.0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_is_good_for_a_minute_and_for_its_configuration() {
        let cache = Cache::default();
        assert!(cache.fresh(1).is_none());
        let report = Report { text: "{}".into(), event_loop: event_loop(), built: Instant::now(), generation: 1 };
        cache.put(Arc::new(report));
        assert!(cache.fresh(1).is_some() && cache.fresh(2).is_none());
        tokio::time::advance(TTL).await;
        assert!(cache.fresh(1).is_none() && cache.latest().is_some());
    }
}
