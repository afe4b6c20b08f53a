//! Judges a history after crashes: `crash-checker <acknowledged.jsonl> <exported sessions> [<dead.jsonl>]`.
//!
//! It knows only what was acknowledged (`{"session","text"}` a line), the files of `openclaw sessions export`, and which messages
//! the gateway itself says it has given up: only those may be without an answer. It shares no code with the gateway. Prints `{"messages","acknowledged","violations":[…]}`; ends with 1 when there is a violation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test program: a failure is a panic, and nothing here outlives the process"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

/// What every message of the load begins with; anything else that stands as said by a user was said by the gateway.
const MARK: &str = "message <";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(acknowledged), Some(export)) = (args.next(), args.next()) else {
        eprintln!("usage: crash-checker <acknowledged.jsonl> <exported sessions> [<dead.jsonl>]");
        return ExitCode::from(2);
    };
    let acknowledged = messages_in(&acknowledged);
    let dead = args.next().map(|path| messages_in(&path)).unwrap_or_default();
    let histories = histories_in(&export);
    let mut violations = Vec::new();
    for (session, entries) in &histories {
        check_structure(session, entries, &mut violations);
        check_answers(session, entries, dead.get(session).unwrap_or(&HashSet::new()), &mut violations);
    }
    for (session, texts) in &acknowledged {
        let said = histories.get(session).map(|entries| said(entries)).unwrap_or_default();
        for text in texts.iter().filter(|text| !said.contains_key(*text)) {
            violations.push(format!("{session}: {text:?} was acknowledged and is lost"));
        }
    }
    let messages: usize = histories.values().map(|entries| said(entries).len()).sum();
    let acknowledged: usize = acknowledged.values().map(HashSet::len).sum();
    println!("{}", json!({ "messages": messages, "acknowledged": acknowledged, "violations": violations }));
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn messages_in(path: &Path) -> BTreeMap<String, HashSet<String>> {
    let mut of: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    for line in std::fs::read_to_string(path).expect("a list of messages").lines() {
        let row: Value = serde_json::from_str(line).expect("a row");
        let text = |key: &str| row[key].as_str().expect("a text").to_owned();
        of.entry(text("session")).or_default().insert(text("text"));
    }
    of
}

/// Every session's lines, by session key.
fn histories_in(export: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut found = BTreeMap::new();
    for index in files_named(export, "sessions.json") {
        let map: HashMap<String, Value> =
            serde_json::from_str(&std::fs::read_to_string(&index).expect("an index")).expect("JSON");
        for (key, entry) in map {
            let id = entry["sessionId"].as_str().expect("a session id");
            let file = index.with_file_name(format!("{id}.jsonl"));
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            found.insert(key, text.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect());
        }
    }
    found
}

fn files_named(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("an export").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(files_named(&entry, name));
        } else if entry.file_name().is_some_and(|file| file == name) {
            found.push(entry);
        }
    }
    found
}

fn text_of(entry: &Value) -> String {
    match &entry["message"]["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// The message of the load in an entry, without the time in front of it.
fn message(entry: &Value) -> Option<String> {
    let text = (entry["message"]["role"] == "user").then(|| text_of(entry))?;
    text.find(MARK).map(|at| text[at..].to_owned())
}

/// How often each message stands there.
fn said(entries: &[Value]) -> HashMap<String, usize> {
    let mut said = HashMap::new();
    for text in entries.iter().filter_map(message) {
        *said.entry(text).or_insert(0) += 1;
    }
    said
}

fn check_structure(session: &str, entries: &[Value], violations: &mut Vec<String>) {
    let mut ids = HashSet::new();
    let mut results = HashSet::new();
    for entry in entries.iter().filter(|entry| entry["type"] == "message") {
        let id = entry["id"].as_str().unwrap_or_default();
        if let Some(parent) = entry["parentId"].as_str()
            && !ids.contains(parent)
        {
            violations.push(format!("{session}: {id} hangs on {parent}, which is not there"));
        }
        if !ids.insert(id) {
            violations.push(format!("{session}: {id} stands twice"));
        }
        if let Some(call) = entry["message"]["toolCallId"].as_str()
            && !results.insert(call)
        {
            violations.push(format!("{session}: the call {call} has two results"));
        }
    }
}

/// Each message is there once, and answered once before the next one; a dead one not at all.
fn check_answers(session: &str, entries: &[Value], dead: &HashSet<String>, violations: &mut Vec<String>) {
    for (text, count) in said(entries).into_iter().filter(|(_, count)| *count > 1) {
        violations.push(format!("{session}: {text:?} stands there {count} times"));
    }
    let mut open: Option<(String, usize)> = None;
    let mut close = |open: &mut Option<(String, usize)>| {
        if let Some((text, answers)) = open.take()
            && answers != usize::from(!dead.contains(&text))
        {
            violations.push(format!("{session}: {text:?} was answered {answers} times"));
        }
    };
    for entry in entries {
        if let Some(text) = message(entry) {
            close(&mut open);
            open = Some((text, 0));
        } else if entry["message"]["role"] == "assistant"
            && entry["message"]["stopReason"] == "stop"
            && let Some((_, answers)) = &mut open
        {
            *answers += 1;
        }
    }
    close(&mut open);
}
