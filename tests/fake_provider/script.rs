//! What one answer is made of, and which script a request gets.
//!
//! Order: the queue (`POST /script`), then the marker `[[script:NAME]]` in the last user text, then the default answer.
//! A request that ends with a tool result gets the default answer, unless the queue or a `…-loop` marker says otherwise:
//! otherwise a tool call would be asked for again without end.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The default answer, in the pieces in which it is streamed.
pub const ANSWER: [&str; 6] = ["Hello", " from", " the", " fake", " provider", "."];

/// One answer. Everything absent means: the default text, at once, without a fault.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Script {
    /// Only for a request whose last user text contains this; others pass it by.
    pub when: Option<String>,
    /// Reasoning text, streamed before the answer.
    pub thinking: Option<String>,
    /// The text, in the pieces in which it is streamed. Empty: none if there are tool calls, else the default answer.
    pub text: Vec<String>,
    /// Send the last user text back instead of `text`.
    pub echo: bool,
    /// Tool calls after the text, in order.
    pub tools: Vec<ToolCall>,
    /// Milliseconds before each piece of text. Default 0.
    pub delay_ms: u64,
    /// Milliseconds before the response head. Default 0.
    pub head_delay_ms: u64,
    /// Send the body in pieces of this many bytes, so that characters and lines are cut anywhere.
    pub split_bytes: Option<usize>,
    /// Answer with this status instead of a stream.
    pub error: Option<ErrorReply>,
    pub fault: Option<Fault>,
    pub usage: Usage,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ToolCall {
    pub name: String,
    #[serde(default)]
    pub arguments: Value,
}

/// A refusal instead of a stream. An absent body is the wire's usual one for that status.
#[derive(Debug, Clone, Deserialize)]
pub struct ErrorReply {
    pub status: u16,
    #[serde(default)]
    pub headers: Map<String, Value>,
    #[serde(default)]
    pub body: Option<Value>,
}

/// What goes wrong with a stream that began well. "Middle" is after half of the pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// No response head, ever.
    HangBeforeHead,
    /// The middle, then nothing, with the connection open.
    HangMidStream,
    /// The middle, then the connection is cut.
    DropMidStream,
    /// The middle, then a line that is not JSON, then a proper end of the body.
    Malformed,
    /// All pieces, but no finish reason, no usage and no end marker.
    NoFinish,
    /// The middle, then the wire's own error event.
    ErrorEvent,
}

/// Token counts. `input` excludes the cached ones, as our usage does; each wire adds them up its own way.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    pub input: u64,
    pub cache_read: u64,
    pub output: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { input: 100, cache_read: 20, output: 6 }
    }
}

impl Script {
    pub fn text(text: &str) -> Self {
        Self { text: vec![text.to_owned()], ..Self::default() }
    }

    pub fn tool(name: &str, arguments: Value) -> Self {
        Self { tools: vec![ToolCall { name: name.to_owned(), arguments }], ..Self::default() }
    }

    pub fn fault(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    pub fn status(status: u16) -> Self {
        Self { error: Some(ErrorReply { status, headers: Map::new(), body: None }), ..Self::default() }
    }

    /// The pieces of text to stream for a request whose last user text is `user_text`.
    pub fn pieces(&self, user_text: &str) -> Vec<String> {
        if self.echo {
            vec![user_text.to_owned()]
        } else if self.text.is_empty() && self.tools.is_empty() {
            ANSWER.map(str::to_owned).to_vec()
        } else {
            self.text.clone()
        }
    }
}

/// Takes the script for one request; a queued one is used up.
pub fn choose(queue: &mut VecDeque<Script>, user_text: &str, after_tool: bool) -> Script {
    let queued = queue.iter().position(|s| s.when.as_deref().is_none_or(|when| user_text.contains(when)));
    if let Some(script) = queued.and_then(|at| queue.remove(at)) {
        return script;
    }
    match marker(user_text) {
        Some(name) if !after_tool || name.ends_with("-loop") => named(name),
        _ => Script::default(),
    }
}

/// The name inside the last `[[script:NAME]]`.
fn marker(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once("[[script:")?;
    rest.split_once("]]").map(|(name, _)| name)
}

/// The scripts that a marker can ask for; an unknown name is an error that the test sees at once.
fn named(name: &str) -> Script {
    let base = Script::default();
    match name {
        "slow" => Script { delay_ms: 100, text: words(20), ..base },
        "endless" => Script { delay_ms: 250, text: words(400), ..base },
        "echo" => Script { echo: true, ..base },
        "long" => Script { text: words(20_000), ..base },
        "utf8" => Script {
            text: vec!["Grüße ".into(), "🦞🦀".into(), " 終わり".into()], split_bytes: Some(1), ..base
        },
        "thinking" => Script { thinking: Some("Let me think.".into()), ..base },
        "tool" => Script { text: vec!["Checking.".into()], ..Script::tool("session_status", json!({})) },
        "tools" => Script { tools: vec![call("session_status"), call("sessions_list")], ..base },
        "unknown-tool" | "unknown-tool-loop" => Script::tool("no_such_tool", json!({ "a": 1 })),
        "tool-loop" => Script::tool("session_status", json!({})),
        "error-429" => {
            let headers = Map::from_iter([("retry-after".to_owned(), json!("1"))]);
            Script { error: Some(ErrorReply { status: 429, headers, body: None }), ..base }
        }
        "hang-head" => Script::fault(Fault::HangBeforeHead),
        "hang-mid" => Script::fault(Fault::HangMidStream),
        "drop" => Script::fault(Fault::DropMidStream),
        "malformed" => Script::fault(Fault::Malformed),
        "no-finish" => Script::fault(Fault::NoFinish),
        "error-event" => Script::fault(Fault::ErrorEvent),
        _ => match name.strip_prefix("error-").and_then(|status| status.parse().ok()) {
            Some(status) => Script::status(status),
            None => Script::text(&format!("the fake provider knows no script {name:?}")),
        },
    }
}

fn call(name: &str) -> ToolCall {
    ToolCall { name: name.to_owned(), arguments: json!({}) }
}

/// `word1 word2 …`: text whose order and completeness can be checked.
fn words(count: usize) -> Vec<String> {
    (1..=count).map(|n| if n == 1 { "word1".to_owned() } else { format!(" word{n}") }).collect()
}
