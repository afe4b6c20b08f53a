//! Parameters and results of `chat.*`, and the `chat` event.
//!
//! Every accepted run ends with exactly one of `final`, `aborted` or `error`. Source: protocol 4, runs and chat methods.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::params::{Params, length, range};

/// Longest session key, characters.
pub const SESSION_KEY_CHARS_MAX: usize = 512;
/// Messages that `chat.history` gives unless asked otherwise, and at most.
pub const HISTORY_LIMIT: u64 = 200;
pub const HISTORY_LIMIT_MAX: u64 = 1000;
/// Characters per text part unless asked otherwise, and at most.
pub const HISTORY_CHARS: u64 = 8000;
pub const HISTORY_CHARS_MAX: u64 = 500_000;
/// Longest label of `chat.inject`, characters.
pub const INJECT_LABEL_CHARS_MAX: usize = 100;

/// A file that comes with a message: base64 in `content`, or `source: {type: "base64", media_type, data}`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Attachment {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub mime_type: Option<String>,
    pub file_name: Option<String>,
    pub content: Option<String>,
    pub source: Option<AttachmentSource>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AttachmentSource {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub media_type: Option<String>,
    pub data: Option<String>,
}

impl Attachment {
    /// Media type and base64 text, whichever form it came in. `None` without data; a missing type is empty.
    pub fn data(&self) -> Option<(&str, &str)> {
        let source = self.source.as_ref();
        let data = self.content.as_deref().or_else(|| source?.data.as_deref())?;
        let named = self.mime_type.as_deref().or_else(|| source?.media_type.as_deref()).unwrap_or_default();
        match data.strip_prefix("data:").and_then(|url| url.split_once(";base64,")) {
            Some((mime, data)) => Some((if named.is_empty() { mime } else { named }, data)),
            None => Some((named, data)),
        }
    }
}

/// `chat.send`. `idempotency_key` becomes the run's id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatSend {
    pub session_key: String,
    #[serde(default)]
    pub session_id: Option<String>,
    /// May be empty when there is an attachment.
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub thinking: Option<String>,
    #[serde(default)]
    pub fast_mode: Option<Value>,
    /// Also deliver the answer to the session's channel.
    #[serde(default)]
    pub deliver: Option<bool>,
    #[serde(default)]
    pub originating_channel: Option<String>,
    #[serde(default)]
    pub originating_to: Option<String>,
    #[serde(default)]
    pub originating_account_id: Option<String>,
    #[serde(default)]
    pub originating_thread_id: Option<String>,
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// Deadline of the run, milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Needs admin, like `system_provenance_receipt`.
    #[serde(default)]
    pub system_input_provenance: Option<Value>,
    #[serde(default)]
    pub system_provenance_receipt: Option<String>,
    pub idempotency_key: String,
}

impl ChatSend {
    /// Does the caller speak for another route? Needs admin.
    pub fn names_an_origin(&self) -> bool {
        self.originating_channel.is_some()
            || self.originating_to.is_some()
            || self.originating_account_id.is_some()
            || self.originating_thread_id.is_some()
    }
}

impl Params for ChatSend {
    fn check(&self) -> Result<(), String> {
        length("sessionKey", &self.session_key, 1, SESSION_KEY_CHARS_MAX)?;
        length("idempotencyKey", &self.idempotency_key, 1, usize::MAX)
    }
}

/// The answer to `chat.send` and to its repetitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatSendResult {
    pub run_id: String,
    pub status: ChatSendStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatSendStatus {
    Started,
    /// The same key, or the same text to a busy session, again.
    InFlight,
    /// The same key after its run has ended.
    Ok,
    Error,
}

/// `chat.history`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatHistory {
    pub session_key: String,
    #[serde(default)]
    pub limit: Option<u64>,
    #[serde(default)]
    pub max_chars: Option<u64>,
}

impl Params for ChatHistory {
    fn check(&self) -> Result<(), String> {
        length("sessionKey", &self.session_key, 1, SESSION_KEY_CHARS_MAX)?;
        range("limit", self.limit, 1, HISTORY_LIMIT_MAX)?;
        range("maxChars", self.max_chars, 1, HISTORY_CHARS_MAX)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatHistoryResult {
    /// As it was sent.
    pub session_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    pub messages: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast_mode: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbose_level: Option<String>,
}

/// `chat.abort`; without a run every run of the session.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatAbort {
    pub session_key: String,
    #[serde(default)]
    pub run_id: Option<String>,
}

impl Params for ChatAbort {
    fn check(&self) -> Result<(), String> {
        length("sessionKey", &self.session_key, 1, SESSION_KEY_CHARS_MAX)
    }
}

/// Also the answer to a stop text that came through `chat.send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatAbortResult {
    pub ok: bool,
    pub aborted: bool,
    pub run_ids: Vec<String>,
}

