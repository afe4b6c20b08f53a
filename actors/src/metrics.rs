//! What is counted while the gateway works, under the names of the operations specification.
//!
//! Labels come from small fixed sets or from the configuration; never an id, a session key, a path or a text. Without a
//! recorder (tests, commands) counting does nothing.

use std::time::Duration;

use metrics::{counter, histogram};

use crate::config::channel_ids;
use crate::run::message::{AbortCause, Outcome, RunFacts, Turn};
use crate::store::outbox::SendState;
use crate::supervision::view::News;

/// How a run ended, as a label.
fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed { .. } => "completed",
        Outcome::Failed { .. } => "failed",
        Outcome::Aborted { cause: AbortCause::Timeout, .. } => "timeout",
        Outcome::Aborted { cause: AbortCause::Restart, .. } => "interrupted",
        Outcome::Aborted { .. } => "aborted",
    }
}

/// Clients name the channel; only those that there are become labels.
fn channel(turn: &Turn) -> &str {
    match turn.channel.as_deref() {
        None => "none",
        Some(name) if name == "webchat" || channel_ids::is_known(name) => name,
        Some(_) => "other",
    }
}

/// A run is over.
pub fn run_completed(turn: &Turn, outcome: &Outcome, facts: &RunFacts, took: Duration) {
    let labels = [
        ("channel", channel(turn).to_owned()),
        ("model", facts.model.clone()),
        ("provider", facts.provider.clone()),
        ("outcome", outcome_word(outcome).to_owned()),
        ("trigger", if turn.resume.is_some() { "resume" } else { turn.kind.as_str() }.to_owned()),
    ];
    counter!("openclaw_run_completed_total", &labels).increment(1);
    histogram!("openclaw_run_duration_seconds", &labels).record(took);
    let usage = &facts.usage;
    for (kind, count) in [
        ("input", usage.input),
        ("output", usage.output),
        ("cache_read", usage.cache_read),
        ("cache_write", usage.cache_write),
    ] {
        if count > 0 {
            let labels =
                [("model", facts.model.clone()), ("provider", facts.provider.clone()), ("token_type", kind.to_owned())];
            counter!("openclaw_model_tokens_total", &labels).increment(count);
        }
    }
}

/// A call of a model is over; `error` is the class of its failure.
pub fn model_call(provider: &str, model: &str, api: &str, error: Option<&'static str>, took: Duration) {
    let labels = [
        ("provider", provider.to_owned()),
        ("model", model.to_owned()),
        ("api", api.to_owned()),
        ("outcome", if error.is_some() { "error" } else { "completed" }.to_owned()),
        ("error_category", error.unwrap_or("none").to_owned()),
    ];
    counter!("openclaw_model_call_total", &labels).increment(1);
    histogram!("openclaw_model_call_duration_seconds", &labels).record(took);
}

/// A tool has answered. `tool` is the name of a tool that there is, or `unknown`.
pub fn tool_execution(tool: &str, is_error: bool, took: Duration) {
    let labels = [("tool", tool.to_owned()), ("outcome", if is_error { "error" } else { "completed" }.to_owned())];
    counter!("openclaw_tool_execution_total", &labels).increment(1);
    histogram!("openclaw_tool_execution_duration_seconds", &labels).record(took);
}

/// A run that a restart cut off was found; what is done about it.
pub fn session_recovery(resumed: bool) {
    counter!("openclaw_session_recovery_total", "action" => if resumed { "resumed" } else { "given_up" }).increment(1);
}

/// A run makes no progress while others wait behind it.
pub fn session_stuck(action: &'static str) {
    counter!("openclaw_session_stuck_total", "action" => action).increment(1);
}

/// A run of a cron job is over.
pub fn cron_run(outcome: &'static str) {
    counter!("openclaw_cron_runs_total", "outcome" => outcome).increment(1);
}

/// A run of a cron job begins so many milliseconds after it was due.
pub fn cron_lag(late_ms: i64) {
    let late = u64::try_from(late_ms).unwrap_or_default();
    histogram!("openclaw_cron_due_lag_seconds").record(Duration::from_millis(late).as_secs_f64());
}

/// More memory is resident than is right.
pub fn memory_pressure(level: &'static str) {
    counter!("openclaw_memory_pressure_total", "level" => level, "reason" => "rss_threshold").increment(1);
}

/// A step of this task, or of an actor of this kind, held a worker of the runtime up.
pub fn stall(name: &'static str, took: Duration) {
    histogram!("openclaw_runtime_stall_seconds", "actor" => name).record(took);
}

/// Somebody waited for a place in a lane.
pub fn lane_wait(lane: &'static str, waited: Duration) {
    histogram!("openclaw_queue_lane_wait_seconds", "lane" => lane).record(waited);
}

/// A child of a supervisor started again, or failed.
pub fn child(news: &News<'_>) {
    match news.word() {
        "restarted" => counter!("openclaw_actor_restarts_total", "kind" => news.kind).increment(1),
        "failed" | "gave-up" => counter!("openclaw_actor_failures_total", "kind" => news.kind).increment(1),
        _ => {}
    }
}

/// A try to send a message to a chat has ended.
pub fn delivery(channel: &'static str, state: SendState, took: Duration) {
    counter!("openclaw_message_delivery_total", "channel" => channel, "outcome" => state.as_str()).increment(1);
    histogram!("openclaw_message_delivery_duration_seconds", "channel" => channel, "outcome" => state.as_str())
        .record(took.as_secs_f64());
}

/// A message was sent again that may have arrived before.
pub fn delivery_duplicate_risk() {
    counter!("openclaw_delivery_duplicate_risk_total").increment(1);
}

/// An authentication failed; `reason` is the word that clients get.
pub fn auth_failure(reason: &'static str) {
    counter!("openclaw_auth_failures_total", "reason" => reason).increment(1);
}

/// A socket was turned away before anybody knew who it is.
pub fn preauth_rejected(reason: &'static str) {
    counter!("openclaw_preauth_rejected_total", "reason" => reason).increment(1);
}
