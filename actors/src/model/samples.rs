//! Conversations, targets and byte streams for the tests of the wires.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use futures::stream;
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::decode::{Decoder, decode};
use super::error::ModelError;
use super::message::{AssistantMessage, Message, Part, StopReason, ToolCall, ToolResultMessage, UserMessage};
use super::provider::{Delta, Request, Target, ToolSpec};
use crate::config::settings::{ModelCompat, ModelCost};

pub fn user(text: &str) -> Message {
    Message::User(UserMessage { content: vec![Part::text(text)], timestamp: 1, provenance: None })
}

/// An answer of the model of `target`.
pub fn answer(content: Vec<Part>, stop_reason: StopReason) -> Message {
    Message::Assistant(AssistantMessage {
        content,
        api: "wire".into(),
        provider: "acme".into(),
        model: "m-1".into(),
        stop_reason,
        timestamp: 2,
        ..AssistantMessage::default()
    })
}

pub fn thinking(text: &str, signature: &str) -> Part {
    Part::Thinking { thinking: text.into(), thinking_signature: Some(signature.into()) }
}

pub fn call(id: &str, name: &str) -> Part {
    Part::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: json!({"command": "ls"}) })
}

pub fn result(id: &str) -> Message {
    Message::ToolResult(ToolResultMessage {
        tool_call_id: id.into(),
        tool_name: "exec".into(),
        content: vec![Part::text("a.txt")],
        details: None,
        is_error: false,
        timestamp: 3,
    })
}

pub fn image() -> Part {
    Part::Image { data: "AAAA".into(), mime_type: "image/png".into() }
}

pub fn target(api: &str) -> Target {
    Target {
        provider: "acme".into(),
        model: "m-1".into(),
        api: api.into(),
        base_url: "http://127.0.0.1:1/v1".into(),
        api_key: Some("key-123".into()),
        auth_header: false,
        headers: BTreeMap::new(),
        reasoning: false,
        images: true,
        cost: ModelCost { input: 1.0, output: 2.0, cache_read: 0.5, cache_write: 4.0 },
        context_window: 100_000,
        max_tokens: 4_096,
        compat: ModelCompat::default(),
        idle: Duration::from_secs(5),
    }
}

pub fn request<'a>(messages: &'a [Message], tools: &'a [ToolSpec]) -> Request<'a> {
    Request { system: "be brief", messages, tools, thinking: "off", cache_key: "session-1", max_tokens: None }
}

pub fn tool() -> ToolSpec {
    let parameters: Value = json!({"type": "object", "properties": {"command": {"type": "string"}}});
    ToolSpec { name: "exec".into(), description: "runs a command".into(), parameters }
}

/// What a wire makes of a recorded answer that arrives in these chunks.
pub fn replay<D: Decoder>(decoder: D, chunks: Vec<Vec<u8>>) -> Vec<Result<Delta, ModelError>> {
    static TIMER: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a timer can be made"));
    let _timer = TIMER.enter();
    let bytes = stream::iter(chunks.into_iter().map(|chunk| Ok(chunk.into()))).boxed();
    let deltas = decode(bytes, decoder, Duration::from_secs(5)).collect::<Vec<_>>();
    deltas.now_or_never().expect("an answer in memory never waits")
}

/// The whole answer of a recording, in one chunk.
pub fn outcome<D: Decoder>(decoder: D, recording: &str) -> Result<AssistantMessage, ModelError> {
    match replay(decoder, vec![recording.into()]).pop() {
        Some(Ok(Delta::Done(message))) => Ok(*message),
        Some(Err(error)) => Err(error),
        other => panic!("an answer ends with done or an error, not with {other:?}"),
    }
}

/// The recording cut at these places (any order, any value) gives the same deltas as the recording whole.
pub fn check_any_split<D: Decoder>(decoder: impl Fn() -> D, recording: &str, cuts: &[usize]) {
    let bytes = recording.as_bytes();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut chunks = Vec::new();
    let mut from = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        chunks.push(bytes[from..cut].to_vec());
        from = cut;
    }
    assert_eq!(replay(decoder(), chunks), replay(decoder(), vec![bytes.to_vec()]));
}
