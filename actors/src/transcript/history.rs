//! The view of a transcript that `chat.history` gives: what people said and were told, within limits.
//!
//! Tool arguments, tool details and opaque signatures stay inside. Numbers count all messages of the branch, also
//! those that the limits leave out. Source: `chat.history` of 2026.5.12.

use serde_json::{Map, Value, json};

use super::entry::{EntryKind, TranscriptEntry};
use super::envelope;

/// Largest message, bytes of its JSON.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Largest answer, bytes of the messages' JSON.
pub const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;
/// What stands in the place of a message that is larger.
pub const OMITTED: &str = "[chat.history omitted: message too large]";
const CUT: &str = "\n...(truncated)...";

/// How much of a history is wanted.
#[derive(Debug, Clone, Copy)]
pub struct HistoryLimits {
    /// Latest messages.
    pub messages: usize,
    /// Characters per text part.
    pub chars: usize,
}

/// The latest messages of a branch as clients see them, oldest first.
pub fn view(branch: &[&TranscriptEntry], limits: HistoryLimits) -> Vec<Value> {
    let messages: Vec<(&str, &Value)> = branch
        .iter()
        .filter_map(|entry| match &entry.kind {
            EntryKind::Message { message } => Some((entry.id.as_str(), message)),
            _ => None,
        })
        .collect();
    let mut left = ANSWER_BYTES_MAX;
    let mut shown: Vec<Value> = messages
        .iter()
        .enumerate()
        .rev()
        .filter_map(|(index, (id, message))| sized(message, id, index as u64 + 1, limits.chars))
        .take(limits.messages)
        .map_while(|(message, bytes)| {
            left = left.checked_sub(bytes + 1)?;
            Some(message)
        })
        .collect();
    shown.reverse();
    shown
}

/// One message as clients see it; `seq` is its place among the branch's messages, from 1.
///
/// `None` for a message that consists of nothing but tool calls.
pub fn show(message: &Value, id: &str, seq: u64, chars: usize) -> Option<Value> {
    sized(message, id, seq, chars).map(|(shown, _)| shown)
}

/// Also says how many bytes its JSON takes.
fn sized(message: &Value, id: &str, seq: u64, chars: usize) -> Option<(Value, usize)> {
    let mut shown = message.as_object()?.clone();
    shown.shift_remove("details");
    keep_total_cost(&mut shown);
    if !show_content(&mut shown, chars) {
        return None;
    }
    let marks = json!({"id": id, "seq": seq});
    shown.insert("__openclaw".into(), marks.clone());
    let shown = Value::Object(shown);
    let bytes = shown.to_string().len();
    if bytes <= MESSAGE_BYTES_MAX {
        return Some((shown, bytes));
    }
    let stand_in = json!({
        "role": message.get("role"),
        "content": [{"type": "text", "text": OMITTED}],
        "timestamp": message.get("timestamp"),
        "__openclaw": marks,
    });
    let bytes = stand_in.to_string().len();
    Some((stand_in, bytes))
}

fn keep_total_cost(message: &mut Map<String, Value>) {
    if let Some(cost) = message.get_mut("usage").and_then(|usage| usage.get_mut("cost")) {
        *cost = json!({"total": cost.get("total").cloned().unwrap_or(json!(0))});
    }
}

/// Makes the content presentable; `false` when nothing is left of it.
fn show_content(message: &mut Map<String, Value>, chars: usize) -> bool {
    let is_user = message.get("role").and_then(Value::as_str) == Some("user");
    let mut sender = None;
    let mut present = |text: &mut String| {
        if is_user {
            let bare = envelope::strip(text);
            sender = bare.sender_label.or(sender.take());
            *text = bare.text.to_owned();
        }
        cut(text, chars);
    };
    let mut is_empty = false;
    match message.get_mut("content") {
        Some(Value::String(text)) => present(text),
        Some(Value::Array(parts)) => {
            let before = parts.len();
            parts.retain(|part| part.get("type").and_then(Value::as_str) != Some("toolCall"));
            is_empty = parts.is_empty() && before > 0;
            for part in parts.iter_mut() {
                if let Some(Value::String(text)) = part.get_mut("text") {
                    present(text);
                }
                if let Some(Value::String(thinking)) = part.get_mut("thinking") {
                    cut(thinking, chars);
                }
                trim_part(part);
            }
        }
        _ => {}
    }
    if let Some(label) = sender {
        message.insert("senderLabel".into(), label.into());
    }
    !is_empty
}

/// Removes what is of use only to a model: signatures and the bytes of images.
fn trim_part(part: &mut Value) {
    let Some(part) = part.as_object_mut() else { return };
    for key in ["thinkingSignature", "signature", "textSignature"] {
        part.shift_remove(key);
    }
    if part.get("type").and_then(Value::as_str) == Some("image")
        && let Some(Value::String(data)) = part.shift_remove("data")
    {
        part.insert("omitted".into(), true.into());
        part.insert("bytes".into(), (data.len() / 4 * 3).into());
    }
}

