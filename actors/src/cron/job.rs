//! A cron job as data: exactly what `cron.*` carries, and what the database keeps.
//!
//! Source: jobs of 2026.5.12. Times are milliseconds since the epoch.

use serde::{Deserialize, Serialize};

/// What is to be done, when, and where its result goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub id: String,
    /// Absent: the default agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The session on whose behalf it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub enabled: bool,
    /// A one-shot that succeeded is deleted, unless this is `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    pub schedule: Schedule,
    pub session_target: Target,
    pub wake_mode: WakeMode,
    pub payload: Payload,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_alert: Option<FailureAlert>,
    #[serde(default)]
    pub state: JobState,
}

/// When a job is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Schedule {
    /// Once; an ISO time, UTC if it names no offset.
    At { at: String },
    /// Again and again, counted from the anchor.
    Every {
        every_ms: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        anchor_ms: Option<i64>,
    },
    /// By the calendar: five fields, six with seconds first, seven with years last.
    Cron {
        expr: String,
        /// An IANA name; absent: the zone of this host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tz: Option<String>,
        /// The job is due by up to so much later, always by the same. Absent or 0: exactly.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stagger_ms: Option<i64>,
    },
}

impl Schedule {
    pub fn is_once(&self) -> bool {
        matches!(self, Self::At { .. })
    }
}

/// The conversation in which a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// The agent's main one: it is told of an event, nothing runs.
    Main,
    /// A new one for each run.
    Isolated,
    /// That of whoever makes the job; it is replaced by `Session` before the job is kept.
    Current,
    /// The one of this key.
    Session(String),
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "main" => Ok(Self::Main),
            "isolated" => Ok(Self::Isolated),
            "current" => Ok(Self::Current),
            other => match other.strip_prefix("session:").map(str::trim) {
                Some(key) if !key.is_empty() => Ok(Self::Session(key.to_owned())),
                _ => Err(format!("{other:?} must be main, isolated, current or session:<key>")),
            },
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        match target {
            Target::Main => "main".into(),
            Target::Isolated => "isolated".into(),
            Target::Current => "current".into(),
            Target::Session(key) => format!("session:{key}"),
        }
    }
}

/// When the main session looks at an event that a job puts there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WakeMode {
    #[default]
    Now,
    NextHeartbeat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Payload {
    SystemEvent {
        text: String,
    },
    AgentTurn {
        message: String,
        /// `provider/model`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallbacks: Option<Vec<String>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thinking: Option<String>,
        /// Absent: an hour. 0: no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        light_context: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tools_allow: Option<Vec<String>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allow_unsafe_external_content: Option<bool>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryMode {
    None,
    /// The answer is said in a chat.
    Announce,
    /// The finished run is posted to an address.
    Webhook,
}

/// Where the result of a run goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub mode: DeliveryMode,
    /// A channel, or `last`: where the agent's main session was spoken to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<ThreadId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// A result that cannot be delivered does not make the run an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_effort: Option<bool>,
    /// Where failures are told of instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_destination: Option<Destination>,
}

/// Platforms name threads by numbers or by texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ThreadId {
    Number(i64),
    Text(String),
}

impl std::fmt::Display for ThreadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<DeliveryMode>,
}

/// Whether, and when, somebody is told that a job keeps failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FailureAlert {
    /// Only `false`: never, whatever the configuration says.
    Switch(bool),
    Rule(AlertRule),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertRule {
    /// Failures in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_ms: Option<i64>,
    /// Runs that were skipped count as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_skipped: Option<bool>,
    #[serde(flatten)]
    pub destination: Destination,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    Ok,
    Error,
    Skipped,
}

impl RunStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ok, Self::Error, Self::Skipped].into_iter().find(|status| status.as_str() == text)
    }
}

/// What became of the result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryStatus {
    /// It is in the outbox, which sends it until the platform has taken it.
    Delivered,
    NotDelivered,
    Unknown,
    NotRequested,
}

impl DeliveryStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::NotDelivered => "not-delivered",
            Self::Unknown => "unknown",
            Self::NotRequested => "not-requested",
        }
    }
}

/// How a job stands, as clients see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobState {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_status: Option<RunStatus>,
    /// The same as `lastRunStatus`, under its older name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<RunStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Why it failed, in a word of `cron.retry.retryOn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_duration_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivered: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivery_status: Option<DeliveryStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivery_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_errors: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_skipped: Option<u32>,
    /// Times in a row that no next time could be computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_error_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_alert_at_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_job_is_on_the_wire_what_it_is_here() {
        let minimal = json!({
            "id": "j", "name": "every-hour", "enabled": true, "createdAtMs": 5, "updatedAtMs": 6,
            "schedule": { "kind": "every", "everyMs": 3_600_000, "anchorMs": 5 }, "sessionTarget": "isolated",
            "wakeMode": "now", "payload": { "kind": "agentTurn", "message": "hi" }, "delivery": { "mode": "none" },
            "state": { "nextRunAtMs": 3_600_005 }
        });
        let full = json!({
            "id": "j", "agentId": "ops", "sessionKey": "agent:ops:main", "name": "n", "description": "d", "enabled": false,
            "deleteAfterRun": true, "createdAtMs": 5, "updatedAtMs": 6,
            "schedule": { "kind": "cron", "expr": "0 9 * * 1-5", "tz": "Asia/Shanghai", "staggerMs": 300_000 },
            "sessionTarget": "session:agent:ops:x", "wakeMode": "next-heartbeat",
            "payload": { "kind": "agentTurn", "message": "m", "model": "p/m", "fallbacks": ["p/n"], "thinking": "low",
                "timeoutSeconds": 0, "lightContext": false, "toolsAllow": ["read"], "allowUnsafeExternalContent": false },
            "delivery": { "mode": "announce", "channel": "last", "to": "c", "threadId": 7, "accountId": "a", "bestEffort": true,
                "failureDestination": { "channel": "webhook", "to": "ops", "accountId": "b", "mode": "announce" } },
            "failureAlert": { "after": 2, "cooldownMs": 1, "includeSkipped": true, "channel": "webhook", "to": "ops" },
            "state": { "runningAtMs": 1, "lastRunAtMs": 2, "lastRunStatus": "error", "lastStatus": "error", "lastError": "e",
                "lastErrorReason": "timeout", "lastDurationMs": 3, "lastDelivered": false,
                "lastDeliveryStatus": "not-delivered", "lastDeliveryError": "x", "consecutiveErrors": 1,
                "consecutiveSkipped": 0, "scheduleErrorCount": 0, "lastFailureAlertAtMs": 4 }
        });
        let once = json!({
            "id": "j", "name": "once", "enabled": true, "createdAtMs": 5, "updatedAtMs": 6,
            "schedule": { "kind": "at", "at": "2030-01-01T00:00:00.000Z" }, "sessionTarget": "main", "wakeMode": "now",
            "payload": { "kind": "systemEvent", "text": "t" }, "failureAlert": false, "state": {}
        });
        for wire in [minimal, full, once] {
            let job: Job = serde_json::from_value(wire.clone()).unwrap();
            assert_eq!(serde_json::to_value(&job).unwrap(), wire);
        }
    }

    #[test]
    fn a_target_is_one_of_four_words() {
        let read = |text: &str| serde_json::from_value::<Target>(Value::from(text)).map_err(|error| error.to_string());
        assert_eq!(read("session:agent:a:b").unwrap(), Target::Session("agent:a:b".into()));
        for text in ["session:", "session: ", "else", ""] {
            assert!(read(text).unwrap_err().contains("must be main, isolated, current or session:<key>"), "{text}");
        }
    }
}
