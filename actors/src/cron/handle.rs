//! What everybody may ask of cron, and what cron asks of the main session.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::BoxFuture;

use super::actor::CronMsg;
use super::job::WakeMode;
use crate::session::AgentId;
use crate::supervision::Address;

/// Something that a job tells an agent's main session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub agent: AgentId,
    pub text: String,
    /// Told again, it takes the place of what this job told before.
    pub job_id: String,
    /// `Now`: the session looks at it at once. Else with its next heartbeat.
    pub wake_mode: WakeMode,
}

/// The seam to the heartbeat: what takes events into a main session. Without one, jobs with the payload `systemEvent` are
/// refused when they are made.
pub trait MainSession: Send + Sync + 'static {
    /// Keeps the event, and has the session look at it. Resolves when the session has looked at it, when it is kept for the next
    /// heartbeat, or when the session stays busy for too long: the event then stays for its next turn, which is no error. The
    /// error is for people: the event is not kept. Dropped by the caller after ten minutes.
    fn wake(&self, event: Event) -> BoxFuture<'static, Result<(), String>>;
}

/// A handle on cron; cheap to clone.
#[derive(Clone)]
pub struct Cron {
    pub(super) address: Address<CronMsg>,
    main: Option<Arc<dyn MainSession>>,
    settled: Arc<AtomicBool>,
    by_hand: Arc<AtomicU64>,
    /// Jobs do not begin in this process, whatever the configuration says.
    skipped: bool,
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cron").field("skipped", &self.skipped).finish_non_exhaustive()
    }
}

impl Default for Cron {
    fn default() -> Self {
        Self {
            address: Address::new("cron", 8),
            main: None,
            settled: Arc::default(),
            by_hand: Arc::default(),
            skipped: false,
        }
    }
}

impl Cron {
    /// `skipped`: nothing begins by itself, as `OPENCLAW_SKIP_CRON=1` asks.
    pub fn new(main: Option<Arc<dyn MainSession>>, skipped: bool) -> Self {
        Self { main, skipped, ..Self::default() }
    }

    /// Jobs or the configuration have changed: something else may be due.
    pub fn look(&self) {
        let _ = self.address.try_send(CronMsg::Look); // full: it looks anyway; restarting: it looks when it is back
    }

    pub fn is_skipped(&self) -> bool {
        self.skipped
    }

    /// Does the main session take events?
    pub fn takes_events(&self) -> bool {
        self.main.is_some()
    }

    pub fn main_session(&self) -> Option<&Arc<dyn MainSession>> {
        self.main.as_ref()
    }

    /// The id of a run by hand.
    pub fn id_by_hand(&self, job: &str, now: i64) -> String {
        format!("manual:{job}:{now}:{}", self.by_hand.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Have jobs been looked at since the start of the process?
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    pub(super) fn note_settled(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }
}
