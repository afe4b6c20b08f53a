//! What is written when cron looks at its jobs, and when a run is over: each in one transaction, so that a crash finds every
//! slot taken with its row, or not taken at all.

use std::collections::HashSet;

use jiff::tz::TimeZone;
use rusqlite::Connection;

use super::job::{Job, RunStatus};
use super::plan::{self, Begin, End, Finished, GRACE_MS, Planned, Rules};
use super::record::RunEntry;
use crate::store::cron::{self, RunRow, RunState};
use crate::store::outbox::OutboxRow;
use crate::store::{StoreError, outbox};

const GONE: &str = "the job was removed before it ran";
const TOO_LATE: &str = "missed: more than a day late";

/// A run that begins now.
#[derive(Debug, Clone)]
pub struct Claim {
    pub run: RunRow,
    pub job: Job,
}

/// What a look at the jobs has found.
#[derive(Debug, Default)]
pub struct Round {
    pub begun: Vec<Claim>,
    /// Runs that began earlier and are not over.
    pub left: Vec<RunRow>,
    /// Slots that did not run and runs that will not; the jobs as they are now.
    pub missed: Vec<(RunEntry, Option<Job>)>,
    /// When something is due next.
    pub next_at: Option<i64>,
    /// As many run as may.
    pub is_full: bool,
}

/// What a look depends on.
pub struct Look<'a> {
    pub now: i64,
    /// Runs at once.
    pub concurrent: usize,
    /// May runs begin that were asked for, and may jobs begin when they are due?
    pub by_hand: bool,
    pub by_itself: bool,
    pub host: &'a TimeZone,
    /// Lines of a job that are kept.
    pub keep: u32,
    /// The session that a run of this job gets.
    pub session_of: &'a dyn Fn(&Job) -> String,
}

impl Look<'_> {
    /// Takes what is due, as far as there is room: what was asked for by hand first, then the longest due.
    pub fn take(&self, db: &Connection) -> Result<Round, StoreError> {
        let mut round = Round::default();
        let (queued, running): (Vec<_>, Vec<_>) =
            cron::open_runs(db)?.into_iter().partition(|run| run.state == RunState::Queued);
        round.left = running;
        for run in queued.into_iter().filter(|_| self.by_hand) {
            self.begin_by_hand(db, run, &mut round)?;
        }
        if self.by_itself {
            self.begin_due(db, &mut round)?;
        }
        round.is_full = round.running() >= self.concurrent;
        round.next_at = cron::next_at(db)?;
        Ok(round)
    }

    fn begin_due(&self, db: &Connection, round: &mut Round) -> Result<(), StoreError> {
        let room = self.concurrent.saturating_sub(round.running());
        // Some of those that are due may turn out to be too late, and take no room.
        for planned in cron::due(db, self.now, u32::try_from(room + 32).unwrap_or(u32::MAX))? {
            if round.running() >= self.concurrent {
                break;
            }
            self.begin(db, planned, round)?;
        }
        Ok(())
    }

    fn begin_by_hand(&self, db: &Connection, run: RunRow, round: &mut Round) -> Result<(), StoreError> {
        let planned = cron::job(db, &run.job_id)?;
        let reason = match &planned {
            None => Some(GONE),
            Some(_) if self.now - run.queued_at > GRACE_MS => Some(TOO_LATE),
            Some(_) => None,
        };
        if let Some(reason) = reason {
            let entry = RunEntry::new(&run.job_id, run.run_id, run.queued_at, RunStatus::Skipped, self.now);
            let entry = RunEntry { error: Some(reason.to_owned()), ..entry };
            cron::end_run(db, &entry)?;
            round.missed.push((entry, planned.map(|planned| planned.job)));
            return Ok(());
        }
        let Some(mut planned) = planned else { return Ok(()) };
        if round.running() >= self.concurrent || !planned.begin_by_hand(self.now) {
            return Ok(());
        }
        let session_key = (self.session_of)(&planned.job);
        if cron::start_run(db, &run.run_id, Some(&session_key), self.now)? {
            cron::put_job(db, &planned)?;
            let run =
                RunRow { state: RunState::Running, started_at: Some(self.now), session_key: Some(session_key), ..run };
            round.begun.push(Claim { run, job: planned.job });
        }
        Ok(())
    }

    fn begin(&self, db: &Connection, mut planned: Planned, round: &mut Round) -> Result<(), StoreError> {
        planned.job.state.running_at_ms = None; // no row says that it runs
        let (slot, missed) = match planned.begin(self.now, self.host) {
            Begin::NotDue => (None, None),
            Begin::Run { slot, missed } => (Some(slot), missed),
            Begin::Missed(missed) => (None, Some(missed)),
        };
        cron::put_job(db, &planned)?;
        if let Some(missed) = missed {
            let entry = RunEntry::of_missed(&planned.job, &missed, self.now);
            add_missed(db, &entry, self.keep)?;
            round.missed.push((entry, Some(planned.job.clone())));
        }
        let Some(slot) = slot else { return Ok(()) };
        let run = RunRow {
            run_id: format!("cron:{}:{slot}", planned.job.id),
            job_id: planned.job.id.clone(),
            slot_at: Some(slot),
            state: RunState::Running,
            queued_at: self.now,
            started_at: Some(self.now),
            session_key: Some((self.session_of)(&planned.job)),
            entry: None,
        };
        if cron::add_run(db, &run)? {
            round.begun.push(Claim { run, job: planned.job });
            return Ok(());
        }
        // Another life of the job had this slot, before its schedule was changed to and fro.
        planned.job.state.running_at_ms = None;
        cron::put_job(db, &planned)
    }
}

