//! What the end of a turn means for the run of a job. No actor, no clock.

use serde_json::Value;

use crate::run::message::{AbortCause, EndedRun, FailureKind, Outcome, RunFacts};
use crate::store::runs::{RunRecord, RunState};

use super::job::RunStatus;

/// Texts that operators search for. Source: cron of 2026.5.12.
pub const TIMED_OUT: &str = "cron: job execution timed out";
pub const INTERRUPTED: &str = "cron: job interrupted by gateway restart";
const STOPPED: &str = "cron: job was stopped";

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Absent: it went well.
    pub error: Option<String>,
    /// Why it failed, in a word of `cron.retry.retryOn`.
    pub reason: Option<&'static str>,
    /// The answer; empty when the agent chose to say nothing.
    pub text: String,
    pub facts: Option<RunFacts>,
    pub session_id: Option<String>,
}

impl Verdict {
    /// It failed, and would again.
    pub fn failed(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }

    /// It failed of something that may pass.
    pub fn for_now(error: impl Into<String>, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..Self::failed(error) }
    }

    pub fn timed_out() -> Self {
        Self::for_now(TIMED_OUT, "timeout")
    }

    pub fn interrupted() -> Self {
        Self::failed(INTERRUPTED)
    }

    pub fn status(&self) -> RunStatus {
        if self.error.is_some() { RunStatus::Error } else { RunStatus::Ok }
    }

    /// Of a turn whose end somebody was told.
    pub fn of_end(end: &EndedRun) -> Self {
        let verdict = match &end.outcome {
            Outcome::Completed { text } => Self { text: text.clone(), ..Self::default() },
            Outcome::Failed { message, kind, .. } => {
                Self { reason: reason(*kind, message), ..Self::failed(message.clone()) }
            }
            Outcome::Aborted { cause: AbortCause::Timeout, .. } => Self::timed_out(),
            Outcome::Aborted { cause: AbortCause::Restart, .. } => Self::interrupted(),
            Outcome::Aborted { .. } => Self::failed(STOPPED),
        };
        let facts = Some(end.facts.clone()).filter(|facts| !facts.model.is_empty());
        Self { facts, session_id: Some(end.session_id.clone()), ..verdict }
    }

    /// Of a turn as it is kept; `None` while it is not over.
    pub fn of_record(run: &RunRecord) -> Option<Self> {
        let outcome: Value =
            run.outcome.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let word = |key: &str| outcome[key].as_str().unwrap_or_default().to_owned();
        let verdict = match run.state {
            RunState::Queued | RunState::Running => return None,
            RunState::Done => Self { text: word("text"), ..Self::default() },
            RunState::Failed => {
                let error = word("error");
                Self { reason: reason(FailureKind::Unknown, &error), ..Self::failed(error) }
            }
            RunState::Timeout => Self::timed_out(),
            RunState::Interrupted => Self::interrupted(),
            RunState::Aborted => Self::failed(STOPPED),
        };
        Some(Self { session_id: Some(run.session_id.clone()).filter(|id| !id.is_empty()), ..verdict })
    }
}

/// Why a turn failed, if that may pass by itself.
fn reason(kind: FailureKind, message: &str) -> Option<&'static str> {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match kind {
        FailureKind::Refusal | FailureKind::ContextLength => None,
        _ if says(&["overloaded", "529"]) => Some("overloaded"),
        FailureKind::RateLimit => Some("rate_limit"),
        _ if says(&["rate limit", "rate_limit", "429", "too many requests"]) => Some("rate_limit"),
        _ if says(&["connection failed", "broke off"]) => Some("network"),
        FailureKind::Timeout => Some("timeout"),
        _ if says(&["timed out", "timeout", "no data from the model"]) => Some("timeout"),
        _ if ["500", "502", "503", "504"]
            .iter()
            .any(|status| message.split_whitespace().any(|word| word == *status)) =>
        {
            Some("server_error")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_pass_by_itself_is_told_from_what_will_not() {
        for (kind, message, expected) in [
            (FailureKind::RateLimit, "429 slow down", Some("rate_limit")),
            (FailureKind::RateLimit, "529 overloaded_error", Some("overloaded")),
            (FailureKind::Timeout, "the model took too long", Some("timeout")),
            (FailureKind::Unknown, "connection failed: refused", Some("network")),
            (FailureKind::Unknown, "503 try later", Some("server_error")),
            (FailureKind::Unknown, "model gpt-500x is unknown", None),
            (FailureKind::Unknown, "401 bad key", None),
            (FailureKind::ContextLength, "timeout of the context", None),
        ] {
            assert_eq!(reason(kind, message), expected, "{message}");
        }
    }

    #[test]
    fn a_kept_turn_says_the_same_as_one_that_was_told() {
        let run = |state, outcome: Value| RunRecord {
            run_id: "r".into(),
            session_key: "k".into(),
            session_id: "s".into(),
            kind: "cron".into(),
            state,
            accepted_at: 1,
            started_at: None,
            ended_at: None,
            request: "{}".into(),
            outcome: Some(outcome.to_string()),
        };
        let end = |outcome| EndedRun {
            outcome,
            facts: RunFacts::default(),
            session_id: "s".into(),
            started_at: 1,
            ended_at: 2,
        };
        let failed = |message: &str| Outcome::Failed {
            message: message.into(),
            reply: "sorry".into(),
            kind: FailureKind::Unknown,
        };
        let aborted = |cause| Outcome::Aborted { cause, partial: "half".into() };
        for (state, outcome, told) in [
            (RunState::Done, json!({ "text": "hi" }), Outcome::Completed { text: "hi".into() }),
            (RunState::Failed, json!({ "error": "401 key" }), failed("401 key")),
            (RunState::Failed, json!({ "error": "503 later" }), failed("503 later")),
            (RunState::Timeout, json!({}), aborted(AbortCause::Timeout)),
            (RunState::Interrupted, json!({}), aborted(AbortCause::Restart)),
            (RunState::Aborted, json!({}), aborted(AbortCause::Rpc)),
        ] {
            assert_eq!(Verdict::of_record(&run(state, outcome)), Some(Verdict::of_end(&end(told))));
        }
        assert_eq!(Verdict::of_record(&run(RunState::Running, json!({}))), None);
    }
}