/// `chat.inject`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatInject {
    pub session_key: String,
    pub message: String,
    #[serde(default)]
    pub label: Option<String>,
}

impl Params for ChatInject {
    fn check(&self) -> Result<(), String> {
        length("sessionKey", &self.session_key, 1, SESSION_KEY_CHARS_MAX)?;
        length("message", &self.message, 1, usize::MAX)?;
        self.label.as_deref().map_or(Ok(()), |label| length("label", label, 1, INJECT_LABEL_CHARS_MAX))
    }
}

impl ChatInject {
    /// What is appended to the transcript.
    pub fn text(&self) -> String {
        match &self.label {
            Some(label) => format!("[{label}]\n\n{}", self.message),
            None => self.message.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatInjectResult {
    pub ok: bool,
    pub message_id: String,
}

/// The `chat` event. `seq` is the run's agent event number at that moment; 0 for injected messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatEvent {
    pub run_id: String,
    pub session_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
    pub seq: u64,
    #[serde(flatten)]
    pub state: ChatState,
}

/// What a `chat` event says; `message` is `{role, content, timestamp, …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum ChatState {
    Delta {
        delta_text: String,
        /// `true` when the new text does not begin with the old one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replace: Option<bool>,
        /// All the text so far.
        message: Value,
    },
    Final {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_reason: Option<String>,
        /// Absent when there is nothing to show.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Value>,
    },
    Aborted {
        /// `rpc`, `stop`, `timeout` or `restart`.
        stop_reason: String,
        /// What had been said by then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Value>,
    },
    Error {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_message: Option<String>,
        /// `refusal timeout rate_limit context_length unknown`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_kind: Option<String>,
    },
}

/// An assistant's text as `chat` events carry it; `timestamp` in milliseconds since the epoch.
pub fn assistant_text(text: &str, timestamp: i64) -> Value {
    json!({"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": timestamp})
}

#[cfg(test)]
mod tests {
    use super::super::params::from_value;
    use super::*;

    #[test]
    fn events_are_the_recorded_ones() {
        for recorded in [
            json!({"runId": "r", "sessionKey": "agent:main:main", "seq": 2, "state": "delta", "deltaText": "Hi",
                   "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi"}], "timestamp": 5}}),
            json!({"runId": "r", "sessionKey": "agent:main:main", "seq": 3, "state": "final"}),
            json!({"runId": "r", "sessionKey": "agent:main:main", "seq": 1, "state": "aborted", "stopReason": "rpc"}),
            json!({"runId": "r", "sessionKey": "k", "seq": 1, "state": "error", "errorMessage": "no", "errorKind": "unknown"}),
        ] {
            let event: ChatEvent = serde_json::from_value(recorded.clone()).unwrap();
            assert_eq!(serde_json::to_value(event).unwrap(), recorded);
        }
        assert_eq!(assistant_text("Hi", 5)["content"][0]["text"], "Hi");
    }

    #[test]
    fn a_call_without_its_session_says_so() {
        assert_eq!(
            from_value::<ChatHistory>("chat.history", json!({})).unwrap_err().message,
            "invalid chat.history params: must have required property 'sessionKey'"
        );
        assert_eq!(
            from_value::<ChatHistory>("chat.history", json!({"sessionKey": "main", "limit": 1001}))
                .unwrap_err()
                .message,
            "invalid chat.history params: at /limit: must be <= 1000"
        );
        let long = "x".repeat(513);
        let params = json!({"sessionKey": long, "message": "m", "idempotencyKey": "i"});
        assert!(from_value::<ChatSend>("chat.send", params).is_err());
    }

    #[test]
    fn an_attachment_is_read_in_each_of_its_forms() {
        for (attachment, expected) in [
            (json!({"mimeType": "image/png", "content": "AA=="}), Some(("image/png", "AA=="))),
            (json!({"content": "data:image/gif;base64,BB=="}), Some(("image/gif", "BB=="))),
            (
                json!({"source": {"type": "base64", "media_type": "image/jpeg", "data": "CC=="}}),
                Some(("image/jpeg", "CC==")),
            ),
            (json!({"fileName": "a.png"}), None),
        ] {
            let parsed: Attachment = serde_json::from_value(attachment).unwrap();
            assert_eq!(parsed.data(), expected);
        }
    }

    #[test]
    fn repeated_sends_are_answered_in_the_words_of_the_contract() {
        let result = ChatSendResult { run_id: "i".into(), status: ChatSendStatus::InFlight };
        assert_eq!(serde_json::to_value(result).unwrap(), json!({"runId": "i", "status": "in_flight"}));
    }
}
