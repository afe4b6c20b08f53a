//! `POST /v1/chat/completions`: one turn of an agent, answered as a whole or as a stream.
//!
//! The caller is authenticated before it gets here. Tools of the client are not supported in this release and refused.
//! Source: HTTP surface of 2026.5.12.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode};
use openclaw_actors::model::message::Usage;
use openclaw_actors::run::directory::Ticket;
use openclaw_actors::run::message::{EndedRun, Outcome};
use openclaw_actors::run::stream::now_ms;
use serde_json::{Value, json};

use super::answer;
use super::completion_request::{self, Wish};
use super::completion_stream;
use super::live_run::LiveRun;
use super::openai_error::Refusal;
use crate::gateway::services::Services;

/// What stands in the place of an answer without text.
pub const NOTHING_SAID: &str = "No response from OpenClaw.";

/// What the authentication found out about the caller.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// It came with the shared secret or holds `operator.admin`.
    pub may_choose_model: bool,
}

/// What all answers to one request have in common.
#[derive(Debug, Clone)]
pub struct Head {
    pub id: String,
    /// Seconds since the epoch.
    pub created: i64,
    /// As it was sent.
    pub model: String,
}

/// Serves one request. `body` is whole and within its limit.
pub async fn create(services: Arc<Services>, caller: Caller, headers: HeaderMap, body: Bytes) -> Response<Body> {
    match serve(services, caller, &headers, &body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn serve(
    services: Arc<Services>,
    caller: Caller,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response<Body>, Refusal> {
    let now = now_ms();
    let wish: Wish = completion_request::read(&services.context, caller.may_choose_model, headers, body, now)?;
    let head = Head { id: wish.turn.run_id.clone(), created: now / 1000, model: wish.model };
    let mut run = LiveRun::new(services, wish.key, wish.turn.run_id.clone());
    if wish.stream {
        run.listen().await?;
        let ticket = run.submit(wish.turn).await?;
        return Ok(completion_stream::response(run, ticket, head, wish.include_usage));
    }
    let ticket: Ticket = run.submit(wish.turn).await?;
    let ended = run.ended(ticket).await?;
    match said(&ended) {
        Some(text) => Ok(answer::json(StatusCode::OK, &completion(&head, text, &ended))),
        None => Err(Refusal::Internal),
    }
}

/// What the agent answered; `None` for a run that failed or was aborted, which the log tells about.
pub fn said(ended: &EndedRun) -> Option<&str> {
    match &ended.outcome {
        Outcome::Completed { text } => Some(text),
        Outcome::Aborted { cause, .. } => {
            tracing::warn!(session = %ended.session_id, cause = cause.as_str(), "the run of an HTTP request was aborted");
            None
        }
        Outcome::Failed { message, .. } => {
            tracing::warn!(session = %ended.session_id, error = %message, "the run of an HTTP request failed");
            None
        }
    }
}

fn completion(head: &Head, text: &str, ended: &EndedRun) -> Value {
    let content = if text.is_empty() { NOTHING_SAID } else { text };
    json!({
        "id": head.id, "object": "chat.completion", "created": head.created, "model": head.model,
        "choices": [{
            "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": "stop",
        }],
        "usage": usage(&ended.facts.usage),
    })
}

/// Tokens of all model calls of the run; what came from a cache was sent too.
pub fn usage(usage: &Usage) -> Value {
    let (prompt, completion) = (usage.prompt_tokens(), usage.output);
    json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion })
}

#[cfg(test)]
mod tests {
    use openclaw_actors::run::message::{AbortCause, RunFacts};

    use super::*;

    fn ended(outcome: Outcome) -> EndedRun {
        let usage = Usage { input: 10, cache_read: 1, output: 6, ..Usage::default() };
        let facts = RunFacts { usage, ..RunFacts::default() };
        EndedRun { outcome, facts, session_id: "s".into(), started_at: 1, ended_at: 2 }
    }

    #[test]
    fn an_answer_is_a_completion_with_its_usage() {
        let head = Head { id: "chatcmpl_1".into(), created: 5, model: "openclaw/default".into() };
        let done = ended(Outcome::Completed { text: "Hello.".into() });
        assert_eq!(
            completion(&head, said(&done).unwrap(), &done),
            json!({"id": "chatcmpl_1", "object": "chat.completion", "created": 5, "model": "openclaw/default",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 6, "total_tokens": 17}})
        );
        let silent = ended(Outcome::Completed { text: String::new() });
        assert_eq!(completion(&head, "", &silent)["choices"][0]["message"]["content"], NOTHING_SAID);
    }

    #[test]
    fn an_aborted_run_is_no_answer() {
        assert_eq!(said(&ended(Outcome::Aborted { cause: AbortCause::Rpc, partial: "Hel".into() })), None);
    }
}