fn cut(text: &mut String, chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
        text.push_str(CUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, message: Value) -> TranscriptEntry {
        TranscriptEntry::new(id, None, "t", EntryKind::Message { message })
    }

    fn history(entries: &[TranscriptEntry], messages: usize, chars: usize) -> Vec<Value> {
        view(&entries.iter().collect::<Vec<_>>(), HistoryLimits { messages, chars })
    }

    #[test]
    fn messages_are_shown_as_recorded_clients_saw_them() {
        let stored = "Sender (untrusted metadata):\n```json\n{\"label\": \"golden (c)\", \"id\": \"c\"}\n```\n\n\
                      [Sat 2026-11-21 08:10 UTC] hello";
        let shown = history(
            &[
                entry("a", json!({"role": "user", "content": [{"type": "text", "text": stored}], "timestamp": 1})),
                entry(
                    "b",
                    json!({"role": "assistant", "content": [{"type": "text", "text": "Checking."},
                        {"type": "toolCall", "id": "c", "name": "read", "arguments": {}}],
                        "usage": {"input": 11, "cost": {"input": 1, "total": 0}}, "stopReason": "toolUse", "timestamp": 2}),
                ),
                entry("c", json!({"role": "toolResult", "content": [], "details": {"secret": 1}, "timestamp": 3})),
            ],
            10,
            100,
        );
        assert_eq!(
            shown,
            [
                json!({"role": "user", "content": [{"type": "text", "text": "hello"}], "timestamp": 1,
                       "senderLabel": "golden (c)", "__openclaw": {"id": "a", "seq": 1}}),
                json!({"role": "assistant", "content": [{"type": "text", "text": "Checking."}],
                       "usage": {"input": 11, "cost": {"total": 0}}, "stopReason": "toolUse", "timestamp": 2,
                       "__openclaw": {"id": "b", "seq": 2}}),
                json!({"role": "toolResult", "content": [], "timestamp": 3, "__openclaw": {"id": "c", "seq": 3}}),
            ]
        );
    }

    #[test]
    fn a_message_of_tool_calls_alone_is_not_shown_but_counted() {
        let shown = history(
            &[
                entry("a", json!({"role": "assistant", "content": [{"type": "toolCall", "id": "c"}]})),
                entry("b", json!({"role": "assistant", "content": []})),
            ],
            10,
            100,
        );
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0]["__openclaw"], json!({"id": "b", "seq": 2}));
    }

    #[test]
    fn limits_keep_the_latest_and_cut_long_texts() {
        let entries: Vec<_> =
            (0..5).map(|n| entry(&n.to_string(), json!({"role": "user", "content": "äöü"}))).collect();
        let shown = history(&entries, 2, 2);
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0]["__openclaw"]["seq"], 4);
        assert_eq!(shown[1]["content"], "äö\n...(truncated)...");
        assert_eq!(history(&entries, 2, 3)[1]["content"], "äöü");
    }

    #[test]
    fn a_message_that_is_too_large_is_replaced() {
        let parts: Vec<Value> = (0..30).map(|_| json!({"type": "text", "text": "x".repeat(8000)})).collect();
        let shown = history(&[entry("a", json!({"role": "user", "content": parts, "timestamp": 4}))], 10, 8000);
        assert_eq!(
            shown[0],
            json!({"role": "user", "content": [{"type": "text", "text": OMITTED}], "timestamp": 4,
                   "__openclaw": {"id": "a", "seq": 1}})
        );
    }

    #[test]
    fn an_answer_that_is_too_large_loses_its_oldest_messages() {
        let text = "x".repeat(100_000);
        let entries: Vec<_> =
            (0..100).map(|n| entry(&n.to_string(), json!({"role": "user", "content": text}))).collect();
        let shown = history(&entries, 1000, 500_000);
        let size: usize = shown.iter().map(|message| message.to_string().len()).sum();
        assert!(size <= ANSWER_BYTES_MAX && size > ANSWER_BYTES_MAX - 110_000, "{size}");
        assert_eq!(shown.last().unwrap()["__openclaw"]["seq"], 100);
    }

    #[test]
    fn images_lose_their_bytes_and_reasoning_its_signature() {
        let content = json!([{"type": "image", "data": "AAAA", "mimeType": "image/png"},
                             {"type": "thinking", "thinking": "hm", "thinkingSignature": "s"}]);
        let shown = history(&[entry("a", json!({"role": "assistant", "content": content}))], 1, 100);
        assert_eq!(
            shown[0]["content"],
            json!([{"type": "image", "mimeType": "image/png", "omitted": true, "bytes": 3},
                   {"type": "thinking", "thinking": "hm"}])
        );
    }
}
