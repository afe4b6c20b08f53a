//! What happens after a failed model call: wait and repeat, take the next candidate, compact, or give up.
//!
//! Decisions only: the run counts attempts, sleeps and switches. Profiles and their cooldowns are not here.
//! Source: timers and failover table of 2026.5.12.

use std::time::Duration;

use super::error::{FailureClass, ModelError};

/// Waits before the repeats of one candidate.
pub const RETRY_DELAYS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// A server that asks for more than this is not waited for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Wait before the one repeat of a whole run that ended with a server error.
pub const RUN_RETRY_DELAY: Duration = Duration::from_millis(2_500);

/// Longest text of one candidate in the combined error, bytes.
const ERROR_BYTES_MAX: usize = 300;

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask the same candidate again after this wait.
    RetryAfter(Duration),
    NextCandidate,
    /// Shorten the conversation, then ask the same candidate again; the run counts (3 per run).
    Compact,
    GiveUp,
}

/// Decides what follows a failure. `retries` counts those already made of this candidate, `candidates_left` those
/// after it; `retry_after` is the server's wish.
///
/// A limit or an overload is answered by another model at once if there is one: waiting would help only this one.
pub fn next_step(class: FailureClass, retry_after: Option<Duration>, retries: usize, candidates_left: usize) -> Step {
    let elsewhere = if candidates_left > 0 { Step::NextCandidate } else { Step::GiveUp };
    match class {
        FailureClass::ContextOverflow => Step::Compact,
        FailureClass::Auth | FailureClass::Billing | FailureClass::ModelNotFound | FailureClass::Format => elsewhere,
        FailureClass::RateLimit | FailureClass::Overloaded if candidates_left > 0 => elsewhere,
        FailureClass::RateLimit | FailureClass::Overloaded | FailureClass::Transient => {
            retry_delay(retry_after, retries).map_or(elsewhere, Step::RetryAfter)
        }
    }
}

/// `None` when the repeats are used up, or when the server asks for more patience than we have.
fn retry_delay(retry_after: Option<Duration>, retries: usize) -> Option<Duration> {
    let delay = *RETRY_DELAYS.get(retries)?;
    match retry_after {
        Some(wish) if wish > RETRY_AFTER_MAX => None,
        Some(wish) => Some(delay.max(wish)),
        None => Some(delay),
    }
}

/// Is a run that failed with this, after all its candidates, worth one more go from the start? Server errors only.
pub fn run_retry(error: &ModelError) -> Option<Duration> {
    matches!(error, ModelError::Status { status: 500..=599, .. }).then_some(RUN_RETRY_DELAY)
}

/// A candidate that was tried, and its last error.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateFailure {
    /// `provider/model`
    pub model: String,
    pub error: ModelError,
}

/// The one error of a run whose candidates have all failed, for logs and RPC answers. A contract text.
pub fn all_models_failed(failures: &[CandidateFailure]) -> String {
    let each: Vec<String> = failures
        .iter()
        .map(|failure| format!("{}: {} ({})", failure.model, short(&failure.error), failure.error.class().reason()))
        .collect();
    format!("All models failed ({}): {}", failures.len(), each.join(" | "))
}

/// On one line and not longer than a line: servers answer with whole pages.
fn short(error: &ModelError) -> String {
    let text = error.to_string();
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.len() > ERROR_BYTES_MAX {
        words.truncate(words.floor_char_boundary(ERROR_BYTES_MAX));
        words.push('…');
    }
    words
}

/// Why a turn has no answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FailedTurn<'a> {
    /// Every candidate failed; in the order they were tried.
    Models(&'a [CandidateFailure]),
    /// The model answered with nothing. `tools_ran`: something may have been changed already.
    EmptyAnswer {
        tools_ran: bool,
    },
    /// The gateway is draining.
    Restarting,
    /// The aborted run before this one has not let go yet.
    StillStopping,
    Other,
}

pub const RATE_LIMITED: &str = "⚠️ API rate limit reached. Please try again later.";
pub const ALL_RATE_LIMITED: &str = "⚠️ All models are temporarily rate-limited. Please try again in a few minutes.";
pub const AT_CAPACITY: &str = "⚠️ Selected model is at capacity. Try a different model, or wait and retry.";
pub const NO_KEY: &str =
    "⚠️ Missing API key for the selected provider on the gateway. Configure provider auth, then try again.";
pub const OVERFLOW: &str =
    "⚠️ Context overflow — this conversation is too large for the model. Use /new to start a fresh session.";
pub const EMPTY: &str = "⚠️ Agent couldn't generate a response. Please try again.";
pub const EMPTY_AFTER_TOOLS: &str = "⚠️ Agent couldn't generate a response. Note: some tool actions may have already been executed — please verify before retrying.";
pub const OUT_OF_SYNC: &str =
    "⚠️ Session history got out of sync. Please try again, or use /new to start a fresh session.";
pub const RESTARTING: &str = "⚠️ Gateway is restarting. Please wait a few seconds and try again.";
pub const STILL_STOPPING: &str = "⚠️ Previous run is still shutting down. Please try again in a moment.";
pub const OTHER: &str =
    "⚠️ Something went wrong while processing your request. Please try again, or use /new to start a fresh session.";

