//! What becomes of a job at an instant: what is due, what was missed, what follows from the end of a run. No clock, no store.
//!
//! Invariant: every slot is accounted for once, in order: by a run, or by a record that it was missed. `covered` says how far.
//! Of slots that nobody ran in time only the latest is caught up, and only within its grace; those before it are missed.
//!
//! Source: cron of 2026.5.12, its catch-up, back-off and one-shots. Differs: slots that do not run leave a record.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::job::{Job, RunStatus};
use super::schedule::{ScheduleError, Slots};

/// A slot that is later than this is not caught up any more.
pub const GRACE_MS: i64 = 24 * 60 * 60 * 1000;
/// Pause of a recurring job after so many failures in a row.
const BACKOFF_MS: [i64; 5] = [30_000, 60_000, 300_000, 900_000, 3_600_000];
/// A job that has ended does not begin again within this.
const REFIRE_MS: i64 = 2_000;
/// Failures in a row to compute the next time, after which the job is disabled.
const SCHEDULE_ERRORS_MAX: u32 = 3;
/// After a start, jobs that were missed wait until the gateway is settled; the first few begin then, the others one by one.
const SETTLE_MS: i64 = 120_000;
const AT_ONCE: usize = 5;
const APART_MS: i64 = 5_000;

/// A job and how far it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub job: Job,
    pub standing: Standing,
}

/// What clients do not see of how a job stands. Milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Standing {
    /// Every slot up to and including this has a run or a record.
    pub covered: i64,
    /// Nothing begins before.
    pub not_before: i64,
    /// A one-shot that failed is tried again then, as a slot of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<i64>,
}

/// Slots in a row that did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub first: i64,
    pub last: i64,
    /// Counted up to [`schedule::COUNT_MAX`](super::schedule::COUNT_MAX) by the calendar.
    pub count: u64,
    pub why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A later one was due before anybody could run it.
    Superseded,
    /// It is too late.
    TooLate,
    /// The run before it had not ended.
    Overrun,
}

impl Why {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "missed: a later run was due already",
            Self::TooLate => "missed: more than a day late",
            Self::Overrun => "missed: the run before had not ended",
        }
    }
}

/// What a job does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    NotDue,
    /// It runs for this slot.
    Run {
        slot: i64,
        missed: Option<Missed>,
    },
    Missed(Missed),
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct End<'a> {
    pub status: RunStatus,
    pub error: Option<&'a str>,
    /// It may pass by itself.
    pub passes: bool,
    pub started_at: i64,
    pub now: i64,
}

/// What follows from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Pauses before a one-shot that failed is tried again; the last one counts for all that follow.
    pub retry_backoff_ms: Vec<i64>,
    pub retry_max: u32,
    /// When somebody is told that a job keeps failing.
    pub alert: Option<Alert>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    pub after: u32,
    pub cooldown_ms: i64,
    pub include_skipped: bool,
}

/// What follows from the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The job is done for good.
    pub deleted: bool,
    /// Slots that came while it ran.
    pub missed: Option<Missed>,
    /// Somebody is to be told that it has failed so often.
    pub alert: Option<u32>,
}

impl Planned {
    /// A new job: what lies behind it is not its business.
    pub fn new(job: Job, now: i64, host: &TimeZone) -> Result<Self, ScheduleError> {
        let mut planned = Self { job, standing: Standing::default() };
        planned.begin_anew(now, host)?;
        Ok(planned)
    }

    /// The schedule is another, or the job is enabled again: it is counted from now. A one-shot that is due counts.
    pub fn begin_anew(&mut self, now: i64, host: &TimeZone) -> Result<(), ScheduleError> {
        let slots = self.slots(host)?;
        let covered = if self.job.schedule.is_once() { slots.next(i64::MIN).map_or(now, |at| at - 1) } else { now };
        self.standing = Standing { covered, ..Standing::default() };
        self.job.state.schedule_error_count = None;
        self.job.state.next_run_at_ms = self.next(&slots);
        Ok(())
    }

