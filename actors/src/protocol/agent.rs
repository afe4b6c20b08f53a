//! The `agent` method with its two answers, `agent.wait`, and the `agent` event with its streams.
//!
//! `seq` of an event counts from 1 within its run. Source: protocol 4, runs; recorded runs of 2026.5.12.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chat::Attachment;
use super::params::{Params, length};

/// How long `agent.wait` waits unless told otherwise, milliseconds.
pub const WAIT_MS: u64 = 30_000;

/// `agent`. The session is `session_key`, else `session_id`, else `to`, else the agent's main one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub message: String,
    #[serde(default)]
    pub agent_id: Option<String>,
    /// Needs admin, like `model`.
    #[serde(default)]
    pub provider: Option<String>,
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub to: Option<String>,
    #[serde(default)]
    pub reply_to: Option<String>,
    #[serde(default)]
    pub session_id: Option<String>,
    #[serde(default)]
    pub session_key: Option<String>,
    #[serde(default)]
    pub thinking: Option<String>,
    #[serde(default)]
    pub deliver: Option<bool>,
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    #[serde(default)]
    pub channel: Option<String>,
    #[serde(default)]
    pub reply_channel: Option<String>,
    #[serde(default)]
    pub account_id: Option<String>,
    #[serde(default)]
    pub reply_account_id: Option<String>,
    #[serde(default)]
    pub thread_id: Option<String>,
    #[serde(default)]
    pub group_id: Option<String>,
    #[serde(default)]
    pub group_channel: Option<String>,
    #[serde(default)]
    pub group_space: Option<String>,
    /// Deadline of the run, seconds.
    #[serde(default)]
    pub timeout: Option<u64>,
    #[serde(default)]
    pub best_effort_deliver: Option<bool>,
    #[serde(default)]
    pub lane: Option<String>,
    #[serde(default)]
    pub extra_system_prompt: Option<String>,
    #[serde(default)]
    pub prompt_mode: Option<PromptMode>,
    #[serde(default)]
    pub bootstrap_context_mode: Option<String>,
    #[serde(default)]
    pub bootstrap_context_run_kind: Option<String>,
    #[serde(default)]
    pub input_provenance: Option<Value>,
    #[serde(default)]
    pub label: Option<String>,
    /// Becomes the run's id.
    pub idempotency_key: String,
}

impl Params for Agent {
    fn check(&self) -> Result<(), String> {
        length("message", &self.message, 1, usize::MAX)?;
        length("idempotencyKey", &self.idempotency_key, 1, usize::MAX)?;
        self.label.as_deref().map_or(Ok(()), |label| length("label", label, 1, 512))
    }
}

/// How much of the system prompt a run gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptMode {
    #[default]
    Full,
    /// Sub-agent and cron sessions.
    Minimal,
    /// Only who the agent is.
    None,
}

/// The first answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentAccepted {
    pub run_id: String,
    /// `accepted`.
    pub status: String,
    pub accepted_at: i64,
}

impl AgentAccepted {
    pub fn new(run_id: impl Into<String>, accepted_at: i64) -> Self {
        Self { run_id: run_id.into(), status: "accepted".into(), accepted_at }
    }
}

/// The second answer's payload. With `Error` the response is `ok: false` and its error carries the same text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentFinal {
    pub run_id: String,
    pub status: FinalStatus,
    /// `completed`, `aborted`, or what went wrong.
    pub summary: String,
    /// Only when the run was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<AgentResult>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinalStatus {
    Ok,
    Error,
    /// Aborted or timed out; for `agent.wait` also: still running.
    Timeout,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentResult {
    pub payloads: Vec<ReplyPayload>,
    pub meta: RunMeta,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_status: Option<Value>,
}

/// One message of the answer. `media_url` is `null` when there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplyPayload {
    pub text: String,
    pub media_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_urls: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunMeta {
    pub duration_ms: u64,
    pub agent_meta: AgentMeta,
    pub aborted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_assistant_visible_text: Option<String>,
    /// `stop`, `length`, …; absent when the run was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// Which models were tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_trace: Option<Value>,
    /// `{calls, tools, failures}`; absent without tool calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_summary: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt_report: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentMeta {
    pub session_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_file: Option<String>,
    pub provider: String,
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Over all model calls of the run; `total` is the last call's.
    pub usage: TokenCounts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_call_usage: Option<TokenCounts>,
    /// Tokens of the last prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenCounts {
    pub input: u64,
    pub output: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    pub total: u64,
}

/// `agent.wait`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentWait {
    pub run_id: String,
    /// Milliseconds; absent means [`WAIT_MS`].
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

impl Params for AgentWait {
    fn check(&self) -> Result<(), String> {
        length("runId", &self.run_id, 1, usize::MAX)
    }
}

/// An unknown run and one that is still running are both `timeout` without times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentWaitResult {
    pub run_id: String,
    pub status: FinalStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_state: Option<String>,
}

/// The `agent` event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentEvent {
    pub run_id: String,
    #[serde(flatten)]
    pub stream: AgentStream,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
    pub seq: u64,
    pub ts: i64,
}

