//! The life of one child, as data: what it does now, how often it failed, what comes next.
//!
//! Nothing here starts, stops or waits. A supervisor tells what happened and does what the state says.

use std::time::Duration;

use tokio::time::Instant;

use super::restart::{self, Exit, Window};
use super::spec::{ChildSpec, Exceeded};

/// How long a killed child may take to disappear before it is left behind.
pub const KILL_LIMIT: Duration = Duration::from_secs(1);
/// How often a supervisor looks whether its children still open their mail; also how long they may take.
pub const CHECK: Duration = Duration::from_secs(60);
/// The failure of a child that did not.
const SILENT: &str = "did not answer its supervisor in time";

/// How often children are asked whether they are there: `CHECK`, unless a test has no time for that.
pub fn check_every() -> Duration {
    #[cfg(feature = "fault-injection")]
    if let Some(ms) = std::env::var("OPENCLAW_TEST_CHECK_MS").ok().and_then(|text| text.parse().ok()) {
        return Duration::from_millis(ms);
    }
    CHECK
}

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Starts then, or when those that have to be there before it are.
    Waiting {
        until: Instant,
    },
    /// Its supervisor is starting it.
    Starting,
    Running {
        since: Instant,
    },
    /// Was asked to stop; is killed then.
    Stopping {
        kill_at: Instant,
        then: Then,
    },
    /// Was killed; is left behind then.
    Killed {
        forget_at: Instant,
        then: Then,
    },
    /// Failed too often; is tried again then.
    GaveUp {
        retry_at: Instant,
    },
    /// An operator stopped it.
    Stopped,
    /// Has ended, and does not start again.
    Finished,
}

/// Why a child is going down, and so what comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    StartAgain,
    /// Until an operator starts it.
    Stay,
    /// It is of those that never start again.
    Finish,
    /// It did not answer: a failure like any other.
    Fail,
}

/// What an end leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays down.
    Over,
    /// It was made to go down, and starts again.
    Cycled,
    /// It failed, and starts again.
    Again,
    /// It failed too often.
    GaveUp,
}

/// What a look after a child leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Send it the ping with this number.
    Ping(u32),
    NotRunning,
    /// It has not answered, and must be killed.
    Silent,
}

/// The last failure of a child.
#[derive(Debug, Clone)]
pub struct Failure {
    pub reason: String,
    pub at: Instant,
}

/// One child's life. What only a child in trouble has is kept apart, so that thousands of healthy ones stay small.
#[derive(Debug)]
pub struct Life {
    pub state: State,
    /// Incarnation, from 1.
    pub generation: u64,
    /// Number of the last ping that was sent.
    asked: u32,
    trouble: Option<Box<Trouble>>,
}

#[derive(Debug, Default)]
struct Trouble {
    in_a_row: u32,
    window: Window,
    last: Option<Failure>,
}

impl Life {
    pub fn new(now: Instant) -> Self {
        Self { state: State::Waiting { until: now }, generation: 0, asked: 0, trouble: None }
    }

