//! Parameters and results of `sessions.*`.
//!
//! Results are exactly these keys; stored entries travel as opaque values. Source: method tables of protocol 4.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chat::Attachment;
use super::params::{Params, length, range};
use super::session::{AgentRuntime, SessionDefaults, SessionRow};

/// Longest label, characters.
pub const LABEL_CHARS_MAX: usize = 512;
/// Longest session key, characters.
pub const KEY_CHARS_MAX: usize = 512;

/// `sessions.subscribe`, `sessions.unsubscribe`, and every other method without parameters.
#[derive(Debug, Default, Deserialize)]
pub struct NoParams {}
impl Params for NoParams {}

#[derive(Debug, Serialize)]
pub struct Subscribed {
    pub subscribed: bool,
    /// Only for `sessions.messages.*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// `sessions.list`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionsList {
    /// Rows at most; absent means 100.
    pub limit: Option<u64>,
    /// Only sessions that changed in the last so many minutes.
    pub active_minutes: Option<u64>,
    pub include_global: Option<bool>,
    pub include_unknown: Option<bool>,
    /// Only sessions of agents that the configuration names.
    pub configured_agents_only: Option<bool>,
    pub include_derived_titles: Option<bool>,
    pub include_last_message: Option<bool>,
    pub label: Option<String>,
    pub spawned_by: Option<String>,
    pub agent_id: Option<String>,
    pub search: Option<String>,
}

impl Params for SessionsList {
    fn check(&self) -> Result<(), String> {
        range("limit", self.limit, 1, u64::MAX)?;
        range("activeMinutes", self.active_minutes, 1, u64::MAX)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsListResult {
    pub ts: i64,
    /// Where the sessions are stored; `(multiple)` for several agents.
    pub path: String,
    pub count: usize,
    /// Matches before the limit.
    pub total_count: usize,
    pub limit_applied: u64,
    pub has_more: bool,
    pub defaults: SessionDefaults,
    /// Newest first.
    pub sessions: Vec<SessionRow>,
}

/// `sessions.describe`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsDescribe {
    pub key: String,
    #[serde(default)]
    pub include_derived_titles: Option<bool>,
    #[serde(default)]
    pub include_last_message: Option<bool>,
}

impl Params for SessionsDescribe {
    fn check(&self) -> Result<(), String> {
        length("key", &self.key, 1, KEY_CHARS_MAX)
    }
}

#[derive(Debug, Serialize)]
pub struct SessionsDescribeResult {
    /// `null` for a session that does not exist.
    pub session: Option<SessionRow>,
}

/// `sessions.preview`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsPreview {
    pub keys: Vec<String>,
    /// Messages per session; absent means 12.
    #[serde(default)]
    pub limit: Option<u64>,
    /// Characters per message; absent means 240.
    #[serde(default)]
    pub max_chars: Option<u64>,
}

impl Params for SessionsPreview {
    fn check(&self) -> Result<(), String> {
        if self.keys.is_empty() {
            return Err("at /keys: must NOT have fewer than 1 items".into());
        }
        range("limit", self.limit, 1, u64::MAX)?;
        range("maxChars", self.max_chars, 20, u64::MAX)
    }
}

#[derive(Debug, Serialize)]
pub struct SessionsPreviewResult {
    pub ts: i64,
    pub previews: Vec<Preview>,
}