    fn slots(&self, host: &TimeZone) -> Result<Slots, ScheduleError> {
        Slots::of(&self.job.schedule, &self.job.id, host)
    }

    /// When it runs next; `None`: not by itself.
    fn next(&self, slots: &Slots) -> Option<i64> {
        let standing = &self.standing;
        let next = if self.job.enabled { standing.retry_at.or_else(|| slots.next(standing.covered)) } else { None };
        next.map(|slot| slot.max(standing.not_before))
    }

    /// Computes the next time anew.
    pub fn replan(&mut self, host: &TimeZone) {
        match self.slots(host) {
            Ok(slots) => {
                self.job.state.next_run_at_ms = self.next(&slots);
                self.job.state.schedule_error_count = None;
            }
            Err(error) => self.schedule_failed(&error),
        }
    }

    fn schedule_failed(&mut self, error: &ScheduleError) {
        let state = &mut self.job.state;
        let count = state.schedule_error_count.unwrap_or_default() + 1;
        state.schedule_error_count = Some(count);
        state.next_run_at_ms = None;
        state.last_error = Some(error.to_string());
        if count >= SCHEDULE_ERRORS_MAX {
            self.job.enabled = false;
        }
    }

    /// Takes what is due, if anything is. From then on it counts as running.
    pub fn begin(&mut self, now: i64, host: &TimeZone) -> Begin {
        if !self.job.enabled || self.job.state.running_at_ms.is_some() {
            return Begin::NotDue;
        }
        let slots = match self.slots(host) {
            Ok(slots) => slots,
            Err(error) => {
                self.schedule_failed(&error);
                return Begin::NotDue;
            }
        };
        if self.next(&slots).is_none_or(|next| next > now) {
            return Begin::NotDue;
        }
        let taken = match self.standing.retry_at.take() {
            Some(slot) if now - slot <= GRACE_MS => Begin::Run { slot, missed: None },
            Some(slot) => Begin::Missed(Missed { first: slot, last: slot, count: 1, why: Why::TooLate }),
            None => self.take(&slots, now),
        };
        match &taken {
            Begin::Run { .. } => self.job.state.running_at_ms = Some(now),
            Begin::Missed(_) if self.job.schedule.is_once() => self.job.enabled = false,
            Begin::Missed(_) | Begin::NotDue => {}
        }
        self.job.state.next_run_at_ms = self.next(&slots);
        taken
    }

    fn take(&mut self, slots: &Slots, now: i64) -> Begin {
        let before = self.standing.covered;
        let Some(slot) = slots.latest(before, now) else { return Begin::NotDue };
        self.standing.covered = slot;
        if now - slot > GRACE_MS {
            return missed(slots, before, slot, Why::TooLate).map_or(Begin::NotDue, Begin::Missed);
        }
        Begin::Run { slot, missed: missed(slots, before, slot - 1, Why::Superseded) }
    }

    /// A run by hand: no slot is taken. `false`: it is running already.
    pub fn begin_by_hand(&mut self, now: i64) -> bool {
        if self.job.state.running_at_ms.is_some() {
            return false;
        }
        self.job.state.running_at_ms = Some(now);
        true
    }

    /// What follows from the end of a run.
    pub fn finish(&mut self, end: &End<'_>, rules: &Rules, host: &TimeZone) -> Finished {
        self.note(end);
        let alert = self.alert(end, rules);
        if self.job.schedule.is_once() {
            self.finish_once(end, rules, host);
            let deleted = end.status == RunStatus::Ok && self.job.delete_after_run != Some(false);
            self.replan(host);
            return Finished { deleted, missed: None, alert };
        }
        let pause = match (end.status, self.job.state.consecutive_errors.unwrap_or_default()) {
            (RunStatus::Error, failures) if failures > 0 => {
                let step = usize::try_from(failures - 1).unwrap_or(usize::MAX);
                BACKOFF_MS[step.min(BACKOFF_MS.len() - 1)]
            }
            _ => REFIRE_MS,
        };
        self.standing.not_before = end.now + pause;
        let missed = self.slots(host).ok().and_then(|slots| {
            if slots.latest(self.standing.covered, end.started_at).is_some() {
                return None; // a run by hand came first; what was due before it is still to be run
            }
            let missed = missed(&slots, self.standing.covered, end.now, Why::Overrun)?;
            self.standing.covered = missed.last;
            Some(missed)
        });
        self.replan(host);
        Finished { deleted: false, missed, alert }
    }

