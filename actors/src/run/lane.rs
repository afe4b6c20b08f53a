//! Lanes: how many runs may go at once, first come first served. A permit is freed by dropping it, also by a panic.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// A wait that is longer than this is worth a warning.
const SLOW: Duration = Duration::from_secs(2);
/// Runs that may wait for one lane; beyond it nothing new is accepted.
pub const WAITERS: usize = 200;

/// One lane; cheap to clone.
#[derive(Clone)]
pub struct Lane {
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    permits: Arc<Semaphore>,
    width: Mutex<usize>,
    waiting: AtomicUsize,
}

/// The right to run; dropping it lets the next one in.
#[derive(Debug)]
pub struct Permit {
    /// Always there: the semaphore is never closed.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Lane {
    pub fn new(name: &'static str, width: usize) -> Self {
        let width = width.max(1);
        let permits = Arc::new(Semaphore::new(width));
        Self { inner: Arc::new(Inner { name, permits, width: Mutex::new(width), waiting: AtomicUsize::new(0) }) }
    }

    /// Do so many runs wait that a new message must be refused?
    ///
    /// Asked before a message is accepted, never after: what was accepted runs, however long the line is after a restart.
    pub fn is_full(&self) -> bool {
        self.waiting() >= WAITERS
    }

    /// Waits for a permit.
    pub async fn enter(&self) -> Permit {
        let inner = &self.inner;
        let _waiting = Waiting::count(&inner.waiting);
        let since = Instant::now();
        let permit = Arc::clone(&inner.permits).acquire_owned().await.ok();
        crate::metrics::lane_wait(inner.name, since.elapsed());
        if since.elapsed() > SLOW {
            tracing::warn!(
                "lane wait exceeded: lane={} waitedMs={} queueAhead={}",
                inner.name,
                since.elapsed().as_millis(),
                self.waiting()
            );
        }
        Permit { _permit: permit }
    }

    /// Changes the width; running turns keep their permits, waiting ones see the change at once.
    pub fn resize(&self, width: usize) {
        let width = width.max(1);
        let mut current = self.inner.width.lock().unwrap_or_else(PoisonError::into_inner);
        if width > *current {
            self.inner.permits.add_permits(width - *current);
        } else {
            let surplus = *current - width;
            let taken = self.inner.permits.forget_permits(surplus);
            if taken < surplus {
                // Permits in use cannot be taken back now: the lane narrows by what is free, the rest at the next call.
                *current -= taken;
                return;
            }
        }
        *current = width;
    }

    /// Runs that wait.
    pub fn waiting(&self) -> usize {
        self.inner.waiting.load(Ordering::Relaxed)
    }

    /// Runs that hold a permit.
    pub fn running(&self) -> usize {
        let width = *self.inner.width.lock().unwrap_or_else(PoisonError::into_inner);
        width.saturating_sub(self.inner.permits.available_permits())
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn count(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn a_lane_admits_its_width_and_then_first_come_first_served() {
        let lane = Lane::new("main", 1);
        let first = lane.enter().await;
        let mut second = Box::pin(lane.enter());
        let mut third = Box::pin(lane.enter());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!((lane.running(), lane.waiting()), (1, 2));
        drop(first);
        let second = second.await;
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        drop(third.await);
    }

    #[tokio::test(start_paused = true)]
    async fn widening_lets_waiting_runs_in_at_once_and_narrowing_holds_them_back() {
        let lane = Lane::new("main", 1);
        let _first = lane.enter().await;
        let mut second = Box::pin(lane.enter());
        assert!(second.as_mut().now_or_never().is_none());
        lane.resize(2);
        let second = second.await;
        drop(second);
        lane.resize(1);
        assert!(Box::pin(lane.enter()).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_panicking_holder_frees_its_permit() {
        let lane = Lane::new("main", 1);
        let inside = lane.clone();
        crate::supervision::task::spawn("holder", async move {
            let _permit = inside.enter().await;
            panic!("injected");
        })
        .ended()
        .await;
        assert!(lane.enter().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_lane_says_so_and_still_takes_what_was_accepted() {
        let lane = Lane::new("main", 1);
        let held = lane.enter().await;
        let mut waiting: Vec<_> = (0..=WAITERS).map(|_| Box::pin(lane.enter())).collect();
        for (count, run) in waiting.iter_mut().enumerate() {
            assert_eq!(lane.is_full(), count >= WAITERS);
            assert!(run.as_mut().now_or_never().is_none());
        }
        drop(held);
        for run in waiting {
            drop(run.await);
        }
        assert!(!lane.is_full());
    }
}
