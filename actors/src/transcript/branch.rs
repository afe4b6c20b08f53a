//! Which entries of a transcript count now, and what of them a prompt contains.
//!
//! The current branch ends at the last entry and follows the parent ids back. A parent whose line was lost is
//! replaced by the line before, so that damage to one line does not cost the whole history.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::entry::{EntryKind, TranscriptEntry};
use crate::heartbeat::answer::{self, Answer};
use crate::model::message::{Message, Part, UserMessage};

/// The `kind` of the provenance of a message that begins a heartbeat.
pub const HEARTBEAT: &str = "heartbeat";

/// The current branch, oldest first.
pub fn current(entries: &[TranscriptEntry]) -> Vec<&TranscriptEntry> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, entry) in entries.iter().enumerate() {
        places.entry(entry.id.as_str()).or_default().push(place);
    }
    let mut branch = Vec::new();
    let mut next = entries.iter().rposition(is_node);
    while let Some(place) = next {
        let entry = &entries[place];
        branch.push(entry);
        // parents stand before their children, whatever a damaged file claims: this loop ends
        next = entry.parent_id.as_deref().and_then(|parent| {
            let named = places.get(parent).and_then(|at| at.iter().rev().find(|at| **at < place));
            named.copied().or_else(|| entries[..place].iter().rposition(is_node))
        });
    }
    branch.reverse();
    branch
}

/// Can it be part of a branch? Lines without an id cannot be anybody's parent.
fn is_node(entry: &TranscriptEntry) -> bool {
    !entry.is_header() && !entry.id.is_empty()
}

/// The messages of a branch that the model sees, oldest first.
///
/// After a compaction these are its summary, the entries from its first kept one on, and what came later. Pairing
/// tool calls with results is the model library's task.
pub fn context(branch: &[&TranscriptEntry]) -> Vec<Message> {
    let compacted = branch.iter().enumerate().rev().find_map(|(place, entry)| match &entry.kind {
        EntryKind::Compaction { summary, first_kept_entry_id, .. } => {
            Some((place, *entry, summary, first_kept_entry_id))
        }
        _ => None,
    });
    let Some((place, entry, summary, first_kept)) = compacted else {
        return said(branch).collect();
    };
    let kept_from = branch[..place].iter().position(|kept| kept.id == *first_kept).unwrap_or(place);
    let note =
        format!("Summary of the conversation up to here; the original messages are no longer shown.\n\n{summary}");
    std::iter::once(user(note, entry))
        .chain(said(&branch[kept_from..place]))
        .chain(said(&branch[place + 1..]))
        .collect()
}

/// What the model sees of some entries: without the heartbeats that found nothing.
fn said(entries: &[&TranscriptEntry]) -> impl Iterator<Item = Message> {
    let mut messages: Vec<Message> = Vec::new();
    // Where a heartbeat began that may turn out to have found nothing.
    let mut woken: Option<usize> = None;
    for entry in entries {
        let Some(message) = for_model(entry) else { continue };
        match &message {
            Message::User(user) if is_heartbeat(user) => woken = Some(messages.len()),
            Message::User(_) if matches!(entry.kind, EntryKind::Message { .. }) => woken = None,
            Message::Assistant(answer) if answer.tool_calls().next().is_none() => {
                if let Some(from) = woken.take().filter(|_| matches!(answer::read(&message.text(), 0), Answer::Ok)) {
                    messages.truncate(from);
                    continue;
                }
            }
            _ => {}
        }
        messages.push(message);
    }
    messages.into_iter()
}

fn is_heartbeat(message: &UserMessage) -> bool {
    message.provenance.as_ref().is_some_and(|from| from["kind"] == HEARTBEAT)
}

fn for_model(entry: &TranscriptEntry) -> Option<Message> {
    match &entry.kind {
        EntryKind::Message { .. } => entry.as_message().filter(says_something),
        EntryKind::CustomMessage { content, .. } => {
            let content = parts(content)?;
            Some(Message::User(UserMessage { content, timestamp: millis(entry), provenance: None }))
        }
        EntryKind::BranchSummary { summary, .. } => {
            Some(user(format!("Summary of a part of the conversation that was left aside.\n\n{summary}"), entry))
        }
        _ => None,
    }
}

/// A turn that failed before its first word leaves an empty answer, which no provider accepts.
fn says_something(message: &Message) -> bool {
    !matches!(message, Message::Assistant(answer) if answer.content.is_empty())
}

fn user(text: String, entry: &TranscriptEntry) -> Message {
    Message::User(UserMessage { content: vec![Part::text(text)], timestamp: millis(entry), provenance: None })
}

fn parts(content: &Value) -> Option<Vec<Part>> {
    match content {
        Value::String(text) => Some(vec![Part::text(text.as_str())]),
        parts => Vec::<Part>::deserialize(parts).ok(),
    }
}

