//! Lanes: how many runs may go at once, first come first served. A permit is freed by dropping it, also by a panic.
//!
//! `line` decides; this lets those wait who must.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::line::{Line, Place};

/// A wait that is longer than this is worth a warning.
const SLOW: Duration = Duration::from_secs(2);
/// Runs that may wait for one lane; beyond it nothing new is accepted.
pub const WAITERS: usize = 200;

/// One lane; cheap to clone.
#[derive(Clone)]
pub struct Lane {
    name: &'static str,
    queue: Arc<Mutex<Queue>>,
}

struct Queue {
    line: Line,
    /// How those who wait are called.
    calls: HashMap<Place, oneshot::Sender<()>>,
}

/// The right to run, or the place of one who waits for it; dropping it lets the next one in.
#[must_use = "dropping a permit gives it back"]
pub struct Permit {
    lane: Lane,
    place: Place,
}

impl Lane {
    pub fn new(name: &'static str, width: usize) -> Self {
        let queue = Queue { line: Line::new(width), calls: HashMap::new() };
        Self { name, queue: Arc::new(Mutex::new(queue)) }
    }

    /// Do so many runs wait that a new message must be refused?
    ///
    /// Asked before a message is accepted, never after: what was accepted runs, however long the line is after a restart.
    pub fn is_full(&self) -> bool {
        self.waiting() >= WAITERS
    }

    /// Waits for a permit.
    pub async fn enter(&self) -> Permit {
        let since = Instant::now();
        let (permit, called) = self.join();
        let _ = called.await; // whoever calls says so, and nobody else holds the other end
        crate::metrics::lane_wait(self.name, since.elapsed());
        if since.elapsed() > SLOW {
            tracing::warn!(
                "lane wait exceeded: lane={} waitedMs={} queueAhead={}",
                self.name,
                since.elapsed().as_millis(),
                self.waiting()
            );
        }
        permit
    }

    /// Changes the width. Those who run keep their permits; a wider lane lets in whoever waits at once.
    pub fn resize(&self, width: usize) {
        let mut queue = self.lock();
        queue.line.resize(width);
        queue.call();
    }

    /// Runs that wait.
    pub fn waiting(&self) -> usize {
        self.lock().line.waiting()
    }

    /// Runs that hold a permit.
    pub fn running(&self) -> usize {
        self.lock().line.running()
    }

    fn join(&self) -> (Permit, oneshot::Receiver<()>) {
        let (call, called) = oneshot::channel();
        let mut queue = self.lock();
        let place = queue.line.join();
        queue.calls.insert(place, call);
        queue.call();
        (Permit { lane: self.clone(), place }, called)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn call(&mut self) {
        while let Some(place) = self.line.call() {
            if let Some(call) = self.calls.remove(&place) {
                let _ = call.send(()); // who has just gone gives the permit back by the drop of it
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut queue = self.lane.lock();
        queue.line.leave(self.place);
        queue.calls.remove(&self.place);
        queue.call();
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
        let first = lane.enter().await;
        let mut second = Box::pin(lane.enter());
        assert!(second.as_mut().now_or_never().is_none());
        lane.resize(2);
        let second = second.await;
        lane.resize(1);
        drop(second);
        let mut third = Box::pin(lane.enter());
        assert!(third.as_mut().now_or_never().is_none(), "two were running, now one is enough");
        drop(first);
        drop(third.await);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_waiting_leaves_the_line() {
        let lane = Lane::new("main", 1);
        let first = lane.enter().await;
        let mut second = Box::pin(lane.enter());
        assert!(second.as_mut().now_or_never().is_none());
        drop(second);
        assert_eq!((lane.running(), lane.waiting()), (1, 0));
        let mut third = Box::pin(lane.enter());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first); // calls the third, which goes before it hears of it
        drop(third);
        assert_eq!((lane.running(), lane.waiting()), (0, 0));
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
