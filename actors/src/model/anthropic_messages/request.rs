//! What is sent on the Messages wire.
//!
//! Invariants of the body: roles alternate and the first is `user`; results stand at the head of the message after
//! their calls; no block is empty.

use serde_json::{Map, Value, json};

use super::API;
use super::decoder::REDACTED;
use crate::model::answer::{is_from, max_tokens};
use crate::model::history;
use crate::model::message::{AssistantMessage, Message, Part, ToolCall, ToolResultMessage};
use crate::model::provider::{Request, Target, ToolSpec};
use crate::model::thinking::{self, AnthropicThinking};
use crate::model::tool_id;

/// The wire requires a limit; this is for models without a known one. Tokens.
const MAX_TOKENS_DEFAULT: u64 = 8_192;
/// Opens a conversation whose own opening was compacted away.
const OPENING: &str = "(earlier messages are not shown)";

/// The body of the request.
pub fn body(target: &Target, request: &Request<'_>) -> Value {
    let limit = max_tokens(target, request.max_tokens).unwrap_or(MAX_TOKENS_DEFAULT);
    let mut messages = messages(target, request);
    let thinking = match thinking::anthropic(request.thinking, &target.model, limit, target.max_tokens.max(limit)) {
        _ if !target.reasoning => AnthropicThinking::Off,
        AnthropicThinking::Budget { .. } if is_mid_turn_without_thinking(&messages) => AnthropicThinking::Off,
        wanted => wanted,
    };
    mark_for_cache(&mut messages);
    let mut body = Map::new();
    body.insert("model".into(), json!(target.model));
    body.insert("max_tokens".into(), json!(limit));
    if !request.system.is_empty() {
        body.insert("system".into(), json!([cached(json!({"type": "text", "text": request.system}))]));
    }
    body.insert("messages".into(), Value::Array(messages));
    if !request.tools.is_empty() && target.compat.supports_tools != Some(false) {
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
    }
    match thinking {
        AnthropicThinking::Off => {}
        AnthropicThinking::Budget { tokens, answer_max } => {
            body.insert("max_tokens".into(), json!(answer_max));
            body.insert("thinking".into(), json!({"type": "enabled", "budget_tokens": tokens}));
        }
        AnthropicThinking::Adaptive(effort) => {
            body.insert("thinking".into(), json!({"type": "adaptive"}));
            body.insert("output_config".into(), json!({"effort": effort}));
        }
    }
    body.insert("stream".into(), json!(true));
    Value::Object(body)
}

fn tool(tool: &ToolSpec) -> Value {
    json!({"name": tool.name, "description": tool.description, "input_schema": tool.parameters})
}

/// Cached for five minutes, the wire's default.
fn cached(mut block: Value) -> Value {
    block["cache_control"] = json!({"type": "ephemeral"});
    block
}

/// Marks the last block of the last user message: everything up to it is the next request's prefix.
fn mark_for_cache(messages: &mut [Value]) {
    let last_user = messages.iter_mut().rfind(|message| message["role"] == "user");
    let blocks = last_user.and_then(|message| message["content"].as_array_mut());
    if let Some(block) = blocks.and_then(|blocks| blocks.last_mut()) {
        *block = cached(block.take());
    }
}

fn messages(target: &Target, request: &Request<'_>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for message in history::for_request(request.messages, target.images) {
        let (role, blocks) = match &*message {
            Message::User(user) => ("user", blocks(&user.content)),
            Message::Assistant(answer) => ("assistant", assistant(target, answer)),
            Message::ToolResult(result) => ("user", vec![tool_result(result)]),
        };
        if out.is_empty() && role == "assistant" {
            out.push(json!({"role": "user", "content": [{"type": "text", "text": OPENING}]}));
        }
        push(&mut out, role, blocks);
    }
    out
}

/// Appends to the last message if it has the same role.
fn push(out: &mut Vec<Value>, role: &str, mut blocks: Vec<Value>) {
    if blocks.is_empty() {
        return;
    }
    match out.last_mut() {
        Some(last) if last["role"] == role => {
            if let Some(content) = last["content"].as_array_mut() {
                content.append(&mut blocks);
            }
        }
        _ => out.push(json!({"role": role, "content": blocks})),
    }
}

