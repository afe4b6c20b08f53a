//! What a caller is told when its run is over: the final answer of `agent`, and the answer of `agent.wait`.
//!
//! Source: protocol 4, runs; recorded runs of 2026.5.12. Differs: the payloads of an aborted run are only what the
//! agent had said, without a sentence about time-outs after it.

use openclaw_actors::model::message::Usage;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::agent::{
    AgentFinal, AgentMeta, AgentResult, AgentWaitResult, FinalStatus, ReplyPayload, RunMeta, TokenCounts,
};
use openclaw_actors::run::message::{EndedRun, Outcome};

use super::call::Reply;

/// The last answer to whoever waits for a run.
pub fn final_reply(run_id: &str, ended: &EndedRun) -> Result<Reply, ErrorShape> {
    let answer = final_answer(run_id, ended);
    let Outcome::Failed { message, .. } = &ended.outcome else { return Reply::of(&answer) };
    match Reply::of(&answer)? {
        Reply::Value(payload) => Ok(Reply::Failed { payload, error: ErrorShape::unavailable(message.clone()) }),
        other => Ok(other),
    }
}

/// What `agent.wait` answers about a run that is over.
pub fn wait_result(run_id: &str, ended: &EndedRun) -> AgentWaitResult {
    let mut result = AgentWaitResult { ended_at: Some(ended.ended_at), ..still_going(run_id) };
    match &ended.outcome {
        Outcome::Completed { .. } => {
            result.status = FinalStatus::Ok;
            result.started_at = Some(ended.started_at);
        }
        Outcome::Aborted { cause, .. } => result.stop_reason = Some(cause.as_str().to_owned()),
        Outcome::Failed { message, .. } => {
            result.status = FinalStatus::Error;
            result.error = Some(message.clone());
        }
    }
    result
}

/// What `agent.wait` answers about a run that is unknown or not over when the wait is.
pub fn still_going(run_id: &str) -> AgentWaitResult {
    AgentWaitResult {
        run_id: run_id.to_owned(),
        status: FinalStatus::Timeout,
        started_at: None,
        ended_at: None,
        error: None,
        stop_reason: None,
        liveness_state: None,
    }
}

fn final_answer(run_id: &str, ended: &EndedRun) -> AgentFinal {
    let (status, summary, stop_reason) = match &ended.outcome {
        Outcome::Completed { .. } => (FinalStatus::Ok, "completed".to_owned(), None),
        Outcome::Aborted { cause, .. } => (FinalStatus::Timeout, "aborted".to_owned(), Some(cause.as_str().to_owned())),
        Outcome::Failed { message, .. } => (FinalStatus::Error, message.clone(), None),
    };
    AgentFinal { run_id: run_id.to_owned(), status, summary, stop_reason, result: result(ended) }
}

fn result(ended: &EndedRun) -> Option<AgentResult> {
    let (text, aborted) = match &ended.outcome {
        Outcome::Completed { text } => (text, false),
        Outcome::Aborted { partial, .. } => (partial, true),
        Outcome::Failed { .. } => return None,
    };
    let shown = (!text.is_empty()).then(|| text.clone());
    let payload = |text| ReplyPayload { text, media_url: None, media_urls: None };
    Some(AgentResult {
        payloads: shown.clone().map(payload).into_iter().collect(),
        meta: RunMeta {
            duration_ms: u64::try_from(ended.ended_at - ended.started_at).unwrap_or(0),
            agent_meta: agent_meta(ended),
            aborted,
            final_assistant_visible_text: shown,
            stop_reason: (!aborted).then(|| "stop".to_owned()),
            execution_trace: None,
            tool_summary: None,
            system_prompt_report: None,
        },
        delivery_status: None,
    })
}

fn agent_meta(ended: &EndedRun) -> AgentMeta {
    let facts = &ended.facts;
    let asked = facts.last_call.total_tokens > 0; // a command is answered without a model
    AgentMeta {
        session_id: ended.session_id.clone(),
        session_file: None,
        provider: facts.provider.clone(),
        model: facts.model.clone(),
        context_tokens: Some(facts.context_window).filter(|tokens| *tokens > 0),
        usage: TokenCounts {
            cache_read: Some(facts.usage.cache_read).filter(|tokens| *tokens > 0),
            cache_write: Some(facts.usage.cache_write).filter(|tokens| *tokens > 0),
            total: facts.last_call.total_tokens,
            ..counts(&facts.usage)
        },
        last_call_usage: asked.then(|| counts(&facts.last_call)),
        prompt_tokens: asked.then(|| facts.last_call.prompt_tokens()),
    }
}