/// What an `agent` event says: its `stream` and the `data` of that stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stream", content = "data", rename_all = "snake_case")]
pub enum AgentStream {
    Lifecycle(Lifecycle),
    /// `text` is everything since the last tool call, `delta` what is new.
    Assistant {
        text: String,
        delta: String,
    },
    /// Only to clients that may see reasoning.
    Thinking {
        text: String,
        delta: String,
    },
    /// Only to connections with capability `tool-events`.
    Tool(ToolPhase),
    Item(Item),
    Compaction(Compaction),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Lifecycle {
    Start {
        started_at: i64,
    },
    End {
        /// `cancelled` when the run was aborted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aborted: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_reason: Option<String>,
        /// `working` after a normal end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        liveness_state: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_at: Option<i64>,
        ended_at: i64,
    },
    Error {
        error: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        liveness_state: Option<String>,
        ended_at: i64,
    },
    FallbackStep(FallbackStep),
}

/// A model failed and the run went to the next one, or had none left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FallbackStep {
    /// `fallback_step`.
    #[serde(rename = "fallbackStepType")]
    pub kind: String,
    #[serde(rename = "fallbackStepFromModel")]
    pub from_model: String,
    #[serde(rename = "fallbackStepToModel", default, skip_serializing_if = "Option::is_none")]
    pub to_model: Option<String>,
    #[serde(rename = "fallbackStepFromFailureReason")]
    pub failure_reason: String,
    #[serde(rename = "fallbackStepFromFailureDetail", default, skip_serializing_if = "Option::is_none")]
    pub failure_detail: Option<String>,
    /// From 1.
    #[serde(rename = "fallbackStepChainPosition")]
    pub chain_position: u64,
    /// `next_fallback` or `chain_exhausted`.
    #[serde(rename = "fallbackStepFinalOutcome")]
    pub outcome: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ToolPhase {
    Start { name: String, tool_call_id: String, args: Value },
    Update { name: String, tool_call_id: String, partial_result: Value },
    Result { name: String, tool_call_id: String, is_error: bool, result: Value },
}

/// The part of a tool call that every client sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// `tool:<tool call id>`.
    pub item_id: String,
    /// `start` or `end`.
    pub phase: String,
    /// `tool` or `command`.
    pub kind: String,
    pub title: String,
    /// `running completed failed blocked`.
    pub status: String,
    pub name: String,
    pub tool_call_id: String,
    pub started_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Compaction {
    Start {},
    End {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        completed: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        will_retry: Option<bool>,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::params::from_value;
    use super::*;

    #[test]
    fn events_are_the_recorded_ones() {
        let key = "agent:main:golden";
        for (stream, data) in [
            ("lifecycle", json!({"phase": "start", "startedAt": 1})),
            ("lifecycle", json!({"phase": "end", "livenessState": "working", "endedAt": 2})),
            (
                "lifecycle",
                json!({"phase": "end", "status": "cancelled", "aborted": true, "stopReason": "rpc", "startedAt": 1, "endedAt": 2}),
            ),
            ("lifecycle", json!({"phase": "error", "error": "no", "livenessState": "blocked", "endedAt": 2})),
            (
                "lifecycle",
                json!({"phase": "fallback_step", "fallbackStepType": "fallback_step", "fallbackStepFromModel": "a/b",
                       "fallbackStepFromFailureReason": "timeout", "fallbackStepChainPosition": 1,
                       "fallbackStepFinalOutcome": "chain_exhausted"}),
            ),
            ("assistant", json!({"text": "Hello from", "delta": " from"})),
            ("tool", json!({"phase": "start", "name": "read", "toolCallId": "c", "args": {}})),
            (
                "tool",
                json!({"phase": "result", "name": "read", "toolCallId": "c", "isError": false, "result": {"content": []}}),
            ),
            (
                "item",
                json!({"itemId": "tool:c", "phase": "start", "kind": "tool", "title": "read", "status": "running",
                       "name": "read", "toolCallId": "c", "startedAt": 1}),
            ),
            ("compaction", json!({"phase": "start"})),
            ("compaction", json!({"phase": "end", "willRetry": true})),
        ] {
            let recorded = json!({"runId": "r", "stream": stream, "data": data, "sessionKey": key, "seq": 1, "ts": 3});
            let event: AgentEvent = serde_json::from_value(recorded.clone()).unwrap();
            assert_eq!(serde_json::to_value(event).unwrap(), recorded);
        }
    }

    #[test]
    fn a_final_answer_is_the_recorded_one() {
        let recorded = json!({"runId": "run-ok", "status": "ok", "summary": "completed", "result": {
            "payloads": [{"text": "Hello.", "mediaUrl": null}],
            "meta": {"durationMs": 894, "agentMeta": {"sessionId": "s", "provider": "fake", "model": "fake-1",
                "contextTokens": 200000, "usage": {"input": 11, "output": 6, "total": 17},
                "lastCallUsage": {"input": 11, "output": 6, "cacheRead": 0, "cacheWrite": 0, "total": 17},
                "promptTokens": 11}, "aborted": false, "stopReason": "stop"}}});
        let answer: AgentFinal = serde_json::from_value(recorded.clone()).unwrap();
        assert_eq!(serde_json::to_value(answer).unwrap(), recorded);
    }

    #[test]
    fn a_failed_run_carries_no_result() {
        let answer = AgentFinal {
            run_id: "r".into(),
            status: FinalStatus::Error,
            summary: "no".into(),
            stop_reason: None,
            result: None,
        };
        assert_eq!(serde_json::to_value(answer).unwrap(), json!({"runId": "r", "status": "error", "summary": "no"}));
    }

    #[test]
    fn parameters_of_the_command_line_client_are_accepted() {
        let params = json!({"message": "hello", "agentId": "main", "sessionKey": "agent:main:main",
                            "deliver": false, "timeout": 600, "idempotencyKey": "u", "futureKey": 1});
        let agent: Agent = from_value("agent", params).unwrap();
        assert_eq!((agent.timeout, agent.deliver), (Some(600), Some(false)));
        assert_eq!(
            from_value::<Agent>("agent", json!({"message": "m"})).unwrap_err().message,
            "invalid agent params: must have required property 'idempotencyKey'"
        );
    }
}
