//! What was promised to whom, and what became of it, as somebody sees it who looks only at commits and acknowledgements.

use std::collections::{BTreeMap, BTreeSet};

use super::super::resume;
use super::super::step::{Begin, End, Interrupt};
use crate::run::message::{Outcome, Turn};
use crate::store::runs::{RunRecord, RunState};

#[derive(Default)]
pub struct Ledger {
    /// Messages that each run is about.
    about: BTreeMap<String, BTreeSet<String>>,
    acknowledged: BTreeSet<String>,
    answered: BTreeSet<String>,
    /// Stopped by a person, dropped by a rule, or failed, each of which is told; or dead, which is kept.
    closed: BTreeSet<String>,
    /// Nobody knows whether the run that went down has answered them: a second answer is allowed.
    excused: BTreeSet<String>,
    /// Runs that come before others that wait: what goes on with something, and what came too late for its run.
    first: BTreeSet<String>,
}

impl Ledger {
    /// Messages that a run is about; one that nobody spoke of before is its own message.
    fn about(&self, run: &str) -> BTreeSet<String> {
        self.about.get(run).cloned().unwrap_or_else(|| BTreeSet::from([run.to_owned()]))
    }

    pub fn acknowledged(&mut self, run: &str, row: Option<&RunRecord>) {
        assert!(row.is_some() || self.closed.contains(run), "{run} is acknowledged and not on disk");
        self.acknowledged.insert(run.to_owned());
    }

    /// A turn that goes on with another one, or that was another one's message.
    pub fn follows(&mut self, next: &str, run: &str) {
        self.about.insert(next.to_owned(), self.about(run));
        self.first.insert(next.to_owned());
    }

    /// `before`: the open rows of its session before it began.
    pub fn begun(&mut self, begin: &Begin, before: &[RunRecord]) {
        let run = &begin.run.run_id;
        if before.iter().any(|row| row.run_id == *run && row.state == RunState::Running) {
            return; // handed in again
        }
        let is_passed = |row: &&RunRecord| {
            let is_own = begin.merged.contains(&row.run_id);
            let waits = row.state == RunState::Queued && !self.closed.contains(&row.run_id);
            waits && !is_own && !self.first.contains(&row.run_id)
        };
        let passed = before.iter().take_while(|row| row.run_id != *run).find(is_passed);
        assert!(passed.is_none() || self.first.contains(run), "{run} has passed {passed:?}");
        let mut about = self.about(run);
        for merged in &begin.merged {
            about.extend(self.about(merged));
        }
        self.about.insert(run.clone(), about);
    }

    pub fn joined(&mut self, runs: &[String], into: &str) {
        let mut about = self.about(into);
        for run in runs {
            about.extend(self.about(run));
        }
        self.about.insert(into.to_owned(), about);
    }

    pub fn ended(&mut self, end: &End) {
        if let Some(next) = &end.resumed_by {
            return self.follows(next, &end.run_id);
        }
        let about = self.about(&end.run_id);
        match end.outcome {
            Outcome::Completed { .. } => {
                for message in about {
                    let is_first = self.answered.insert(message.clone());
                    assert!(is_first || self.excused.contains(&message), "{message} is answered twice");
                }
            }
            _ => self.close(about),
        }
    }

    pub fn close(&mut self, messages: impl IntoIterator<Item = String>) {
        self.closed.extend(messages);
    }

    /// The runs were stopped or dropped, and so are their messages.
    pub fn close_runs<'a>(&mut self, runs: impl IntoIterator<Item = &'a str>) {
        for run in runs {
            let about = self.about(run);
            self.close(about);
        }
    }

    /// `open`: the rows before.
    pub fn interrupted(&mut self, step: &Interrupt, open: &[RunRecord]) {
        for (run, next) in &step.runs {
            let Some(row) = open.iter().find(|row| row.run_id == *run) else { continue }; // done before
            match next {
                Some(next) => self.follows(&next.run_id, run),
                None => {
                    let turn: Turn = serde_json::from_str(&row.request).unwrap();
                    let attempt = turn.resume.map_or(0, |resume| resume.attempt);
                    assert_eq!(attempt, resume::MAX, "given up too early, or too late");
                    self.close_runs([run.as_str()]);
                }
            }
        }
    }

    /// The run went down with these: they become turns of their own, whether or not it had answered them.
    pub fn excuse<'a>(&mut self, runs: impl IntoIterator<Item = &'a str>) {
        for run in runs {
            let about = self.about(run);
            self.excused.extend(about);
        }
    }

    pub fn is_settled(&self) {
        for message in &self.acknowledged {
            let is_settled = self.answered.contains(message) || self.closed.contains(message);
            assert!(is_settled, "{message} was acknowledged, and nothing became of it");
        }
    }
}