#[derive(Debug, Serialize)]
pub struct Preview {
    /// As it was asked for.
    pub key: String,
    pub status: PreviewStatus,
    pub items: Vec<PreviewItem>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PreviewStatus {
    Ok,
    Missing,
    Empty,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewItem {
    pub role: String,
    pub text: String,
}

/// `sessions.resolve`: exactly one of `key`, `session_id`, `label`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionsResolve {
    pub key: Option<String>,
    pub session_id: Option<String>,
    pub label: Option<String>,
    pub agent_id: Option<String>,
    pub spawned_by: Option<String>,
    pub include_global: Option<bool>,
    pub include_unknown: Option<bool>,
}

impl Params for SessionsResolve {
    fn check(&self) -> Result<(), String> {
        match [&self.key, &self.session_id, &self.label].iter().filter(|given| given.is_some()).count() {
            1 => Ok(()),
            _ => Err("exactly one of key, sessionId, label is required".into()),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsResolveResult {
    pub ok: bool,
    pub key: String,
    /// The session's agent; the default agent for a session of none. Required since 2026.9.1, ignored by 2026.5.12.
    pub agent_id: String,
}

/// `sessions.get`
#[derive(Debug, Deserialize)]
pub struct SessionsGet {
    pub key: String,
    #[serde(default)]
    pub limit: Option<u64>,
}

impl Params for SessionsGet {
    fn check(&self) -> Result<(), String> {
        length("key", &self.key, 1, KEY_CHARS_MAX)
    }
}

#[derive(Debug, Serialize)]
pub struct SessionsGetResult {
    pub messages: Vec<Value>,
}

/// `sessions.create`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionsCreate {
    /// Absent: `agent:<id>:dashboard:<uuid>`.
    pub key: Option<String>,
    pub agent_id: Option<String>,
    pub label: Option<String>,
    pub model: Option<String>,
    pub parent_session_key: Option<String>,
    pub emit_command_hooks: Option<bool>,
    /// First user message; `message` is the same.
    pub task: Option<String>,
    pub message: Option<String>,
}

impl Params for SessionsCreate {
    fn check(&self) -> Result<(), String> {
        self.key.as_deref().map_or(Ok(()), |key| length("key", key, 1, KEY_CHARS_MAX))?;
        self.label.as_deref().map_or(Ok(()), |label| length("label", label, 1, LABEL_CHARS_MAX))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsCreateResult {
    pub ok: bool,
    pub key: String,
    pub session_id: String,
    pub entry: Value,
    pub run_started: bool,
}

/// `sessions.send` and `sessions.steer`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsSend {
    pub key: String,
    pub message: String,
    #[serde(default)]
    pub thinking: Option<String>,
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// Deadline of the run, milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

impl Params for SessionsSend {
    fn check(&self) -> Result<(), String> {
        length("key", &self.key, 1, KEY_CHARS_MAX)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsSendResult {
    pub run_id: String,
    /// `started`.
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_seq: Option<u64>,
    /// Only for `sessions.steer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted_active_run: Option<bool>,
}

/// `sessions.abort`: a key, a run, or both.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionsAbort {
    pub key: Option<String>,
    pub run_id: Option<String>,
}

impl Params for SessionsAbort {
    fn check(&self) -> Result<(), String> {
        if self.key.is_none() && self.run_id.is_none() { Err("key or runId is required".into()) } else { Ok(()) }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsAbortResult {
    pub ok: bool,
    /// `null` when nothing ran.
    pub aborted_run_id: Option<String>,
    pub status: AbortStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbortStatus {
    Aborted,
    NoActiveRun,
}

/// `sessions.patch`: `key` and any preferences; `null` clears one. The session's entry judges the preferences.
#[derive(Debug, Deserialize)]
pub struct SessionsPatch {
    pub key: String,
    #[serde(flatten)]
    pub changes: Map<String, Value>,
}

impl Params for SessionsPatch {
    fn check(&self) -> Result<(), String> {
        length("key", &self.key, 1, KEY_CHARS_MAX)
    }
}

#[derive(Debug, Serialize)]
pub struct SessionsPatchResult {
    pub ok: bool,
    /// Where the sessions are stored.
    pub path: String,
    pub key: String,
    pub entry: Value,
    pub resolved: ResolvedModel,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedModel {
    pub model_provider: String,
    pub model: String,
    pub agent_runtime: AgentRuntime,
}

/// `sessions.reset`
#[derive(Debug, Deserialize)]
pub struct SessionsReset {
    pub key: String,
    /// Absent means `reset`.
    #[serde(default)]
    pub reason: Option<ResetReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResetReason {
    New,
    Reset,
}

impl Params for SessionsReset {
    fn check(&self) -> Result<(), String> {
        length("key", &self.key, 1, KEY_CHARS_MAX)
    }
}

#[derive(Debug, Serialize)]
pub struct SessionsResetResult {
    pub ok: bool,
    pub key: String,
    pub entry: Value,
}

/// `sessions.delete`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsDelete {
    pub key: String,
    /// Absent means true.
    #[serde(default)]
    pub delete_transcript: Option<bool>,
    #[serde(default)]
    pub emit_lifecycle_hooks: Option<bool>,
}

impl Params for SessionsDelete {
    fn check(&self) -> Result<(), String> {
        length("key", &self.key, 1, KEY_CHARS_MAX)
    }
}

#[derive(Debug, Serialize)]
pub struct SessionsDeleteResult {
    pub ok: bool,
    pub key: String,
    pub deleted: bool,
    /// Paths of the archives that were written.
    pub archived: Vec<String>,
}

/// `sessions.compact`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionsCompact {
    pub key: String,
    /// Keep so many transcript lines instead of asking the model for a summary.
    #[serde(default)]
    pub max_lines: Option<u64>,
}

impl Params for SessionsCompact {
    fn check(&self) -> Result<(), String> {
        length("key", &self.key, 1, KEY_CHARS_MAX)?;
        range("maxLines", self.max_lines, 1, u64::MAX)
    }
}

#[derive(Debug, Serialize)]
pub struct SessionsCompactResult {
    pub ok: bool,
    pub key: String,
    pub compacted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<String>,
    /// Why nothing was compacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `sessions.messages.subscribe` and `sessions.messages.unsubscribe`
#[derive(Debug, Deserialize)]
pub struct SessionsMessages {
    pub key: String,
}

impl Params for SessionsMessages {
    fn check(&self) -> Result<(), String> {
        length("key", &self.key, 1, KEY_CHARS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::params::from_value;
    use super::*;

    #[test]
    fn results_omit_what_is_absent_and_keep_the_nulls_of_the_contract() {
        let abort = SessionsAbortResult { ok: true, aborted_run_id: None, status: AbortStatus::NoActiveRun };
        assert_eq!(
            serde_json::to_value(abort).unwrap(),
            json!({"ok": true, "abortedRunId": null, "status": "no-active-run"})
        );
        let subscribed = Subscribed { subscribed: true, key: None };
        assert_eq!(serde_json::to_value(subscribed).unwrap(), json!({"subscribed": true}));
        let compact = SessionsCompactResult {
            ok: true,
            key: "k".into(),
            compacted: false,
            kept: Some(19),
            archived: None,
            reason: None,
        };
        assert_eq!(
            serde_json::to_value(compact).unwrap(),
            json!({"ok": true, "key": "k", "compacted": false, "kept": 19})
        );
    }

    #[test]
    fn a_patch_keeps_its_nulls() {
        let patch: SessionsPatch = from_value("sessions.patch", json!({"key": "k", "label": null})).unwrap();
        assert_eq!(patch.changes.get("label"), Some(&Value::Null));
        assert!(!patch.changes.contains_key("key"));
    }

    #[test]
    fn parameters_that_need_each_other_are_checked_together() {
        for (method, refused) in [
            ("resolve", from_value::<SessionsResolve>("m", json!({})).is_err()),
            ("resolve two", from_value::<SessionsResolve>("m", json!({"key": "a", "label": "b"})).is_err()),
            ("abort", from_value::<SessionsAbort>("m", json!({})).is_err()),
            ("preview", from_value::<SessionsPreview>("m", json!({"keys": []})).is_err()),
            ("list", from_value::<SessionsList>("m", json!({"limit": 0})).is_err()),
        ] {
            assert!(refused, "{method}");
        }
        assert!(from_value::<SessionsResolve>("m", json!({"key": "a", "includeGlobal": true})).is_ok());
    }
}
