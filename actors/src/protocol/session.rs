//! What clients see of a session: the row of a listing, and the events that tell of its changes.
//!
//! Absent keys are omitted; only `updatedAt` may be `null`. Source: shared types and event payloads of protocol 4.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who reads a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatType {
    Direct,
    Group,
    Channel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowKind {
    Direct,
    Group,
    Global,
    Unknown,
}

/// How a session's latest run stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    Running,
    Done,
    Failed,
    Killed,
    Timeout,
}

/// A thinking level that the session's model offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThinkingOption {
    pub id: String,
    pub label: String,
}

/// Which engine runs the agent, and what decided that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRuntime {
    pub id: String,
    pub source: String,
}

impl Default for AgentRuntime {
    fn default() -> Self {
        Self { id: "auto".into(), source: "implicit".into() }
    }
}

/// What holds for a session that sets nothing itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionDefaults {
    pub model_provider: String,
    pub model: String,
    /// Context window, tokens.
    pub context_tokens: u64,
    pub thinking_levels: Vec<ThinkingOption>,
    /// The ids of `thinking_levels`.
    pub thinking_options: Vec<String>,
    pub thinking_default: String,
}

/// One session in a listing. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRow {
    pub key: String,
    pub kind: RowKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message_preview: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<ChatType>,
    /// `{label?, provider?, surface?, chatType?, from?, to?, accountId?, threadId?}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Value>,
    pub updated_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_sent: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted_last_run: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
    pub thinking_levels: Vec<ThinkingOption>,
    pub thinking_options: Vec<String>,
    pub thinking_default: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_mode: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbose_level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elevated_level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_usage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens that the context takes; only while `total_tokens_fresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    pub total_tokens_fresh: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_cost_usd: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_ms: Option<u64>,
    pub model_provider: String,
    pub model: String,
    pub agent_runtime: AgentRuntime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// `{channel?, to?, accountId?, threadId?}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_context: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_account_id: Option<String>,
    /// Text or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_thread_id: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_session_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child_sessions: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compaction_checkpoint_count: Option<u64>,
    pub has_active_run: bool,
}

/// Row fields that session events do not repeat at their top level.
const NOT_AT_TOP_LEVEL: [&str; 7] = [
    "key",
    "derivedTitle",
    "lastMessagePreview",
    "thinkingLevels",
    "thinkingOptions",
    "thinkingDefault",
    "agentRuntime",
];

impl SessionRow {
    /// The fields that session events carry at their top level beside `session`.
    pub fn top_level(&self) -> Map<String, Value> {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(self) else {
            return Map::new(); // a struct with text keys is always an object
        };
        fields.retain(|key, _| !NOT_AT_TOP_LEVEL.contains(&key.as_str()));
        fields
    }
}

/// What happened to a session, in `sessions.changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsChanged {
    pub session_key: String,
    /// `create send patch new reset delete compact abort steer`; absent when `phase` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `start end error message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    pub ts: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Place of the message in the transcript, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<SessionRow>>,
    /// [`SessionRow::top_level`] of the row.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// One message of a session, in `session.message`. A message that is not stored yet has no `message_id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionMessage {
    pub session_key: String,
    pub message: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<SessionRow>>,
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row() -> Value {
        json!({
            "key": "agent:main:main", "kind": "direct", "displayName": "golden", "chatType": "direct",
            "origin": {"label": "golden", "provider": "webchat"}, "updatedAt": 1, "sessionId": "s",
            "systemSent": true, "abortedLastRun": false, "thinkingLevels": [{"id": "off", "label": "off"}],
            "thinkingOptions": ["off"], "thinkingDefault": "off", "inputTokens": 11, "outputTokens": 6,
            "totalTokens": 11, "totalTokensFresh": true, "estimatedCostUsd": 0.5, "status": "running",
            "startedAt": 1, "modelProvider": "fake", "model": "fake-1",
            "agentRuntime": {"id": "auto", "source": "implicit"}, "contextTokens": 200000,
            "deliveryContext": {"channel": "webchat"}, "lastChannel": "webchat", "hasActiveRun": false
        })
    }

    #[test]
    fn a_row_is_what_was_recorded_with_nothing_added_and_nothing_lost() {
        let parsed: SessionRow = serde_json::from_value(row()).unwrap();
        assert_eq!(serde_json::to_value(&parsed).unwrap(), row());
    }

    #[test]
    fn a_session_without_a_time_says_null() {
        let mut value = row();
        value["updatedAt"] = Value::Null;
        let parsed: SessionRow = serde_json::from_value(value).unwrap();
        assert_eq!(serde_json::to_value(&parsed).unwrap()["updatedAt"], Value::Null);
    }

    #[test]
    fn events_repeat_the_row_without_its_bulk() {
        let parsed: SessionRow = serde_json::from_value(row()).unwrap();
        let event = SessionsChanged {
            session_key: parsed.key.clone(),
            reason: None,
            phase: Some("start".into()),
            run_id: Some("r".into()),
            ts: 7,
            message_id: None,
            message_seq: None,
            fields: parsed.top_level(),
            session: Some(Box::new(parsed)),
        };
        let wire = serde_json::to_value(&event).unwrap();
        assert_eq!(wire["status"], "running");
        assert_eq!(wire["session"]["thinkingDefault"], "off");
        for absent in ["reason", "messageId", "messageSeq", "thinkingLevels", "agentRuntime", "key"] {
            assert!(wire.get(absent).is_none(), "{absent}");
        }
    }
}