    /// Is it its time to start?
    pub fn is_due(&self, now: Instant) -> bool {
        match self.state {
            State::Waiting { until } => until <= now,
            State::GaveUp { retry_at } => retry_at <= now,
            _ => false,
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    pub fn is_going_down(&self) -> bool {
        matches!(self.state, State::Stopping { .. } | State::Killed { .. })
    }

    /// The supervisor starts it now.
    pub fn starting(&mut self) {
        self.generation += 1;
        self.state = State::Starting;
    }

    /// It runs. `answered` is the number of the last ping that an earlier incarnation answered.
    pub fn started(&mut self, answered: u32, now: Instant) {
        self.asked = answered;
        self.state = State::Running { since: now };
    }

    /// A start that failed is a failure.
    pub fn start_failed(&mut self, spec: &ChildSpec, reason: &str, now: Instant, jitter: f64) -> Verdict {
        self.failed(spec, Exit::Abnormal, reason, Duration::ZERO, now, jitter)
    }

    /// Asks a running child to go down.
    pub fn stop(&mut self, spec: &ChildSpec, then: Then, now: Instant) {
        self.state = State::Stopping { kill_at: now + spec.shutdown, then };
    }

    /// `true` when it must be killed now because its time to stop is over.
    pub fn is_too_slow(&mut self, now: Instant) -> bool {
        match self.state {
            State::Stopping { kill_at, then } if kill_at <= now => {
                self.state = State::Killed { forget_at: now + KILL_LIMIT, then };
                true
            }
            _ => false,
        }
    }

    /// `true` when not even the kill has ended it: it is left behind.
    pub fn is_lost(&self, now: Instant) -> bool {
        matches!(self.state, State::Killed { forget_at, .. } if forget_at <= now)
    }

    /// Looks whether a running child answered the last ping.
    pub fn check(&mut self, answered: u32, now: Instant) -> Check {
        if !self.is_running() {
            return Check::NotRunning;
        }
        if answered != self.asked {
            self.state = State::Killed { forget_at: now + KILL_LIMIT, then: Then::Fail };
            return Check::Silent;
        }
        self.asked = self.asked.wrapping_add(1);
        Check::Ping(self.asked)
    }

    /// The incarnation that ran has ended.
    pub fn ended(&mut self, spec: &ChildSpec, exit: Exit, reason: &str, now: Instant, jitter: f64) -> Verdict {
        match self.state {
            State::Stopping { then: Then::StartAgain, .. } | State::Killed { then: Then::StartAgain, .. } => {
                self.state = State::Waiting { until: now };
                Verdict::Cycled
            }
            State::Stopping { then: Then::Stay, .. } | State::Killed { then: Then::Stay, .. } => {
                self.state = State::Stopped;
                Verdict::Over
            }
            State::Stopping { then: Then::Finish, .. } | State::Killed { then: Then::Finish, .. } => {
                self.state = State::Finished;
                Verdict::Over
            }
            State::Stopping { .. } | State::Killed { .. } => {
                self.failed(spec, Exit::Abnormal, SILENT, CHECK, now, jitter)
            }
            State::Running { since } => self.failed(spec, exit, reason, now - since, now, jitter),
            _ => Verdict::Over,
        }
    }

    fn failed(
        &mut self,
        spec: &ChildSpec,
        exit: Exit,
        reason: &str,
        lived: Duration,
        now: Instant,
        jitter: f64,
    ) -> Verdict {
        if exit == Exit::Abnormal {
            let trouble = self.trouble.get_or_insert_default();
            trouble.in_a_row = spec.backoff.count(trouble.in_a_row, lived);
            trouble.last = Some(Failure { reason: reason.to_owned(), at: now });
        }
        if !restart::restarts(spec.restart, exit) {
            self.state = State::Finished;
            return Verdict::Over;
        }
        let trouble = self.trouble.get_or_insert_default();
        let tolerated = match spec.exceeded {
            Exceeded::GiveUp { after, .. } => trouble.window.record(after, now),
            Exceeded::Escalate => true, // the supervisor counts
        };
        if let (false, Exceeded::GiveUp { retry, .. }) = (tolerated, spec.exceeded) {
            self.state = State::GaveUp { retry_at: now + retry };
            return Verdict::GaveUp;
        }
        self.state = State::Waiting { until: now + spec.backoff.delay(trouble.in_a_row, jitter) };
        Verdict::Again
    }

    /// Puts a child that is down back to work.
    pub fn revive(&mut self, now: Instant) {
        if !self.is_running() && !self.is_going_down() {
            self.state = State::Waiting { until: now };
        }
    }

    /// When the state has to be looked at again though nothing happens.
    pub fn wake_at(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until: at }
            | State::Stopping { kill_at: at, .. }
            | State::Killed { forget_at: at, .. }
            | State::GaveUp { retry_at: at } => Some(at),
            _ => None,
        }
    }

    pub fn last_failure(&self) -> Option<&Failure> {
        self.trouble.as_ref()?.last.as_ref()
    }

    /// Restarts inside the window of the child's own intensity.
    pub fn restarts(&self, spec: &ChildSpec, now: Instant) -> usize {
        let Some(trouble) = &self.trouble else { return 0 };
        match spec.exceeded {
            Exceeded::GiveUp { after, .. } => trouble.window.count(after.period, now),
            Exceeded::Escalate => 0,
        }
    }
}
