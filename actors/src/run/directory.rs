//! The runs of the last minutes: who waits for which end, and what came out of it.
//!
//! It outlives sessions: when a session restarts, those who wait for its runs keep waiting and are told.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::watch;
use tokio::time::Instant;

use super::message::{EndWatch, EndedRun};

/// How long an ended run is remembered here; the database remembers it longer.
pub const TTL: Duration = Duration::from_secs(300);
/// How long it is remembered even when memory is scarce.
const FRESH: Duration = Duration::from_secs(10);
/// Ended runs that are remembered at most.
pub const CAP: usize = 1000;

/// A run that was accepted.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub run_id: String,
    pub session_key: String,
    /// Milliseconds since the epoch.
    pub accepted_at: i64,
    pub ended: EndWatch,
    /// Device or connection that asked for it; only it, or an admin, may abort it.
    pub owner: Option<Arc<str>>,
}

/// All tickets by run id; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    runs: Arc<DashMap<String, Row>>,
}

#[derive(Debug)]
struct Row {
    ticket: Ticket,
    end: watch::Sender<Option<Arc<EndedRun>>>,
    running_since: Option<Instant>,
    ended_at: Option<Instant>,
}

/// A run that has begun and is not over.
#[derive(Debug, Clone)]
pub struct LiveRun {
    pub run_id: String,
    pub session_key: String,
    pub since: Instant,
}

impl Directory {
    /// Registers a run. `Err` is the ticket of a run that has this id already.
    pub fn register(
        &self,
        run_id: &str,
        session_key: &str,
        accepted_at: i64,
        owner: Option<Arc<str>>,
    ) -> Result<Ticket, Ticket> {
        self.prune();
        match self.runs.entry(run_id.to_owned()) {
            Entry::Occupied(known) => Err(known.get().ticket.clone()),
            Entry::Vacant(free) => {
                let (end, ended) = watch::channel(None);
                let ticket = Ticket {
                    run_id: run_id.to_owned(),
                    session_key: session_key.to_owned(),
                    accepted_at,
                    ended,
                    owner,
                };
                free.insert(Row { ticket: ticket.clone(), end, running_since: None, ended_at: None });
                Ok(ticket)
            }
        }
    }

    pub fn get(&self, run_id: &str) -> Option<Ticket> {
        self.runs.get(run_id).map(|row| row.ticket.clone())
    }

    /// The run has begun.
    pub fn begun(&self, run_id: &str) {
        if let Some(mut row) = self.runs.get_mut(run_id) {
            row.running_since = Some(Instant::now());
        }
    }

    /// Runs that have begun and are not over, in no order.
    pub fn live(&self) -> Vec<LiveRun> {
        let live = |row: &Row| {
            let since = row.running_since.filter(|_| row.ended_at.is_none())?;
            let ticket = &row.ticket;
            Some(LiveRun { run_id: ticket.run_id.clone(), session_key: ticket.session_key.clone(), since })
        };
        self.runs.iter().filter_map(|row| live(row.value())).collect()
    }

    /// Tells everybody who waits. The first end counts; returns whether this was it.
    pub fn end(&self, run_id: &str, ended: EndedRun) -> bool {
        let Some(mut row) = self.runs.get_mut(run_id) else { return false };
        if row.ended_at.is_some() {
            return false;
        }
        row.ended_at = Some(Instant::now());
        row.end.send_replace(Some(Arc::new(ended)));
        true
    }

    /// Takes back a run whose acceptance failed.
    pub fn forget(&self, run_id: &str) {
        self.runs.remove(run_id);
    }

    /// Runs that are not over.
    pub fn open(&self) -> usize {
        self.runs.iter().filter(|row| row.ended_at.is_none()).count()
    }

    /// Lets ended runs go, but for those that somebody may just be asking about. Returns how many.
    pub fn forget_ended(&self) -> usize {
        let (before, now) = (self.runs.len(), Instant::now());
        self.runs.retain(|_, row| row.ended_at.is_none_or(|ended| now.duration_since(ended) < FRESH));
        before.saturating_sub(self.runs.len())
    }

    fn prune(&self) {
        let now = Instant::now();
        if self.runs.len() > CAP {
            self.runs.retain(|_, row| row.ended_at.is_none_or(|ended| now.duration_since(ended) < TTL));
        }
        while self.runs.len() > CAP * 2 {
            let oldest = self.runs.iter().filter(|row| row.ended_at.is_some()).min_by_key(|row| row.ended_at);
            let Some(key) = oldest.map(|row| row.key().clone()) else { return };
            self.runs.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::message::{Outcome, RunFacts};

    fn ended(text: &str) -> EndedRun {
        EndedRun {
            outcome: Outcome::Completed { text: text.into() },
            facts: RunFacts::default(),
            session_id: "s".into(),
            started_at: 1,
            ended_at: 2,
        }
    }

    #[tokio::test]
    async fn a_run_is_registered_once_and_its_first_end_counts() {
        let directory = Directory::default();
        let ticket = directory.register("r", "k", 1, None).unwrap();
        assert!(directory.register("r", "k", 2, None).is_err());
        assert!(directory.end("r", ended("one")));
        assert!(!directory.end("r", ended("two")));
        let mut watch = ticket.ended;
        let end = watch.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        assert_eq!(end.outcome, Outcome::Completed { text: "one".into() });
        assert_eq!(directory.open(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn ended_runs_are_forgotten_oldest_first_and_open_ones_never() {
        let directory = Directory::default();
        let register = |run: &str| drop(directory.register(run, "k", 1, None).unwrap());
        register("open");
        for number in 0..3 * CAP {
            register(&number.to_string());
            directory.end(&number.to_string(), ended("x"));
            tokio::time::advance(Duration::from_micros(1)).await;
        }
        register("last");
        assert!(directory.runs.len() <= 2 * CAP + 1, "{}", directory.runs.len());
        assert!(directory.get("open").is_some());
        assert!(directory.get("0").is_none() && directory.get(&(3 * CAP - 1).to_string()).is_some());
        tokio::time::advance(TTL).await;
        register("much later");
        assert_eq!(directory.runs.len(), 3, "what has ended is no longer remembered");
    }
}
