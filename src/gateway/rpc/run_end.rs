//! How a run ended, for everybody who asks: while it goes from its ticket, later from the database.

use std::sync::Arc;

use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::run::directory::Ticket;
use openclaw_actors::run::message::{AbortCause, EndedRun, FailureKind, Outcome, RunFacts};
use openclaw_actors::store::runs::{self, RunRecord, RunState};
use serde::Deserialize;
use serde_json::Value;

use crate::gateway::services::{Services, store_failed};

/// Waits for the end of a run, however long that takes.
pub async fn wait(services: &Services, ticket: Ticket) -> Result<Arc<EndedRun>, ErrorShape> {
    let mut watch = ticket.ended;
    let told = watch.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
    match told {
        Some(ended) => Ok(ended),
        // the ticket was given up: only the database can know
        None => stored(services, &ticket.run_id)
            .await?
            .map(Arc::new)
            .ok_or_else(|| ErrorShape::unavailable(format!("the run {} is not known any more", ticket.run_id))),
    }
}

/// The end that the database knows; `None` for an unknown run and for one that is not over.
pub async fn stored(services: &Services, run_id: &str) -> Result<Option<EndedRun>, ErrorShape> {
    Ok(current(services, run_id).await?.as_ref().and_then(recorded))
}

/// The run with this id or, where that was cut off by a restart, the one that went on in its place.
pub async fn current(services: &Services, run_id: &str) -> Result<Option<RunRecord>, ErrorShape> {
    let id = run_id.to_owned();
    services.context.store.read(move |db| runs::current(db, &id)).await.map_err(store_failed)
}

/// A stored run as everybody was told of it when it ended; what it used is not stored. `None` when it is not over.
pub fn recorded(run: &RunRecord) -> Option<EndedRun> {
    if !run.state.is_terminal() {
        return None;
    }
    let outcome: Value = run.outcome.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let text = |key: &str| outcome.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let outcome = match run.state {
        RunState::Failed => failed(text("error")),
        RunState::Interrupted if outcome.get("stopReason").is_none() => failed("interrupted by a restart".into()),
        RunState::Aborted | RunState::Timeout | RunState::Interrupted => Outcome::Aborted {
            // turns that were taken out of the queue carry no cause of their own
            cause: outcome
                .get("stopReason")
                .and_then(|word| AbortCause::deserialize(word).ok())
                .unwrap_or(AbortCause::Stop),
            partial: text("text"),
        },
        // also what was merged or steered into another run: it has nothing of its own to show
        RunState::Done | RunState::Queued | RunState::Running => Outcome::Completed { text: text("text") },
    };
    Some(EndedRun {
        outcome,
        facts: RunFacts::default(),
        session_id: run.session_id.clone(),
        started_at: run.started_at.unwrap_or(run.accepted_at),
        ended_at: run.ended_at.unwrap_or(run.accepted_at),
    })
}

fn failed(message: String) -> Outcome {
    Outcome::Failed { reply: message.clone(), message, kind: FailureKind::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: RunState, outcome: &str) -> RunRecord {
        RunRecord {
            run_id: "r".into(),
            session_key: "agent:main:main".into(),
            session_id: "s".into(),
            kind: "agent".into(),
            state,
            accepted_at: 1,
            started_at: Some(2),
            ended_at: Some(3),
            request: "{}".into(),
            outcome: Some(outcome.into()),
        }
    }

    #[test]
    fn a_stored_run_ends_as_it_did_when_it_was_told() {
        let aborted = |cause, partial: &str| Outcome::Aborted { cause, partial: partial.into() };
        for (state, outcome, expected) in [
            (RunState::Done, r#"{"text":"hi"}"#, Outcome::Completed { text: "hi".into() }),
            (RunState::Done, r#"{"mergedInto":"x"}"#, Outcome::Completed { text: String::new() }),
            (RunState::Failed, r#"{"error":"no"}"#, failed("no".into())),
            (RunState::Aborted, r#"{"stopReason":"rpc","text":"so far"}"#, aborted(AbortCause::Rpc, "so far")),
            (RunState::Aborted, r#"{"reason":"aborted"}"#, aborted(AbortCause::Stop, "")),
            (RunState::Timeout, r#"{"stopReason":"timeout","text":""}"#, aborted(AbortCause::Timeout, "")),
            (RunState::Interrupted, r#"{"reason":"interrupted"}"#, failed("interrupted by a restart".into())),
            (RunState::Interrupted, r#"{"stopReason":"restart","text":""}"#, aborted(AbortCause::Restart, "")),
        ] {
            let ended = recorded(&record(state, outcome)).unwrap();
            assert_eq!(ended.outcome, expected, "{state:?} {outcome}");
            assert_eq!((ended.started_at, ended.ended_at, ended.session_id.as_str()), (2, 3, "s"));
        }
    }

    #[test]
    fn a_run_that_is_not_over_has_no_end() {
        assert!(recorded(&record(RunState::Queued, "")).is_none());
        assert!(recorded(&record(RunState::Running, "")).is_none());
    }
}
