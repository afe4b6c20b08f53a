//! The stored record of one session: typed where we use it, everything else carried along untouched.
//!
//! Reading and writing an entry of another version loses no field. Source: session entry of 2026.5.12.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::key::SessionKey;
use crate::delivery::Route;
use crate::protocol::session::{AgentRuntime, ChatType, RunStatus, SessionDefaults, SessionRow};

/// One session. Times are milliseconds since the epoch, absent values are omitted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionEntry {
    /// Names the transcript; changes with every reset.
    pub session_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_started_at: Option<i64>,
    /// Last message of a person; heartbeats, cron and exec events do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_interaction_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_sent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_last_run: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<ChatType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbose_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elevated_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast_mode: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_mode: Option<String>,
    /// `allow` or `deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_policy: Option<String>,
    /// `off`, `tokens` or `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_usage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_override: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_override: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_override_source: Option<OverrideSource>,
    /// Provider and model of the latest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Context window of that model, tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Of the latest turn, like `output_tokens` and the cache counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens that the context takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// `false` right after a compaction, until a model call says what the context takes now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens_fresh: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compaction_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_context: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_account_id: Option<String>,
    /// Text or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_thread_id: Option<Value>,
    /// Everything that we do not know, or that has an unexpected type.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Who chose the session's model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverrideSource {
    /// Failover did; the chain of fallbacks goes on from there.
    Auto,
    User,
}

/// What a listing knows about a session beyond its entry.
#[derive(Debug, Clone, Default)]
pub struct LiveFacts {
    pub has_active_run: bool,
    pub derived_title: Option<String>,
    pub last_message_preview: Option<String>,
    pub child_sessions: Vec<String>,
}

/// Unknown fields that belong to one transcript and end with it.
const TRANSCRIPT_BOUND: [&str; 7] = [
    "skillsSnapshot",
    "systemPromptReport",
    "compactionCheckpoints",
    "memoryFlushAt",
    "memoryFlushCompactionCount",
    "cliSessionIds",
    "liveModelSwitchPending",
];

impl SessionEntry {
    /// A session that has never run.
    pub fn new(session_id: impl Into<String>, now: i64) -> Self {
        Self { session_id: session_id.into(), updated_at: Some(now), session_started_at: Some(now), ..Self::default() }
    }

    /// Reads an entry; a known field of an unexpected type is kept among the unknown ones.
    ///
    /// `None` when it is no object or has no session id.
    pub fn from_value(value: Value) -> Option<Self> {
        if let Ok(entry) = Self::deserialize(&value) {
            return Some(entry).filter(|entry| !entry.session_id.is_empty());
        }
        let Value::Object(map) = value else { return None };
        let (good, odd): (Map<_, _>, Map<_, _>) = map.into_iter().partition(|(key, value)| {
            let alone = Map::from_iter([(key.clone(), value.clone())]);
            Self::deserialize(&Value::Object(alone)).is_ok()
        });
        let mut entry = Self::deserialize(&Value::Object(good)).ok()?;
        if entry.session_id.is_empty() {
            return None;
        }
        entry.other.extend(odd);
        Some(entry)
    }