fn counts(usage: &Usage) -> TokenCounts {
    TokenCounts {
        input: usage.input,
        output: usage.output,
        cache_read: Some(usage.cache_read),
        cache_write: Some(usage.cache_write),
        total: usage.total_tokens,
    }
}

#[cfg(test)]
mod tests {
    use openclaw_actors::run::message::{AbortCause, FailureKind, RunFacts};
    use serde_json::{Value, json};

    use super::*;

    fn ended(outcome: Outcome) -> EndedRun {
        let call = Usage { input: 11, output: 6, total_tokens: 17, ..Usage::default() };
        let facts = RunFacts {
            provider: "fake".into(),
            model: "fake-1".into(),
            context_window: 200_000,
            usage: Usage { input: 22, output: 12, total_tokens: 34, ..Usage::default() },
            last_call: call,
            tools_ran: true,
            seq: 9,
        };
        EndedRun { outcome, facts, session_id: "s".into(), started_at: 1_000, ended_at: 1_894 }
    }

    fn payload(outcome: Outcome) -> Value {
        match final_reply("r", &ended(outcome)).unwrap() {
            Reply::Value(payload) => payload,
            _ => panic!("not a plain answer"),
        }
    }

    #[test]
    fn a_finished_run_is_answered_as_recorded() {
        assert_eq!(
            payload(Outcome::Completed { text: "Hello.".into() }),
            json!({"runId": "r", "status": "ok", "summary": "completed", "result": {
                "payloads": [{"text": "Hello.", "mediaUrl": null}],
                "meta": {"durationMs": 894, "agentMeta": {"sessionId": "s", "provider": "fake", "model": "fake-1",
                    "contextTokens": 200_000, "usage": {"input": 22, "output": 12, "total": 17},
                    "lastCallUsage": {"input": 11, "output": 6, "cacheRead": 0, "cacheWrite": 0, "total": 17},
                    "promptTokens": 11}, "aborted": false, "finalAssistantVisibleText": "Hello.", "stopReason": "stop"}}})
        );
        assert_eq!(payload(Outcome::Completed { text: String::new() })["result"]["payloads"], json!([]));
    }

    #[test]
    fn an_aborted_run_is_a_time_out_with_what_had_been_said() {
        let answer = payload(Outcome::Aborted { cause: AbortCause::Rpc, partial: "Hel".into() });
        assert_eq!(
            (&answer["status"], &answer["summary"], &answer["stopReason"]),
            (&json!("timeout"), &json!("aborted"), &json!("rpc"))
        );
        assert_eq!(answer["result"]["payloads"], json!([{"text": "Hel", "mediaUrl": null}]));
        assert_eq!(answer["result"]["meta"]["aborted"], json!(true));
        assert!(answer["result"]["meta"].get("stopReason").is_none());
    }

    #[test]
    fn a_failed_run_is_an_error_with_a_payload() {
        let outcome = Outcome::Failed { message: "no".into(), reply: "sorry".into(), kind: FailureKind::Unknown };
        let Ok(Reply::Failed { payload, error }) = final_reply("r", &ended(outcome)) else { panic!("not a failure") };
        assert_eq!(payload, json!({"runId": "r", "status": "error", "summary": "no"}));
        assert_eq!(serde_json::to_value(error).unwrap(), json!({"code": "UNAVAILABLE", "message": "no"}));
    }

    #[test]
    fn a_wait_tells_the_end_in_the_recorded_fields() {
        let wait = |outcome| serde_json::to_value(wait_result("r", &ended(outcome))).unwrap();
        assert_eq!(
            wait(Outcome::Completed { text: "x".into() }),
            json!({"runId": "r", "status": "ok", "startedAt": 1_000, "endedAt": 1_894})
        );
        assert_eq!(
            wait(Outcome::Aborted { cause: AbortCause::Rpc, partial: String::new() }),
            json!({"runId": "r", "status": "timeout", "endedAt": 1_894, "stopReason": "rpc"})
        );
        assert_eq!(
            wait(Outcome::Failed { message: "no".into(), reply: String::new(), kind: FailureKind::Unknown }),
            json!({"runId": "r", "status": "error", "endedAt": 1_894, "error": "no"})
        );
        assert_eq!(serde_json::to_value(still_going("r")).unwrap(), json!({"runId": "r", "status": "timeout"}));
    }
}