    fn note(&mut self, end: &End<'_>) {
        let state = &mut self.job.state;
        state.running_at_ms = None;
        state.last_run_at_ms = Some(end.started_at);
        state.last_run_status = Some(end.status);
        state.last_status = Some(end.status);
        state.last_duration_ms = Some((end.now - end.started_at).max(0));
        state.last_error = end.error.map(str::to_owned);
        let (errors, skipped) = (state.consecutive_errors.unwrap_or(0), state.consecutive_skipped.unwrap_or(0));
        (state.consecutive_errors, state.consecutive_skipped) = match end.status {
            RunStatus::Ok => (Some(0), Some(0)),
            RunStatus::Error => (Some(errors.saturating_add(1)), Some(0)),
            RunStatus::Skipped => (Some(errors), Some(skipped.saturating_add(1))),
        };
    }

    /// A one-shot has one chance, and a few more if what went wrong may pass.
    fn finish_once(&mut self, end: &End<'_>, rules: &Rules, host: &TimeZone) {
        let is_ahead = self.slots(host).is_ok_and(|slots| slots.next(self.standing.covered).is_some());
        if is_ahead && end.status != RunStatus::Ok {
            return; // a run by hand that failed does not take its chance
        }
        let failures = self.job.state.consecutive_errors.unwrap_or_default();
        if end.status == RunStatus::Error && end.passes && self.job.enabled && failures <= rules.retry_max {
            let step = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
            let pause = rules.retry_backoff_ms.get(step).or(rules.retry_backoff_ms.last());
            self.standing.retry_at = Some(end.now + pause.copied().unwrap_or(BACKOFF_MS[0]));
            return;
        }
        self.standing.retry_at = None;
        self.job.enabled = false;
    }

    fn alert(&mut self, end: &End<'_>, rules: &Rules) -> Option<u32> {
        let alert = rules.alert?;
        let state = &mut self.job.state;
        let failures = match end.status {
            RunStatus::Error => state.consecutive_errors,
            RunStatus::Skipped if alert.include_skipped => state.consecutive_skipped,
            RunStatus::Skipped | RunStatus::Ok => return None,
        }
        .filter(|failures| *failures >= alert.after)?;
        if state.last_failure_alert_at_ms.is_some_and(|last| end.now - last < alert.cooldown_ms) {
            return None;
        }
        state.last_failure_alert_at_ms = Some(end.now);
        Some(failures)
    }
}

/// Slots after `after`, up to and including `until`.
fn missed(slots: &Slots, after: i64, until: i64, why: Why) -> Option<Missed> {
    let first = slots.next(after).filter(|first| *first <= until)?;
    let last = slots.latest(after, until)?;
    Some(Missed { first, last, count: slots.count(after, until), why })
}

/// After a start: jobs that should have run before it are held back a little. `jobs` is in the order of their due times.
/// Returns whether anything was changed.
pub fn settle(jobs: &mut [Planned], start: i64, host: &TimeZone) -> bool {
    let late = jobs.iter_mut().filter(|planned| planned.job.state.next_run_at_ms.is_some_and(|next| next < start));
    let mut changed = false;
    for (place, planned) in late.enumerate() {
        let place = i64::try_from(place.saturating_sub(AT_ONCE - 1)).unwrap_or(i64::MAX / APART_MS);
        planned.standing.not_before = planned.standing.not_before.max(start + SETTLE_MS + place * APART_MS);
        planned.replan(host);
        changed = true;
    }
    changed
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