/// The entry's time, milliseconds since the epoch; 0 when it is not readable.
fn millis(entry: &TranscriptEntry) -> i64 {
    entry.timestamp.parse::<jiff::Timestamp>().map(|time| time.as_millisecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn line(value: Value) -> TranscriptEntry {
        TranscriptEntry::from_value(value)
    }

    fn say(id: &str, parent: Option<&str>, text: &str) -> TranscriptEntry {
        line(json!({"type": "message", "id": id, "parentId": parent, "timestamp": "2026-11-21T08:10:00Z",
                    "message": {"role": "user", "content": text, "timestamp": 1}}))
    }

    fn ids(entries: &[TranscriptEntry]) -> Vec<&str> {
        current(entries).iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn the_branch_follows_the_parents_of_the_last_entry() {
        let entries = [
            say("a", None, "1"),
            say("b", Some("a"), "left aside"),
            say("c", Some("a"), "3"),
            say("d", Some("c"), "4"),
        ];
        assert_eq!(ids(&entries), ["a", "c", "d"]);
        assert!(ids(&[]).is_empty());
    }

    #[test]
    fn a_lost_parent_is_replaced_by_the_line_before() {
        let entries = [say("a", None, "1"), say("b", Some("a"), "2"), say("d", Some("lost"), "4")];
        assert_eq!(ids(&entries), ["a", "b", "d"]);
    }

    #[test]
    fn a_file_that_claims_circles_still_has_a_branch() {
        let entries = [say("a", Some("b"), "1"), say("b", Some("b"), "2"), say("a", Some("a"), "3")];
        assert_eq!(ids(&entries), ["a", "a"]);
    }

    #[test]
    fn a_heartbeat_that_found_nothing_is_not_shown_to_the_model_later() {
        let woken = |id: &str, parent: &str| {
            line(json!({"type": "message", "id": id, "parentId": parent, "timestamp": "t",
                        "message": {"role": "user", "content": "poll", "provenance": {"kind": "heartbeat"}}}))
        };
        let words = |id: &str, parent: &str| {
            line(
                json!({"type": "custom_message", "id": id, "parentId": parent, "timestamp": "t", "customType": "heartbeat",
                        "content": "look", "display": false}),
            )
        };
        let answer = |id: &str, parent: &str, text: &str| {
            line(json!({"type": "message", "id": id, "parentId": parent, "timestamp": "t",
                        "message": {"role": "assistant", "content": [{"type": "text", "text": text}]}}))
        };
        let entries = [
            say("a", None, "1"),
            woken("b", "a"),
            words("c", "b"),
            answer("d", "c", "**HEARTBEAT_OK**"),
            woken("e", "d"),
            words("f", "e"),
            answer("g", "f", "the oven"),
            say("h", Some("g"), "2"),
            answer("i", "h", "HEARTBEAT_OK"),
            woken("j", "i"),
            words("k", "j"),
        ];
        let texts: Vec<String> = context(&current(&entries)).iter().map(Message::text).collect();
        assert_eq!(texts, ["1", "poll", "look", "the oven", "2", "HEARTBEAT_OK", "poll", "look"]);
    }

    #[test]
    fn unknown_lines_hold_the_chain_together_but_are_not_shown_to_the_model() {
        let entries = [
            say("a", None, "1"),
            line(json!({"type": "future", "id": "f", "parentId": "a", "timestamp": "t"})),
            line(json!({"type": "custom", "id": "c", "parentId": "f", "timestamp": "t", "customType": "x"})),
            line(json!({"type": "custom_message", "id": "m", "parentId": "c", "timestamp": "t", "customType": "x",
                        "content": "note", "display": false})),
            say("b", Some("m"), "2"),
        ];
        assert_eq!(ids(&entries), ["a", "f", "c", "m", "b"]);
        let texts: Vec<String> = context(&current(&entries)).iter().map(Message::text).collect();
        assert_eq!(texts, ["1", "note", "2"]);
    }

    #[test]
    fn a_compaction_replaces_what_lies_before_the_first_kept_entry() {
        let entries = [
            say("a", None, "old"),
            say("b", Some("a"), "kept"),
            line(json!({"type": "compaction", "id": "c", "parentId": "b", "timestamp": "t", "summary": "SUM",
                        "firstKeptEntryId": "b", "tokensBefore": 9})),
            say("d", Some("c"), "new"),
        ];
        let texts: Vec<String> = context(&current(&entries)).iter().map(Message::text).collect();
        assert!(texts[0].ends_with("\n\nSUM"), "{texts:?}");
        assert_eq!(texts[1..], ["kept", "new"]);
    }

    #[test]
    fn a_compaction_that_kept_nothing_leaves_only_its_summary() {
        let entries = [
            say("a", None, "old"),
            line(json!({"type": "compaction", "id": "c", "parentId": "a", "timestamp": "t", "summary": "SUM",
                        "firstKeptEntryId": "", "tokensBefore": 9})),
        ];
        assert_eq!(context(&current(&entries)).len(), 1);
    }

    #[test]
    fn an_answer_that_never_began_is_not_shown_to_the_model() {
        let entries = [
            say("a", None, "1"),
            line(json!({"type": "message", "id": "b", "parentId": "a", "timestamp": "t",
                        "message": {"role": "assistant", "content": [], "stopReason": "error"}})),
        ];
        assert_eq!(context(&current(&entries)).len(), 1);
    }

    proptest! {
        #[test]
        fn whatever_the_parents_claim_the_branch_is_in_file_order(parents in prop::collection::vec(0usize..12, 1..12)) {
            let entries: Vec<_> = parents.iter().enumerate()
                .map(|(n, parent)| say(&format!("e{n}"), Some(&format!("e{parent}")), "x")).collect();
            let branch: Vec<usize> = current(&entries).iter().map(|e| e.id[1..].parse().unwrap()).collect();
            prop_assert!(branch.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(*branch.last().unwrap(), parents.len() - 1);
        }
    }
}