fn blocks(parts: &[Part]) -> Vec<Value> {
    parts
        .iter()
        .filter_map(|part| match part {
            Part::Text { text } => text_block(text),
            Part::Image { data, mime_type } => {
                let source = json!({"type": "base64", "media_type": mime_type, "data": data});
                Some(json!({"type": "image", "source": source}))
            }
            Part::Thinking { .. } | Part::ToolCall(_) => None,
        })
        .collect()
}

fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn assistant(target: &Target, answer: &AssistantMessage) -> Vec<Value> {
    let same_model = is_from(answer, API, target);
    answer
        .content
        .iter()
        .filter_map(|part| match part {
            Part::Text { text } => text_block(text),
            Part::Thinking { thinking, thinking_signature: Some(signature) } if same_model => {
                Some(match signature.strip_prefix(REDACTED) {
                    Some(data) => json!({"type": "redacted_thinking", "data": data}),
                    None => json!({"type": "thinking", "thinking": thinking, "signature": signature}),
                })
            }
            Part::ToolCall(call) => Some(tool_use(call)),
            Part::Thinking { .. } | Part::Image { .. } => None,
        })
        .collect()
}

/// The wire takes objects only; what the model wrote instead of one is kept where it can see it.
fn tool_use(call: &ToolCall) -> Value {
    let input = match &call.arguments {
        Value::Object(_) => call.arguments.clone(),
        Value::Null => json!({}),
        other => json!({"unparsed": other}),
    };
    json!({"type": "tool_use", "id": tool_id::word(&call.id), "name": call.name, "input": input})
}

fn tool_result(result: &ToolResultMessage) -> Value {
    let mut block = json!({
        "type": "tool_result",
        "tool_use_id": tool_id::word(&result.tool_call_id),
        "content": blocks(&result.content),
    });
    if result.is_error {
        block["is_error"] = json!(true);
    }
    block
}