impl Round {
    fn running(&self) -> usize {
        self.begun.len() + self.left.len()
    }
}

/// Writes slots down that did not run.
pub fn add_missed(db: &Connection, entry: &RunEntry, keep: u32) -> Result<(), StoreError> {
    let row = RunRow {
        run_id: entry.run_id.clone(),
        job_id: entry.job_id.clone(),
        slot_at: Some(entry.run_at_ms),
        state: RunState::Ended,
        queued_at: entry.ts,
        started_at: None,
        session_key: None,
        entry: Some(entry.clone()),
    };
    cron::add_run(db, &row)?;
    cron::prune(db, &entry.job_id, keep)?;
    Ok(())
}

/// Once after a start of the gateway: what was missed is held back a little, and what was said to run and does not is put right.
pub fn settle(db: &Connection, start: i64, host: &TimeZone) -> Result<(), StoreError> {
    let running: HashSet<String> = cron::open_runs(db)?.into_iter().map(|run| run.job_id).collect();
    let mut jobs = cron::jobs(db)?;
    for planned in &mut jobs {
        if planned.job.state.running_at_ms.is_some() && !running.contains(&planned.job.id) {
            planned.job.state.running_at_ms = None;
            cron::put_job(db, planned)?;
        }
    }
    jobs.sort_by_key(|planned| planned.job.state.next_run_at_ms);
    let before = jobs.clone();
    if plan::settle(&mut jobs, start, host) {
        for (planned, before) in jobs.iter().zip(&before) {
            if planned != before {
                cron::put_job(db, planned)?;
            }
        }
    }
    Ok(())
}

/// A run that is over, as it is to be written down.
pub struct Over {
    pub entry: RunEntry,
    /// Why it failed, in a word of `cron.retry.retryOn`.
    pub reason: Option<&'static str>,
    /// It may pass by itself, and is tried again.
    pub passes: bool,
    /// What is said of its result.
    pub says: Vec<OutboxRow>,
}

/// What was written down.
pub struct Written {
    pub entry: RunEntry,
    /// The job as it is now; gone when it is done for good, or was removed.
    pub job: Option<Job>,
    /// Slots that came while it ran.
    pub missed: Option<RunEntry>,
    /// Everything that is to be said.
    pub says: Vec<OutboxRow>,
}

/// What the end of a run depends on.
pub struct After<'a> {
    pub host: &'a TimeZone,
    pub keep: u32,
    pub rules: &'a dyn Fn(&Job) -> Rules,
    /// What is said of a job that has failed so often.
    pub alert: &'a dyn Fn(&Job, u32) -> Vec<OutboxRow>,
}

impl After<'_> {
    /// Writes the end of a run down, with all that follows. `None`: that was done before.
    pub fn end(&self, db: &Connection, over: Over) -> Result<Option<Written>, StoreError> {
        let is_open = cron::run(db, &over.entry.run_id)?.is_some_and(|run| run.state != RunState::Ended);
        if !is_open {
            return Ok(None);
        }
        let mut written = Written { entry: over.entry.clone(), job: None, missed: None, says: over.says.clone() };
        if let Some(planned) = cron::job(db, &over.entry.job_id)? {
            self.follow(db, planned, &over, &mut written)?;
        }
        cron::end_run(db, &written.entry)?;
        if let Some(missed) = &written.missed {
            add_missed(db, missed, self.keep)?;
        }
        written.says.iter().try_for_each(|row| outbox::add(db, row).map(drop))?;
        cron::prune(db, &written.entry.job_id, self.keep)?;
        Ok(Some(written))
    }

    /// What the end means for the job.
    fn follow(
        &self,
        db: &Connection,
        mut planned: Planned,
        over: &Over,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        let entry = &mut written.entry;
        let end = End {
            status: entry.status,
            error: entry.error.as_deref(),
            passes: over.passes,
            started_at: entry.run_at_ms,
            now: entry.ts,
        };
        let Finished { deleted, missed, alert } = planned.finish(&end, &(self.rules)(&planned.job), self.host);
        let state = &mut planned.job.state;
        state.last_error_reason = over.reason.map(str::to_owned);
        state.last_delivered = entry.delivered;
        state.last_delivery_status = entry.delivery_status;
        state.last_delivery_error.clone_from(&entry.delivery_error);
        planned.job.updated_at_ms = entry.ts;
        entry.next_run_at_ms = planned.job.state.next_run_at_ms;
        written.missed = missed.map(|missed| RunEntry::of_missed(&planned.job, &missed, over.entry.ts));
        written.says.extend(alert.map(|failures| (self.alert)(&planned.job, failures)).unwrap_or_default());
        if deleted {
            cron::delete_job(db, &planned.job.id)?;
        } else {
            cron::put_job(db, &planned)?;
            written.job = Some(planned.job);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "round_tests.rs"]
mod tests;
