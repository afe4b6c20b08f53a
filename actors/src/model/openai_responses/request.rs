//! What is sent on the Responses wire.

use serde_json::{Map, Value, json};

use super::API;
use crate::model::answer::{arguments_text, is_from, max_tokens};
use crate::model::history;
use crate::model::message::{AssistantMessage, Message, Part, ToolCall, ToolResultMessage};
use crate::model::provider::{Request, Target, ToolSpec};
use crate::model::{thinking, tool_id};

/// The body of the request.
pub fn body(target: &Target, request: &Request<'_>) -> Value {
    let compat = &target.compat;
    let mut body = Map::new();
    body.insert("model".into(), json!(target.model));
    if !request.system.is_empty() {
        body.insert("instructions".into(), json!(request.system));
    }
    body.insert("input".into(), Value::Array(input(target, request)));
    body.insert("stream".into(), json!(true));
    // `supportsStore: false` means that the server does not know the field
    if compat.supports_store != Some(false) {
        body.insert("store".into(), json!(false));
    }
    if let Some(limit) = max_tokens(target, request.max_tokens) {
        body.insert("max_output_tokens".into(), json!(limit));
    }
    if !request.tools.is_empty() && compat.supports_tools != Some(false) {
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
        body.insert("tool_choice".into(), json!("auto"));
    }
    if target.reasoning {
        body.insert("include".into(), json!(["reasoning.encrypted_content"]));
        if compat.supports_reasoning_effort != Some(false)
            && let Some(effort) = thinking::effort(request.thinking, &target.model)
        {
            body.insert("reasoning".into(), json!({"effort": effort, "summary": "auto"}));
        }
    }
    if !request.cache_key.is_empty() {
        body.insert("prompt_cache_key".into(), json!(request.cache_key));
    }
    Value::Object(body)
}

fn tool(tool: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": false,
    })
}

fn input(target: &Target, request: &Request<'_>) -> Vec<Value> {
    let mut items = Vec::new();
    for message in history::for_request(request.messages, target.images) {
        match &*message {
            Message::User(user) if user.content.is_empty() => {}
            Message::User(user) => items.push(json!({"role": "user", "content": content(&user.content)})),
            Message::Assistant(answer) => items.extend(assistant(target, answer)),
            Message::ToolResult(result) => items.push(tool_result(result)),
        }
    }
    items
}

fn content(parts: &[Part]) -> Vec<Value> {
    parts
        .iter()
        .filter_map(|part| match part {
            Part::Text { text } => Some(json!({"type": "input_text", "text": text})),
            Part::Image { data, mime_type } => {
                let url = format!("data:{mime_type};base64,{data}");
                Some(json!({"type": "input_image", "detail": "auto", "image_url": url}))
            }
            Part::Thinking { .. } | Part::ToolCall(_) => None,
        })
        .collect()
}

/// The items of an answer in their order. A reasoning item goes back only to the model that made it and only with the
/// item that followed it; item ids of calls only when no reasoning was left out, since the server checks the pair.
fn assistant(target: &Target, answer: &AssistantMessage) -> Vec<Value> {
    let same_model = is_from(answer, API, target);
    let mut items = Vec::new();
    let mut reasoning_lost = !same_model;
    for part in &answer.content {
        match part {
            Part::Text { text } if !text.trim().is_empty() => {
                let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
                items.push(json!({"type": "message", "role": "assistant", "content": content}));
            }
            Part::ToolCall(call) => items.push(function_call(call, !reasoning_lost)),
            Part::Thinking { thinking_signature, .. } => {
                match thinking_signature.as_deref().filter(|_| same_model).and_then(reasoning_item) {
                    Some(item) => items.push(item),
                    None => reasoning_lost = true,
                }
            }
            Part::Text { .. } | Part::Image { .. } => {}
        }
    }
    while items.last().is_some_and(|item| item["type"] == "reasoning") {
        items.pop();
    }
    items
}

/// The item as the decoder kept it; without encrypted content a server that stores nothing cannot use it.
fn reasoning_item(signature: &str) -> Option<Value> {
    let item: Value = serde_json::from_str(signature).ok()?;
    (item["type"] == "reasoning" && item["encrypted_content"].is_string()).then_some(item)
}

fn function_call(call: &ToolCall, with_item_id: bool) -> Value {
    let mut item = json!({
        "type": "function_call",
        "call_id": tool_id::word(&call.id),
        "name": call.name,
        "arguments": arguments_text(&call.arguments),
    });
    if let (_, Some(id)) = tool_id::split(&call.id)
        && with_item_id
        && id.starts_with("fc_")
    {
        item["id"] = json!(id);
    }
    item
}

