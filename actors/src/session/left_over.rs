//! What an earlier life of a session, or of the gateway, left behind, sorted into what becomes of it.
//!
//! Invariant: every row that was accepted and is not over is in exactly one of the lists.

use crate::run::message::Turn;
use crate::session::resume;
use crate::store::runs::{self, RunRecord, RunState};

/// The rows of a session that are not over.
#[derive(Debug, Default)]
pub struct LeftOver {
    /// Runs that were cut off, each with the turn that goes on with it.
    pub cut_off: Vec<(RunRecord, Option<Turn>)>,
    /// Messages that had joined a run which is gone on with, and that run: it answers them as well.
    pub joined: Vec<(String, String)>,
    /// Turns that wait, in order.
    pub waiting: Vec<Turn>,
    /// Turns whose asker went with the last process, and asks again.
    pub unwanted: Vec<String>,
    /// What cannot be read stays in the store.
    pub unreadable: Vec<(String, String)>,
}

/// Sorts `open`, which is in the order of acceptance. `is_awaited`: does anybody in this process wait for the run?
pub fn sort(open: Vec<RunRecord>, is_awaited: impl Fn(&str) -> bool, now: i64) -> LeftOver {
    let mut left = LeftOver::default();
    let (running, queued): (Vec<_>, Vec<_>) = open.into_iter().partition(|run| run.state == RunState::Running);
    let (joined, live): (Vec<_>, Vec<_>) = running.into_iter().partition(|run| runs::joined(run).is_some());
    left.cut_off = live.into_iter().map(|run| with_next(run, now)).collect();
    for run in joined {
        let into = runs::joined(&run)
            .filter(|into| left.cut_off.iter().any(|(other, next)| other.run_id == *into && next.is_some()));
        match into {
            Some(into) => left.joined.push((run.run_id, into)),
            // Nothing goes on with what it had joined: it was accepted, so it has a right of its own.
            None => left.cut_off.push(with_next(run, now)),
        }
    }
    for run in queued {
        match serde_json::from_str::<Turn>(&run.request) {
            Ok(turn) if turn.kind.is_given_up() && !is_awaited(&run.run_id) => left.unwanted.push(run.run_id),
            Ok(turn) => left.waiting.push(turn),
            Err(error) => left.unreadable.push((run.run_id, error.to_string())),
        }
    }
    // What goes on with an interrupted turn comes before what was said after that one.
    left.waiting.sort_by_key(|turn| turn.resume.is_none());
    left
}

/// A run with the turn that goes on where it stopped.
fn with_next(run: RunRecord, now: i64) -> (RunRecord, Option<Turn>) {
    let next = match serde_json::from_str::<Turn>(&run.request) {
        Ok(turn) => {
            let next = resume::after(&turn, now);
            if next.is_none() && !turn.kind.is_given_up() {
                tracing::error!(run = %run.run_id, "a turn was interrupted too often; it is not taken up again");
            }
            next
        }
        Err(error) => {
            tracing::error!(run = %run.run_id, %error, "an interrupted turn cannot be read; it is not taken up again");
            None
        }
    };
    (run, next)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(id: &str, kind: &str, state: RunState) -> RunRecord {
        RunRecord {
            run_id: id.into(),
            session_key: "agent:main:main".into(),
            session_id: "s".into(),
            kind: kind.into(),
            state,
            accepted_at: 1,
            started_at: None,
            ended_at: None,
            request: json!({ "runId": id, "kind": kind, "text": "hi", "acceptedAt": 1 }).to_string(),
            outcome: None,
        }
    }

    fn joined(id: &str, into: &str) -> RunRecord {
        RunRecord { outcome: Some(json!({ "steeredInto": into }).to_string()), ..row(id, "chat", RunState::Running) }
    }

    #[test]
    fn every_row_finds_its_place() {
        let broken = RunRecord { request: "{".into(), ..row("broken", "chat", RunState::Queued) };
        let open = vec![
            row("live", "chat", RunState::Running),
            row("first", "chat", RunState::Queued),
            joined("told", "live"),
            row("page", "http", RunState::Queued),
            row("awaited", "http", RunState::Queued),
            row("job", "cron", RunState::Queued),
            broken,
            row("second", "chat", RunState::Queued),
        ];
        let left = sort(open, |run| run == "awaited", 5);
        assert_eq!(left.cut_off.len(), 1);
        assert_eq!(left.cut_off[0].0.run_id, "live");
        assert_eq!(left.cut_off[0].1.as_ref().unwrap().resume.as_ref().unwrap().of, "live");
        assert_eq!(left.joined, [("told".to_owned(), "live".to_owned())]);
        let waiting: Vec<&str> = left.waiting.iter().map(|turn| turn.run_id.as_str()).collect();
        assert_eq!(waiting, ["first", "awaited", "second"]);
        assert_eq!(left.unwanted, ["page", "job"]);
        assert_eq!(left.unreadable[0].0, "broken");
    }

    #[test]
    fn a_message_that_had_joined_what_nobody_goes_on_with_goes_on_by_itself() {
        let left = sort(vec![row("page", "http", RunState::Running), joined("told", "page")], |_| false, 5);
        assert!(left.joined.is_empty());
        let next: Vec<_> = left.cut_off.iter().map(|(run, next)| (run.run_id.as_str(), next.is_some())).collect();
        assert_eq!(next, [("page", false), ("told", true)]);
    }
}