    /// The entry as files and clients see it.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null) // text keys and plain values: cannot fail
    }

    /// Starts a new conversation: new id, counters at zero; preferences, label and route are kept.
    ///
    /// A model that failover chose is dropped, one that the user chose stays.
    pub fn reset(&mut self, new_id: impl Into<String>, now: i64) {
        let mut next = Self {
            session_id: new_id.into(),
            updated_at: Some(now),
            session_started_at: Some(now),
            last_interaction_at: None,
            session_file: None,
            system_sent: Some(false),
            aborted_last_run: Some(false),
            status: None,
            started_at: None,
            ended_at: None,
            runtime_ms: None,
            input_tokens: Some(0),
            output_tokens: Some(0),
            total_tokens: Some(0),
            total_tokens_fresh: Some(true),
            cache_read: None,
            cache_write: None,
            estimated_cost_usd: None,
            compaction_count: Some(0),
            ..std::mem::take(self)
        };
        if next.model_override_source == Some(OverrideSource::Auto) {
            next.override_model(None);
        }
        next.other
            .retain(|key, _| !TRANSCRIPT_BOUND.contains(&key.as_str()) && !key.starts_with("pendingFinalDelivery"));
        *self = next;
    }

    /// Chooses the session's model as `(provider, model, who)`; `None` goes back to the agent's own.
    pub fn override_model(&mut self, choice: Option<(&str, &str, OverrideSource)>) {
        let before = (self.provider_override.take(), self.model_override.take());
        self.model_override_source = choice.map(|(_, _, source)| source);
        self.provider_override = choice.map(|(provider, _, _)| provider.to_owned());
        self.model_override = choice.map(|(_, model, _)| model.to_owned());
        if before != (self.provider_override.clone(), self.model_override.clone()) {
            // what the latest run used says nothing about the next one
            self.model_provider = None;
            self.model = None;
            self.context_tokens = None;
        }
    }

    /// The session as a listing shows it.
    pub fn row(&self, key: &SessionKey, live: LiveFacts, defaults: &SessionDefaults) -> SessionRow {
        let other = |name: &str| self.other.get(name).and_then(Value::as_str).map(str::to_owned);
        let first = |chosen: &Option<String>, used: &Option<String>, default: &String| {
            chosen.as_ref().or(used.as_ref()).unwrap_or(default).clone()
        };
        let model_provider = first(&self.provider_override, &self.model_provider, &defaults.model_provider);
        let model = first(&self.model_override, &self.model, &defaults.model);
        let is_default = model_provider == defaults.model_provider && model == defaults.model;
        let total_tokens = self.total_tokens.filter(|n| *n > 0 && self.total_tokens_fresh == Some(true));
        SessionRow {
            key: key.to_string(),
            kind: key.row_kind(),
            label: self.label.clone(),
            display_name: self.shown_name(),
            derived_title: live.derived_title,
            last_message_preview: live.last_message_preview,
            subject: other("subject"),
            group_channel: other("groupChannel"),
            space: other("space"),
            chat_type: self.chat_type.or(key.chat_type()),
            origin: self.origin.clone(),
            updated_at: self.updated_at,
            session_id: Some(self.session_id.clone()),
            system_sent: self.system_sent,
            aborted_last_run: self.aborted_last_run,
            thinking_level: self.thinking_level.clone(),
            thinking_levels: defaults.thinking_levels.clone(),
            thinking_options: defaults.thinking_options.clone(),
            thinking_default: defaults.thinking_default.clone(),
            fast_mode: self.fast_mode,
            verbose_level: self.verbose_level.clone(),
            trace_level: self.trace_level.clone(),
            reasoning_level: self.reasoning_level.clone(),
            elevated_level: self.elevated_level.clone(),
            send_policy: self.send_policy.clone(),
            response_usage: self.response_usage.clone(),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            total_tokens,
            total_tokens_fresh: total_tokens.is_some(),
            estimated_cost_usd: self.estimated_cost_usd,
            status: self.status,
            started_at: self.started_at,
            ended_at: self.ended_at,
            runtime_ms: self.runtime_ms,
            context_tokens: self.context_tokens.or(is_default.then_some(defaults.context_tokens)),
            model_provider,
            model,
            agent_runtime: AgentRuntime::default(),
            delivery_context: self.delivery_context.clone(),
            last_channel: self.last_channel.clone(),
            last_to: self.last_to.clone(),
            last_account_id: self.last_account_id.clone(),
            last_thread_id: self.last_thread_id.clone(),
            spawned_by: other("spawnedBy"),
            parent_session_key: other("parentSessionKey"),
            child_sessions: Some(live.child_sessions).filter(|children| !children.is_empty()),
            compaction_checkpoint_count: self.checkpoint_count(),
            has_active_run: live.has_active_run,
        }
    }

    /// Somebody speaks to the agent from this chat: what is said to `last` goes there.
    pub fn spoken_from(&mut self, route: &Route) {
        self.last_channel = Some(route.channel.clone());
        self.last_account_id = Some(route.account.clone());
        self.last_to = Some(route.target.clone());
        self.last_thread_id = route.thread.clone().map(Value::from);
    }

    fn shown_name(&self) -> Option<String> {
        let origin_label = || Some(self.origin.as_ref()?.get("label")?.as_str()?.to_owned());
        self.display_name.clone().or_else(|| self.label.clone()).or_else(origin_label)
    }

    fn checkpoint_count(&self) -> Option<u64> {
        Some(self.other.get("compactionCheckpoints")?.as_array()?.len() as u64).filter(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn defaults() -> SessionDefaults {
        SessionDefaults {
            model_provider: "fake".into(),
            model: "fake-1".into(),
            context_tokens: 200_000,
            thinking_levels: Vec::new(),
            thinking_options: Vec::new(),
            thinking_default: "off".into(),
        }
    }

    fn row(entry: &SessionEntry) -> SessionRow {
        entry.row(&SessionKey::from_stored("agent:main:main".into()), LiveFacts::default(), &defaults())
    }

    #[test]
    fn an_entry_of_another_version_comes_back_whole() {
        let stored = json!({"sessionId": "s", "updatedAt": 5, "chatType": "direct", "status": "done",
            "modelOverrideSource": "user", "queueMode": "collect", "lastThreadId": 7,
            "futureField": {"deep": [1, null]}, "skillsSnapshot": {"prompt": ""}});
        let entry = SessionEntry::from_value(stored.clone()).unwrap();
        assert_eq!(entry.to_value(), stored);
    }

    #[test]
    fn a_known_field_of_an_odd_type_costs_neither_the_entry_nor_itself() {
        let stored = json!({"sessionId": "s", "updatedAt": 5.5, "fastMode": "auto", "label": "l"});
        let entry = SessionEntry::from_value(stored.clone()).unwrap();
        assert_eq!((entry.updated_at, entry.fast_mode, entry.label.as_deref()), (None, None, Some("l")));
        assert_eq!(entry.to_value(), stored);
    }

    #[test]
    fn without_a_session_id_it_is_no_entry() {
        for value in [json!({}), json!({"sessionId": ""}), json!({"sessionId": 5}), json!("s"), json!(null)] {
            assert_eq!(SessionEntry::from_value(value), None);
        }
    }

    #[test]
    fn a_reset_keeps_preferences_and_route_and_zeroes_the_counters() {
        let mut entry = SessionEntry::from_value(json!({
            "sessionId": "old", "sessionFile": "f", "label": "L", "thinkingLevel": "low", "lastChannel": "webchat",
            "providerOverride": "p", "modelOverride": "m", "modelOverrideSource": "user", "status": "failed",
            "startedAt": 1, "endedAt": 2, "runtimeMs": 1, "totalTokens": 9, "compactionCount": 3, "cacheRead": 4,
            "estimatedCostUsd": 0.5, "abortedLastRun": true, "lastInteractionAt": 3,
            "skillsSnapshot": {}, "pendingFinalDeliveryText": "x", "execHost": "gateway"
        }))
        .unwrap();
        entry.reset("new", 100);
        assert_eq!(
            entry.to_value(),
            json!({
                "sessionId": "new", "updatedAt": 100, "sessionStartedAt": 100, "systemSent": false,
                "abortedLastRun": false, "label": "L", "thinkingLevel": "low", "providerOverride": "p",
                "modelOverride": "m", "modelOverrideSource": "user", "inputTokens": 0, "outputTokens": 0,
                "totalTokens": 0, "totalTokensFresh": true, "compactionCount": 0, "lastChannel": "webchat",
                "execHost": "gateway"
            })
        );
    }

    #[test]
    fn a_reset_forgets_the_model_that_failover_chose() {
        let mut entry = SessionEntry::new("a", 1);
        entry.override_model(Some(("p", "m", OverrideSource::Auto)));
        entry.reset("b", 2);
        assert_eq!((entry.model_override, entry.model_override_source), (None, None));
    }

    #[test]
    fn a_new_choice_of_model_hides_what_the_latest_run_used() {
        let mut entry = SessionEntry::new("a", 1);
        entry.model_provider = Some("fake".into());
        entry.model = Some("old".into());
        entry.context_tokens = Some(5);
        entry.override_model(Some(("none", "nope", OverrideSource::User)));
        let shown = row(&entry);
        assert_eq!((shown.model_provider.as_str(), shown.model.as_str(), shown.context_tokens), ("none", "nope", None));
    }

    #[test]
    fn a_row_fills_in_what_the_entry_leaves_to_the_defaults() {
        let mut entry = SessionEntry::new("s", 7);
        entry.origin = Some(json!({"label": "golden"}));
        entry.total_tokens = Some(11);
        let shown = row(&entry);
        assert_eq!(shown.display_name.as_deref(), Some("golden"));
        assert_eq!((shown.model.as_str(), shown.context_tokens), ("fake-1", Some(200_000)));
        assert_eq!((shown.total_tokens, shown.total_tokens_fresh), (None, false));
        assert_eq!(shown.chat_type, Some(ChatType::Direct));
        entry.label = Some("L".into());
        entry.total_tokens_fresh = Some(true);
        let shown = row(&entry);
        assert_eq!(shown.display_name.as_deref(), Some("L"));
        assert_eq!((shown.total_tokens, shown.total_tokens_fresh), (Some(11), true));
    }
}
