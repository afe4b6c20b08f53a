//! Reads sessions and their transcripts for those who look at them.
//!
//! For the store's reading threads: whatever a transcript's length, no actor and no connection waits for it.

use std::collections::HashSet;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::entry::{LiveFacts, SessionEntry};
use super::key::SessionKey;
use crate::run::conversation::entries_of;
use crate::store::runs::{self, RunState};
use crate::store::{StoreError, sessions, transcripts};
use crate::transcript::history::{HistoryLimits, view};
use crate::transcript::{EntryKind, TranscriptEntry, branch};

/// Lines that are read for one message of a preview: tool calls and their results stand between.
const LINES_PER_MESSAGE: usize = 8;

/// A session's entry; `None` for a session that does not exist.
pub fn entry(db: &Connection, key: &SessionKey) -> Result<Option<SessionEntry>, StoreError> {
    match sessions::get(db, key.as_str())? {
        Some(record) => Ok(SessionEntry::from_value(serde_json::from_str(&record.entry)?)),
        None => Ok(None),
    }
}

/// The latest messages of a session's transcript as clients see them.
pub fn history(db: &Connection, session_id: &str, limits: HistoryLimits) -> Result<Vec<Value>, StoreError> {
    let entries = entries_of(transcripts::lines(db, session_id)?);
    Ok(view(&branch::current(&entries), limits))
}

/// The latest messages as they are stored.
pub fn messages(db: &Connection, session_id: &str, limit: usize) -> Result<Vec<Value>, StoreError> {
    let entries = entries_of(transcripts::lines(db, session_id)?);
    Ok(marked(&branch::current(&entries), limit))
}

/// What was said near the end of a transcript, as `(role, text)`, oldest first.
pub fn latest(
    db: &Connection,
    session_id: &str,
    messages: usize,
    chars: usize,
) -> Result<Vec<(String, String)>, StoreError> {
    let lines = transcripts::tail(db, session_id, messages.saturating_mul(LINES_PER_MESSAGE))?;
    let entries = entries_of(lines);
    let shown = view(&branch::current(&entries), HistoryLimits { messages: usize::MAX, chars });
    let mut said: Vec<(String, String)> = shown.iter().filter_map(spoken).collect();
    said.drain(..said.len().saturating_sub(messages));
    Ok(said)
}

/// The first thing that a person said.
fn opening(db: &Connection, session_id: &str, chars: usize) -> Result<Option<String>, StoreError> {
    let shown = history(db, session_id, HistoryLimits { messages: usize::MAX, chars })?;
    Ok(shown.iter().filter_map(spoken).find(|(role, _)| role == "user").map(|(_, text)| text))
}

/// What a listing shows of a session beyond its entry. A size of `None` leaves the title, or the last message, out;
/// sizes are characters.
pub fn live_facts(
    db: &Connection,
    session_id: &str,
    title: Option<usize>,
    last_message: Option<usize>,
) -> Result<LiveFacts, StoreError> {
    let derived_title = title.map(|chars| opening(db, session_id, chars)).transpose()?.flatten();
    let last = last_message.map(|chars| latest(db, session_id, 1, chars)).transpose()?;
    let last_message_preview = last.and_then(|mut said| said.pop()).map(|(_, text)| text);
    Ok(LiveFacts { derived_title, last_message_preview, ..LiveFacts::default() })
}

/// Keys of the sessions that have a run now.
pub fn busy(db: &Connection) -> Result<HashSet<String>, StoreError> {
    let open = runs::open(db)?.into_iter();
    Ok(open.filter(|run| run.state == RunState::Running).map(|run| run.session_key).collect())
}

/// Role and text of a message of people or the agent that has text.
fn spoken(message: &Value) -> Option<(String, String)> {
    let role = message.get("role")?.as_str().filter(|role| matches!(*role, "user" | "assistant"))?;
    let text = match message.get("content")? {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => return None,
    };
    (!text.trim().is_empty()).then(|| (role.to_owned(), text))
}

/// Messages with the marks that tell which they are.
fn marked(branch: &[&TranscriptEntry], limit: usize) -> Vec<Value> {
    let messages = branch.iter().filter_map(|entry| match &entry.kind {
        EntryKind::Message { message } => Some((*entry, message)),
        _ => None,
    });
    let mut marked: Vec<Value> = messages
        .enumerate()
        .filter_map(|(index, (entry, message))| {
            let mut message = message.as_object()?.clone();
            message.insert("__openclaw".into(), json!({ "id": entry.id, "seq": index + 1 }));
            Some(Value::Object(message))
        })
        .collect();
    marked.drain(..marked.len().saturating_sub(limit));
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, message: Value) -> TranscriptEntry {
        TranscriptEntry::new(id, None, "t", EntryKind::Message { message })
    }

    #[test]
    fn only_people_and_the_agent_speak_and_only_in_text() {
        for (message, expected) in [
            (json!({"role": "user", "content": "hi"}), Some(("user", "hi"))),
            (
                json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}]}),
                Some(("assistant", "yes")),
            ),
            (json!({"role": "assistant", "content": []}), None),
            (json!({"role": "toolResult", "content": [{"type": "text", "text": "out"}]}), None),
        ] {
            assert_eq!(spoken(&message), expected.map(|(role, text)| (role.to_owned(), text.to_owned())), "{message}");
        }
    }

    #[test]
    fn stored_messages_keep_their_text_and_are_counted_from_the_beginning() {
        let entries =
            [entry("a", json!({"role": "user", "content": "1"})), entry("b", json!({"role": "user", "content": "2"}))];
        assert_eq!(
            marked(&entries.iter().collect::<Vec<_>>(), 1),
            [json!({"role": "user", "content": "2", "__openclaw": {"id": "b", "seq": 2}})]
        );
    }
}
