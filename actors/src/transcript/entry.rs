//! One line of a transcript, version 3.
//!
//! Writing a line that was read gives the same fields with the same values; fields that we do not know stay, after
//! those that we do. Source: transcript files of 2026.5.12.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::message::Message;

/// The version that we read and write.
pub const TRANSCRIPT_VERSION: u32 = 3;

/// One line: a node of a tree whose edges are the parent ids.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscriptEntry {
    /// 8 hex digits or a UUID; the session's id for a header; empty for an unknown line without one.
    pub id: String,
    /// `None` for the first entry and for headers.
    pub parent_id: Option<String>,
    /// ISO 8601, as written.
    pub timestamp: String,
    pub kind: EntryKind,
    /// Fields beyond those of the kind.
    pub other: Map<String, Value>,
}

/// What a line records. Only `Message` and `CustomMessage` reach the model as such.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum EntryKind {
    /// The header; a file that we write has exactly one, as its first line.
    Session {
        version: u32,
        /// The agent's workspace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cwd: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_session: Option<String>,
    },
    /// `message` is kept as it was read, with the fields that only its writer knows.
    Message {
        message: Value,
    },
    ModelChange {
        provider: String,
        model_id: String,
    },
    ThinkingLevelChange {
        thinking_level: String,
    },
    /// A note for ourselves; never sent to the model.
    Custom {
        custom_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Value>,
    },
    /// Text or parts that the model sees and, with `display`, people too.
    CustomMessage {
        custom_type: String,
        content: Value,
        #[serde(default)]
        display: bool,
    },
    /// Everything before `first_kept_entry_id` is replaced by the summary.
    Compaction {
        summary: String,
        first_kept_entry_id: String,
        tokens_before: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        details: Option<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_hook: Option<bool>,
    },
    BranchSummary {
        from_id: String,
        summary: String,
    },
    Label {
        target_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
    },
    SessionInfo {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// The whole line, word for word.
    #[serde(skip)]
    Unknown(Value),
}

impl TranscriptEntry {
    /// The header of a session's transcript.
    pub fn header(session_id: impl Into<String>, timestamp: impl Into<String>, cwd: Option<String>) -> Self {
        let kind = EntryKind::Session { version: TRANSCRIPT_VERSION, cwd, parent_session: None };
        Self::new(session_id, None, timestamp, kind)
    }

    pub fn message(
        id: impl Into<String>,
        parent_id: Option<String>,
        timestamp: impl Into<String>,
        message: &Message,
    ) -> Self {
        let message = serde_json::to_value(message).unwrap_or(Value::Null); // plain data: cannot fail
        Self::new(id, parent_id, timestamp, EntryKind::Message { message })
    }

    pub fn new(
        id: impl Into<String>,
        parent_id: Option<String>,
        timestamp: impl Into<String>,
        kind: EntryKind,
    ) -> Self {
        Self { id: id.into(), parent_id, timestamp: timestamp.into(), kind, other: Map::new() }
    }

    /// Reads a line. Anything that is not a line of a kind we know is `Unknown`.
    pub fn from_value(value: Value) -> Self {
        let value = match message_line(value) {
            Ok(entry) => return entry,
            Err(value) => value,
        };
        known(&value).unwrap_or_else(|| {
            let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
            Self {
                id: text("id").unwrap_or_default(),
                parent_id: text("parentId"),
                timestamp: text("timestamp").unwrap_or_default(),
                other: Map::new(),
                kind: EntryKind::Unknown(value),
            }
        })
    }

    /// The line as an object.
    pub fn to_value(&self) -> Value {
        if let EntryKind::Unknown(value) = &self.kind {
            return value.clone();
        }
        let mut body = kind_fields(&self.kind);
        let mut line = Map::new();
        // every kind but a header begins with the same four fields, in this order
        for key in ["type", "version"] {
            if let Some(value) = body.shift_remove(key) {
                line.insert(key.into(), value);
            }
        }
        line.insert("id".into(), self.id.clone().into());
        if !self.is_header() {
            line.insert("parentId".into(), self.parent_id.clone().into());
        }
        line.insert("timestamp".into(), self.timestamp.clone().into());
        line.extend(body);
        line.extend(self.other.clone());
        Value::Object(line)
    }

    pub fn is_header(&self) -> bool {
        matches!(self.kind, EntryKind::Session { .. })
    }

    /// The message of a message line, if it is one that a prompt can hold.
    pub fn as_message(&self) -> Option<Message> {
        match &self.kind {
            EntryKind::Message { message } => Message::deserialize(message).ok(),
            _ => None,
        }
    }
}

fn kind_fields(kind: &EntryKind) -> Map<String, Value> {
    match serde_json::to_value(kind) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(), // tagged variants are always objects
    }
}

/// Reads a message line without copying it: nearly every line is one. Anything else is given back as it was.
fn message_line(value: Value) -> Result<TranscriptEntry, Value> {
    let is_message = value.get("type").is_some_and(|kind| kind == "message")
        && value.get("message").is_some()
        && value.get("parentId").is_some_and(|parent| parent.is_null() || parent.is_string())
        && ["id", "timestamp"].iter().all(|key| value.get(key).is_some_and(Value::is_string));
    let Value::Object(mut line) = value else { return Err(value) };
    if !is_message {
        return Err(Value::Object(line));
    }
    line.shift_remove("type");
    let message = line.shift_remove("message").unwrap_or_default();
    let mut text = |key: &str| match line.shift_remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (parent_id, id, timestamp) = (text("parentId"), text("id"), text("timestamp"));
    let kind = EntryKind::Message { message };
    Ok(TranscriptEntry {
        id: id.unwrap_or_default(),
        parent_id,
        timestamp: timestamp.unwrap_or_default(),
        kind,
        other: line,
    })
}