/// A turn that goes on after tool results must have begun with thinking if thinking is to be on with a budget. It has
/// not when another model began it.
fn is_mid_turn_without_thinking(messages: &[Value]) -> bool {
    let [.., asked, results] = messages else { return false };
    results["content"][0]["type"] == "tool_result"
        && !matches!(asked["content"][0]["type"].as_str(), Some("thinking" | "redacted_thinking"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::StopReason;
    use crate::model::samples::{answer, call, image, request, result, target, thinking, tool as a_tool, user};

    #[test]
    fn a_plain_request_has_the_fields_of_the_wire() {
        let (messages, tools) = ([user("hi")], [a_tool()]);
        let mark = json!({"type": "ephemeral"});
        assert_eq!(
            body(&target(API), &Request { thinking: "high", ..request(&messages, &tools) }),
            json!({
                "model": "m-1",
                "max_tokens": 4096,
                "system": [{"type": "text", "text": "be brief", "cache_control": mark}],
                "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": mark}]}],
                "tools": [{"name": "exec", "description": "runs a command",
                    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}],
                "stream": true,
            })
        );
    }

    fn from_here(content: Vec<Part>) -> Message {
        let Message::Assistant(mut message) = answer(content, StopReason::ToolUse) else { unreachable!() };
        message.api = API.into();
        Message::Assistant(message)
    }

    fn sent(messages: &[Message], change: fn(&mut Target)) -> Value {
        let mut target = target(API);
        target.reasoning = true;
        target.max_tokens = 32_000;
        change(&mut target);
        body(&target, &Request { thinking: "low", max_tokens: Some(8_000), ..request(messages, &[]) })
    }

    #[test]
    fn thinking_has_a_budget_or_an_effort() {
        let messages = [user("x")];
        let budget = sent(&messages, |_| {});
        assert_eq!(budget["thinking"], json!({"type": "enabled", "budget_tokens": 2048}));
        assert_eq!(budget["max_tokens"], 10_048);
        let adaptive = sent(&messages, |t| t.model = "claude-opus-4-6".into());
        assert_eq!(
            (&adaptive["thinking"]["type"], &adaptive["output_config"]["effort"]),
            (&json!("adaptive"), &json!("low"))
        );
        assert_eq!(adaptive["max_tokens"], 8_000);
        assert_eq!(sent(&messages, |t| t.reasoning = false).get("thinking"), None);
    }

    #[test]
    fn a_turn_that_another_model_began_goes_on_without_a_budget() {
        let foreign = [user("x"), answer(vec![call("1", "exec")], StopReason::ToolUse), result("1")];
        assert_eq!(sent(&foreign, |_| {}).get("thinking"), None);
        let own = [user("x"), from_here(vec![thinking("hm", "sig"), call("1", "exec")]), result("1")];
        assert_eq!(sent(&own, |_| {})["thinking"]["type"], "enabled");
    }

    fn roles(body: &Value) -> Vec<(String, Vec<String>)> {
        let kind = |block: &Value| block["type"].as_str().unwrap().to_owned();
        let row = |message: &Value| {
            (
                message["role"].as_str().unwrap().to_owned(),
                message["content"].as_array().unwrap().iter().map(kind).collect(),
            )
        };
        body["messages"].as_array().unwrap().iter().map(row).collect()
    }

    fn rows(rows: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        rows.iter()
            .map(|(role, kinds)| ((*role).to_owned(), kinds.iter().map(|kind| (*kind).to_owned()).collect()))
            .collect()
    }

    #[test]
    fn roles_alternate_and_results_come_first() {
        let messages = [
            user("a"),
            user("b"),
            from_here(vec![Part::text("two calls"), call("1", "exec"), call("2", "exec")]),
            user("steer"),
            result("2"),
            result("1"),
        ];
        let sent = sent(&messages, |_| {});
        assert_eq!(
            roles(&sent),
            rows(&[
                ("user", &["text", "text"]),
                ("assistant", &["text", "tool_use", "tool_use"]),
                ("user", &["tool_result", "tool_result", "text"]),
            ])
        );
        assert_eq!(sent["messages"][2]["content"][2]["cache_control"]["type"], "ephemeral");
        assert_eq!(sent["messages"].to_string().matches("cache_control").count(), 1);
    }

    #[test]
    fn an_answer_cannot_open_the_conversation() {
        let sent = sent(&[from_here(vec![Part::text("hi")]), user("x")], |_| {});
        assert_eq!(roles(&sent), rows(&[("user", &["text"]), ("assistant", &["text"]), ("user", &["text"])]));
    }

    #[test]
    fn thinking_goes_back_with_its_signature_and_only_to_its_model() {
        let redacted = format!("{REDACTED}blob");
        let messages =
            [user("x"), from_here(vec![thinking("hm", "sig"), thinking("", &redacted), Part::text("a")]), user("y")];
        let own = sent(&messages, |_| {});
        assert_eq!(
            own["messages"][1]["content"],
            json!([
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "blob"},
                {"type": "text", "text": "a"},
            ])
        );
        let other = sent(&messages, |t| t.model = "m-2".into());
        assert_eq!(other["messages"][1]["content"], json!([{"type": "text", "text": "a"}]));
    }

    #[test]
    fn a_failed_tool_is_told_apart_and_images_travel() {
        let mut failed = result("call_1|fc_2");
        let Message::ToolResult(inner) = &mut failed else { unreachable!() };
        inner.is_error = true;
        inner.content.push(image());
        let sent = sent(&[user("x"), from_here(vec![call("call_1|fc_2", "exec")]), failed], |_| {});
        assert_eq!(
            sent["messages"][2]["content"][0],
            json!({
                "type": "tool_result",
                "tool_use_id": "call_1",
                "content": [{"type": "text", "text": "a.txt"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}],
                "is_error": true,
                "cache_control": {"type": "ephemeral"},
            })
        );
        assert_eq!(sent["messages"][1]["content"][0]["input"], json!({"command": "ls"}));
    }
}
