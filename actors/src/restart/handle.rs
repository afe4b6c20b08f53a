//! The handle: requests go in on one side, the restart that is due comes out on the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::decide::{self, Answer, Cause, Drain, Order, Phase, Request, Timing};

/// Source: operations specification §5; the delay is ours: it lets the answer to the request go out first.
const TIMING: Timing = Timing { delay: Duration::from_millis(100), apart: Duration::from_secs(30) };

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Restarts {
    desk: Arc<watch::Sender<Desk>>,
    timing: Timing,
}

#[derive(Debug, Default)]
struct Desk {
    phase: Phase,
    last: Option<Instant>,
    /// When memory was the cause, here or in an earlier process.
    last_for_memory: Option<Instant>,
}

impl Default for Restarts {
    fn default() -> Self {
        Self { desk: Arc::new(watch::Sender::new(Desk::default())), timing: timing() }
    }
}

impl Restarts {
    /// This process came out of a restart so long ago, and so long ago memory was the cause of one.
    pub fn came_out_of_one(&self, ago: Duration, for_memory: Option<Duration>) {
        let at = |ago| Instant::now().checked_sub(ago);
        self.desk.send_modify(|desk| (desk.last, desk.last_for_memory) = (at(ago), for_memory.and_then(at)));
    }

    /// How long ago a restart was asked for because of memory, also in an earlier process.
    pub fn last_for_memory(&self) -> Option<Duration> {
        self.desk.borrow().last_for_memory.map(|at| at.elapsed())
    }

    /// Orders a restart, or joins the one that is ordered.
    pub fn request(&self, request: Request) -> Answer {
        let now = Instant::now();
        let mut answer = Answer { coalesced: true, delay: Duration::ZERO, spacing: Duration::ZERO };
        self.desk.send_modify(|desk| {
            if request.cause == Cause::Memory {
                desk.last_for_memory = Some(now);
            }
            let phase = std::mem::take(&mut desk.phase);
            (desk.phase, answer) = decide::place(phase, request, desk.last, now, self.timing);
        });
        answer
    }

    /// Waits for the restart that is to begin now.
    pub async fn due(&self) -> Order {
        let mut desk = self.desk.subscribe();
        loop {
            let ordered = match &desk.borrow_and_update().phase {
                Phase::Ordered { order, due } => Some((order.clone(), *due)),
                Phase::Idle | Phase::UnderWay { .. } => None,
            };
            match ordered {
                Some((order, due)) if due <= Instant::now() => return order,
                Some((_, due)) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        _ = desk.changed() => {} // the sender is here, so it cannot close
                    }
                }
                None => {
                    let _ = desk.changed().await; // as above
                }
            }
        }
    }

    /// The gateway goes down for a restart.
    pub fn begin(&self, drain: Drain) {
        self.desk.send_modify(|desk| desk.phase = Phase::UnderWay { hurry: drain == Drain::Skip });
    }

    /// Running turns need not be waited for any longer, if the gateway goes down for a restart.
    pub fn hurry(&self) {
        self.desk.send_modify(|desk| {
            if let Phase::UnderWay { hurry } = &mut desk.phase {
                *hurry = true;
            }
        });
    }

    /// Does the gateway go down for a restart?
    pub fn is_under_way(&self) -> bool {
        matches!(self.desk.borrow().phase, Phase::UnderWay { .. })
    }

    /// What was asked for in this cause is not wanted any more.
    pub fn withdraw(&self, cause: Cause) {
        self.desk.send_modify(|desk| desk.phase = decide::withdraw(std::mem::take(&mut desk.phase), cause));
    }

    /// The restart is not made.
    pub fn abandon(&self) {
        self.desk.send_modify(|desk| desk.phase = Phase::Idle);
    }

    /// Waits until running turns need not be waited for.
    pub async fn hurried(&self) {
        let hurried = |desk: &Desk| desk.phase == Phase::UnderWay { hurry: true };
        let _ = self.desk.subscribe().wait_for(hurried).await; // as above
    }
}

fn timing() -> Timing {
    #[cfg(feature = "fault-injection")]
    if let Some(ms) = std::env::var("OPENCLAW_TEST_RESTART_APART_MS").ok().and_then(|text| text.parse().ok()) {
        return Timing { apart: Duration::from_millis(ms), ..TIMING };
    }
    TIMING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_ordered_comes_out_when_it_is_due_and_once() {
        let restarts = Restarts::default();
        restarts.came_out_of_one(Duration::from_secs(10), None);
        let begun = Instant::now();
        restarts.request(Request { cause: Cause::Operator, reason: "a".into(), drain: Drain::Configured });
        let order = restarts.due().await;
        assert_eq!(order.reason, "a");
        assert!(begun.elapsed() >= Duration::from_secs(20), "{:?}", begun.elapsed());
        restarts.begin(order.drain);
        let again = tokio::time::timeout(Duration::from_secs(100), restarts.due()).await;
        assert!(again.is_err(), "it is under way");
        restarts.request(Request { cause: Cause::Operator, reason: "b".into(), drain: Drain::Skip });
        restarts.hurried().await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_abandoned_can_be_ordered_again() {
        let restarts = Restarts::default();
        let request =
            |reason: &str| Request { cause: Cause::Operator, reason: reason.into(), drain: Drain::Configured };
        restarts.request(request("a"));
        restarts.abandon();
        assert!(!restarts.request(request("b")).coalesced);
        assert_eq!(restarts.due().await.reason, "b");
    }
}