/// What the person in the chat reads about a failed turn. Contract texts.
pub fn chat_text(failed: &FailedTurn<'_>) -> &'static str {
    match failed {
        FailedTurn::Models(failures) => text_of_failures(failures),
        FailedTurn::EmptyAnswer { tools_ran: true } => EMPTY_AFTER_TOOLS,
        FailedTurn::EmptyAnswer { tools_ran: false } => EMPTY,
        FailedTurn::Restarting => RESTARTING,
        FailedTurn::StillStopping => STILL_STOPPING,
        FailedTurn::Other => OTHER,
    }
}

/// The last failure speaks for the turn; a rate limit that met several candidates has its own text.
fn text_of_failures(failures: &[CandidateFailure]) -> &'static str {
    let Some(last) = failures.last() else { return OTHER };
    if last.error.rejects_history() {
        return OUT_OF_SYNC;
    }
    let all_limited = failures.len() > 1 && failures.iter().all(|f| f.error.class() == FailureClass::RateLimit);
    match last.error.class() {
        FailureClass::RateLimit if all_limited => ALL_RATE_LIMITED,
        FailureClass::RateLimit => RATE_LIMITED,
        FailureClass::Overloaded => AT_CAPACITY,
        FailureClass::Auth => NO_KEY,
        FailureClass::ContextOverflow => OVERFLOW,
        FailureClass::Transient | FailureClass::Billing | FailureClass::ModelNotFound | FailureClass::Format => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn each_class_has_its_own_way_on() {
        use FailureClass::*;
        for (class, retry_after, retries, left, expected) in [
            (Transient, None, 0, 1, Step::RetryAfter(secs(2))),
            (Transient, None, 1, 1, Step::RetryAfter(secs(4))),
            (Transient, None, 2, 1, Step::RetryAfter(secs(8))),
            (Transient, None, 3, 1, Step::NextCandidate),
            (Transient, None, 3, 0, Step::GiveUp),
            (Transient, Some(secs(30)), 0, 1, Step::RetryAfter(secs(30))),
            (Transient, Some(secs(1)), 2, 1, Step::RetryAfter(secs(8))),
            (Transient, Some(secs(61)), 0, 1, Step::NextCandidate),
            (RateLimit, None, 0, 1, Step::NextCandidate),
            (RateLimit, Some(secs(5)), 0, 0, Step::RetryAfter(secs(5))),
            (RateLimit, Some(secs(60)), 0, 0, Step::RetryAfter(secs(60))),
            (RateLimit, Some(secs(600)), 0, 0, Step::GiveUp),
            (RateLimit, None, 3, 0, Step::GiveUp),
            (Overloaded, None, 0, 2, Step::NextCandidate),
            (Overloaded, None, 0, 0, Step::RetryAfter(secs(2))),
            (Auth, None, 0, 1, Step::NextCandidate),
            (Auth, None, 0, 0, Step::GiveUp),
            (Billing, None, 0, 0, Step::GiveUp),
            (ModelNotFound, None, 0, 1, Step::NextCandidate),
            (Format, None, 0, 1, Step::NextCandidate),
            (Format, None, 0, 0, Step::GiveUp),
            (ContextOverflow, None, 0, 1, Step::Compact),
        ] {
            assert_eq!(
                next_step(class, retry_after, retries, left),
                expected,
                "{class:?} {retry_after:?} {retries} {left}"
            );
        }
    }

    #[test]
    fn only_server_errors_repeat_the_whole_run() {
        let status = |status| ModelError::Status { status, body: String::new(), retry_after: None };
        assert_eq!(run_retry(&status(502)), Some(RUN_RETRY_DELAY));
        assert_eq!(run_retry(&status(429)), None);
        assert_eq!(run_retry(&ModelError::Interrupted), None);
    }

    fn failure(model: &str, status: u16, body: &str) -> CandidateFailure {
        CandidateFailure {
            model: model.into(),
            error: ModelError::Status { status, body: body.into(), retry_after: None },
        }
    }

    #[test]
    fn the_combined_error_names_every_candidate_and_reason() {
        assert_eq!(
            all_models_failed(&[failure("a/x", 429, "slow"), failure("b/y/z", 401, "no")]),
            "All models failed (2): a/x: 429 slow (rate_limit) | b/y/z: 401 no (auth)"
        );
        let page = all_models_failed(&[failure("a/x", 502, &format!("<html>\n {}", "é".repeat(400)))]);
        assert!(page.starts_with("All models failed (1): a/x: 502 <html> é"), "{page}");
        assert!(page.ends_with("é… (timeout)") && page.len() < 350, "{page}");
    }

    #[test]
    fn the_chat_text_follows_the_last_failure() {
        for (failures, expected) in [
            (vec![failure("a/x", 429, "")], RATE_LIMITED),
            (vec![failure("a/x", 429, ""), failure("b/y", 429, "")], ALL_RATE_LIMITED),
            (vec![failure("a/x", 401, ""), failure("b/y", 429, "")], RATE_LIMITED),
            (vec![failure("a/x", 529, "")], AT_CAPACITY),
            (vec![failure("a/x", 401, "")], NO_KEY),
            (vec![failure("a/x", 413, "")], OVERFLOW),
            (vec![failure("a/x", 400, "roles must alternate")], OUT_OF_SYNC),
            (vec![failure("a/x", 500, "")], OTHER),
            (vec![], OTHER),
        ] {
            assert_eq!(chat_text(&FailedTurn::Models(&failures)), expected, "{failures:?}");
        }
        assert_eq!(chat_text(&FailedTurn::EmptyAnswer { tools_ran: true }), EMPTY_AFTER_TOOLS);
        assert_eq!(chat_text(&FailedTurn::Restarting), RESTARTING);
    }
}