/// A result is a text, or a list when it has images.
fn tool_result(result: &ToolResultMessage) -> Value {
    let has_image = result.content.iter().any(|part| matches!(part, Part::Image { .. }));
    let output = if has_image {
        Value::Array(content(&result.content))
    } else {
        let texts: Vec<&str> = result.content.iter().filter_map(Part::as_text).collect();
        json!(texts.join("\n"))
    };
    json!({"type": "function_call_output", "call_id": tool_id::word(&result.tool_call_id), "output": output})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::StopReason;
    use crate::model::samples::{answer, call, image, request, result, target, thinking, tool as a_tool, user};

    #[test]
    fn a_plain_request_has_the_fields_of_the_wire() {
        let (messages, tools) = ([user("hi")], [a_tool()]);
        assert_eq!(
            body(&target(API), &request(&messages, &tools)),
            json!({
                "model": "m-1",
                "instructions": "be brief",
                "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
                "stream": true,
                "store": false,
                "max_output_tokens": 4096,
                "tools": [{"type": "function", "name": "exec", "description": "runs a command", "strict": false,
                    "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}}],
                "tool_choice": "auto",
                "prompt_cache_key": "session-1",
            })
        );
    }

    #[test]
    fn a_reasoning_model_is_asked_for_its_encrypted_reasoning() {
        let messages = [user("hi")];
        let mut target = target(API);
        target.reasoning = true;
        let sent = body(&target, &Request { thinking: "low", ..request(&messages, &[]) });
        assert_eq!(sent["reasoning"], json!({"effort": "low", "summary": "auto"}));
        assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]));
        target.compat.supports_store = Some(false);
        let sent = body(&target, &request(&messages, &[]));
        assert_eq!((sent.get("reasoning"), sent.get("store")), (None, None));
    }

    const ITEM: &str = r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"xyz"}"#;

    fn items(content: Vec<Part>, change: fn(&mut Target)) -> Vec<Value> {
        let Message::Assistant(mut message) = answer(content, StopReason::ToolUse) else { unreachable!() };
        message.api = API.into();
        let mut target = target(API);
        change(&mut target);
        assistant(&target, &message)
    }

    fn kinds(items: &[Value]) -> Vec<String> {
        let word = |item: &Value| {
            format!("{}{}", item["type"].as_str().unwrap(), if item["id"].is_string() { "+id" } else { "" })
        };
        items.iter().map(word).collect()
    }

    #[test]
    fn reasoning_goes_back_with_what_followed_it_and_only_to_its_model() {
        let call = || call("call_1|fc_2", "exec");
        let other: fn(&mut Target) = |t| t.model = "m-2".into();
        let same: fn(&mut Target) = |_| {};
        for (content, change, expected) in [
            (vec![thinking("hm", ITEM), call()], same, vec!["reasoning+id", "function_call+id"]),
            (vec![thinking("hm", ITEM), call()], other, vec!["function_call"]),
            (vec![thinking("hm", "{}"), call()], same, vec!["function_call"]),
            (vec![Part::text("a"), thinking("hm", ITEM)], same, vec!["message"]),
            (vec![call()], same, vec!["function_call+id"]),
            (vec![thinking("hm", ITEM), Part::text("a")], same, vec!["reasoning+id", "message"]),
        ] {
            assert_eq!(kinds(&items(content.clone(), change)), expected, "{content:?}");
        }
        let sent = items(vec![thinking("hm", ITEM), call()], same);
        assert_eq!(sent[0], serde_json::from_str::<Value>(ITEM).unwrap());
        assert_eq!((&sent[1]["id"], &sent[1]["call_id"]), (&json!("fc_2"), &json!("call_1")));
    }

    #[test]
    fn results_carry_the_call_id_and_their_images() {
        let mut shot = result("call_1|fc_2");
        assert_eq!(
            tool_result(as_result(&shot)),
            json!({"type": "function_call_output", "call_id": "call_1", "output": "a.txt"})
        );
        let Message::ToolResult(inner) = &mut shot else { unreachable!() };
        inner.content.push(image());
        assert_eq!(
            tool_result(as_result(&shot))["output"],
            json!([{"type": "input_text", "text": "a.txt"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AAAA"}])
        );
    }

    fn as_result(message: &Message) -> &ToolResultMessage {
        match message {
            Message::ToolResult(result) => result,
            _ => unreachable!(),
        }
    }
}