/// Reads a line of a known kind that has an id, a time and, unless it is a header, a readable parent.
fn known(value: &Value) -> Option<TranscriptEntry> {
    let line = value.as_object()?;
    let kind = EntryKind::deserialize(value).ok()?;
    let text = |key: &str| line.get(key).and_then(Value::as_str).map(str::to_owned);
    let parent_id = match line.get("parentId") {
        None if matches!(kind, EntryKind::Session { .. }) => None,
        Some(Value::Null) if !matches!(kind, EntryKind::Session { .. }) => None,
        Some(Value::String(id)) if !matches!(kind, EntryKind::Session { .. }) => Some(id.clone()),
        _ => return None,
    };
    let own = kind_fields(&kind);
    let is_other = |key: &str| !matches!(key, "id" | "parentId" | "timestamp") && !own.contains_key(key);
    let other = line.iter().filter(|(key, _)| is_other(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    Some(TranscriptEntry { id: text("id")?, parent_id, timestamp: text("timestamp")?, kind, other })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::message::{Part, UserMessage};

    const LINES: [&str; 13] = [
        r#"{"type":"session","version":3,"id":"s","timestamp":"2026-11-21T08:10:00.000Z","cwd":"/ws","future":1}"#,
        r#"{"type":"message","id":"a","parentId":null,"timestamp":"t","message":{"role":"user","content":"hi","odd":0}}"#,
        r#"{"type":"message","id":"b","parentId":"a","timestamp":"t","message":"odd","future":{"x":1}}"#,
        r#"{"type":"model_change","id":"b","parentId":"a","timestamp":"t","provider":"p","modelId":"m"}"#,
        r#"{"type":"thinking_level_change","id":"b","parentId":"a","timestamp":"t","thinkingLevel":"off"}"#,
        r#"{"type":"custom","id":"b","parentId":"a","timestamp":"t","customType":"model-snapshot","data":{"x":1.50}}"#,
        r#"{"type":"custom","id":"b","parentId":"a","timestamp":"t","customType":"x","data":null}"#,
        r#"{"type":"custom_message","id":"b","parentId":"a","timestamp":"t","customType":"c","content":"x","display":false}"#,
        r#"{"type":"compaction","id":"b","parentId":"a","timestamp":"t","summary":"s","firstKeptEntryId":"a","tokensBefore":9,"details":{"readFiles":[]},"fromHook":true}"#,
        r#"{"type":"branch_summary","id":"b","parentId":"a","timestamp":"t","fromId":"a","summary":"s","details":{}}"#,
        r#"{"type":"label","id":"b","parentId":"a","timestamp":"t","targetId":"a","label":"L"}"#,
        r#"{"type":"session_info","id":"b","parentId":"a","timestamp":"t","name":"N"}"#,
        r#"{"id":"z","type":"from_the_future","parentId":"a","timestamp":"t","deep":{"b":1,"a":2}}"#,
    ];

    #[test]
    fn a_line_is_written_as_it_was_read() {
        for line in LINES {
            let value: Value = serde_json::from_str(line).unwrap();
            let entry = TranscriptEntry::from_value(value);
            assert_eq!(entry.to_value().to_string(), line.replace("1.50", "1.5"));
        }
    }

    #[test]
    fn only_the_last_of_these_lines_is_unknown() {
        for (index, line) in LINES.iter().enumerate() {
            let entry = TranscriptEntry::from_value(serde_json::from_str(line).unwrap());
            assert_eq!(matches!(entry.kind, EntryKind::Unknown(_)), index == LINES.len() - 1, "{line}");
        }
    }

    #[test]
    fn a_damaged_line_is_carried_along_without_being_understood() {
        for value in [
            json!({"type": "message", "id": "a", "timestamp": "t", "message": {}}),
            json!({"type": "message", "parentId": null, "timestamp": "t", "message": {}}),
            json!({"type": "message", "id": "a", "parentId": 5, "timestamp": "t", "message": {}}),
            json!({"type": "compaction", "id": "a", "parentId": null, "timestamp": "t"}),
            json!({"no": "type"}),
            json!([1]),
        ] {
            let entry = TranscriptEntry::from_value(value.clone());
            assert!(matches!(entry.kind, EntryKind::Unknown(_)), "{value}");
            assert_eq!(entry.to_value(), value);
        }
    }

    #[test]
    fn a_message_of_ours_can_be_read_back() {
        let message = Message::User(UserMessage { content: vec![Part::text("hi")], timestamp: 5, provenance: None });
        let entry = TranscriptEntry::message("a", None, "t", &message);
        assert_eq!(TranscriptEntry::from_value(entry.to_value()).as_message(), Some(message));
    }

    proptest! {
        // needs serde_json's `float_roundtrip`: without it one number in a few changes its last digit
        #[test]
        fn costs_keep_their_last_digit(cost in 0.0f64..1.0) {
            let line = json!({"type": "future", "cost": cost}).to_string();
            let entry = TranscriptEntry::from_value(serde_json::from_str(&line).unwrap());
            prop_assert_eq!(entry.to_value().to_string(), line);
        }
    }
}
