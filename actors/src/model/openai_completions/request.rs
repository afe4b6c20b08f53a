//! What is sent on the chat-completions wire.

use serde_json::{Map, Value, json};

use super::API;
use super::decoder::REASONING_FIELDS;
use crate::model::answer::{arguments_text, is_from, max_tokens};
use crate::model::history;
use crate::model::message::{AssistantMessage, Message, Part, ToolResultMessage};
use crate::model::provider::{Request, Target, ToolSpec};
use crate::model::{thinking, tool_id};

/// Said for a tool that answered with nothing: the wire has no empty result.
const EMPTY_RESULT: &str = "(no output)";
/// Introduces images of tool results, which this wire takes from users only.
const RESULT_IMAGES: &str = "Images from the tool results above:";

/// The body of the request.
pub fn body(target: &Target, request: &Request<'_>) -> Value {
    let compat = &target.compat;
    let mut body = Map::new();
    body.insert("model".into(), json!(target.model));
    body.insert("messages".into(), Value::Array(messages(target, request)));
    body.insert("stream".into(), json!(true));
    if compat.supports_usage_in_streaming != Some(false) {
        body.insert("stream_options".into(), json!({"include_usage": true}));
    }
    if compat.supports_store == Some(true) {
        body.insert("store".into(), json!(false));
    }
    if let Some(limit) = max_tokens(target, request.max_tokens) {
        let field = compat.max_tokens_field.as_deref().unwrap_or("max_completion_tokens");
        body.insert(field.into(), json!(limit));
    }
    if !request.tools.is_empty() && compat.supports_tools != Some(false) {
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
        body.insert("tool_choice".into(), json!("auto"));
    }
    if target.reasoning
        && compat.supports_reasoning_effort != Some(false)
        && let Some(effort) = thinking::effort(request.thinking, &target.model)
    {
        body.insert("reasoning_effort".into(), json!(effort));
    }
    // imitators refuse fields that they do not know
    if target.base_url.starts_with("https://api.openai.com/") && !request.cache_key.is_empty() {
        body.insert("prompt_cache_key".into(), json!(request.cache_key));
    }
    Value::Object(body)
}

fn tool(tool: &ToolSpec) -> Value {
    let function = json!({"name": tool.name, "description": tool.description, "parameters": tool.parameters});
    json!({"type": "function", "function": function})
}

fn messages(target: &Target, request: &Request<'_>) -> Vec<Value> {
    let flat = target.compat.requires_string_content;
    let sent = history::for_request(request.messages, target.images && !flat);
    let mut out = Vec::with_capacity(sent.len() + 1);
    if !request.system.is_empty() {
        let developer = target.reasoning && target.compat.supports_developer_role == Some(true);
        out.push(json!({"role": if developer { "developer" } else { "system" }, "content": request.system}));
    }
    let turn = sent.iter().rposition(|message| matches!(**message, Message::User(_))).unwrap_or(0);
    let mut result_images = Vec::new();
    for (at, message) in sent.iter().enumerate() {
        if !matches!(**message, Message::ToolResult(_)) {
            out.extend(images_of_results(&mut result_images));
        }
        match &**message {
            Message::User(user) if user.content.is_empty() => {}
            Message::User(user) => out.push(json!({"role": "user", "content": content(&user.content, flat)})),
            Message::Assistant(answer) => out.push(assistant(target, answer, at > turn)),
            Message::ToolResult(result) => {
                out.push(tool_result(result));
                result_images.extend(result.content.iter().filter_map(image));
            }
        }
    }
    out.extend(images_of_results(&mut result_images));
    if target.compat.strict_message_keys {
        out.iter_mut().for_each(keep_role_and_content);
    }
    out
}

/// One text is a string, which every server takes; more, or images, are a list unless the server is `flat`.
fn content(parts: &[Part], flat: bool) -> Value {
    let texts: Vec<&str> = parts.iter().filter_map(Part::as_text).collect();
    match parts {
        [Part::Text { text }] => json!(text),
        _ if flat => json!(texts.join("\n")),
        _ => parts.iter().filter_map(|part| part.as_text().map(text_item).or_else(|| image(part))).collect(),
    }
}

fn text_item(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn image(part: &Part) -> Option<Value> {
    let Part::Image { data, mime_type } = part else { return None };
    Some(json!({"type": "image_url", "image_url": {"url": format!("data:{mime_type};base64,{data}")}}))
}

fn images_of_results(images: &mut Vec<Value>) -> Option<Value> {
    if images.is_empty() {
        return None;
    }
    let mut content = vec![text_item(RESULT_IMAGES)];
    content.append(images);
    Some(json!({"role": "user", "content": content}))
}

/// Reasoning goes back only within the turn that made it: some servers need it there, and refuse it in older turns.
fn assistant(target: &Target, answer: &AssistantMessage, in_turn: bool) -> Value {
    let mut out = Map::new();
    out.insert("role".into(), json!("assistant"));
    let text: String = answer.content.iter().filter_map(Part::as_text).collect();
    if !text.is_empty() || target.compat.requires_string_content {
        out.insert("content".into(), json!(text));
    }
    if in_turn && is_from(answer, API, target) {
        for part in &answer.content {
            if let Part::Thinking { thinking, thinking_signature: Some(field) } = part
                && REASONING_FIELDS.contains(&field.as_str())
            {
                out.insert(field.clone(), json!(thinking));
            }
        }
    }
    let calls: Vec<Value> = answer
        .tool_calls()
        .map(|call| {
            let function = json!({"name": call.name, "arguments": arguments_text(&call.arguments)});
            json!({"id": tool_id::alphanumeric(&call.id), "type": "function", "function": function})
        })
        .collect();
    if !calls.is_empty() {
        out.insert("tool_calls".into(), Value::Array(calls));
    }
    Value::Object(out)
}

fn tool_result(result: &ToolResultMessage) -> Value {
    let texts: Vec<&str> = result.content.iter().filter_map(Part::as_text).collect();
    let text = texts.join("\n");
    let content = if text.is_empty() { EMPTY_RESULT } else { &text };
    json!({"role": "tool", "tool_call_id": tool_id::alphanumeric(&result.tool_call_id), "content": content})
}

/// Source: `compat.strictMessageKeys` of 2026.5.12. Such a server cannot be given calls: it sees the texts only.
fn keep_role_and_content(message: &mut Value) {
    let content = message["content"].take();
    let content = if content.is_null() { json!("") } else { content };
    *message = json!({"role": message["role"], "content": content});
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::StopReason;
    use crate::model::samples::{
        answer, call, image as an_image, request, result, target, thinking, tool as a_tool, user,
    };

    #[test]
    fn a_plain_request_has_the_fields_of_the_wire() {
        let (messages, tools) = ([user("hi")], [a_tool()]);
        assert_eq!(
            body(&target(API), &request(&messages, &tools)),
            json!({
                "model": "m-1",
                "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
                "stream": true,
                "stream_options": {"include_usage": true},
                "max_completion_tokens": 4096,
                "tools": [{"type": "function", "function": {"name": "exec", "description": "runs a command",
                    "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}}}],
                "tool_choice": "auto",
            })
        );
    }

    #[test]
    fn compat_switches_change_what_they_name_and_nothing_else() {
        let (messages, tools) = ([user("hi")], [a_tool()]);
        let plain = body(&target(API), &request(&messages, &tools));
        let with = |change: fn(&mut Target)| {
            let mut target = target(API);
            change(&mut target);
            body(&target, &Request { thinking: "high", ..request(&messages, &tools) })
        };
        assert_eq!(with(|_| {}), plain, "thinking of a model that does not reason");
        let sent = with(|t| t.reasoning = true);
        assert_eq!(sent["reasoning_effort"], "high");
        assert_eq!(sent["messages"][0]["role"], "system");
        let sent = with(|t| {
            t.reasoning = true;
            t.compat.supports_reasoning_effort = Some(false);
            t.compat.supports_developer_role = Some(true);
        });
        assert_eq!((&sent["reasoning_effort"], &sent["messages"][0]["role"]), (&Value::Null, &json!("developer")));
        let sent = with(|t| t.compat.max_tokens_field = Some("max_tokens".into()));
        assert_eq!((&sent["max_tokens"], sent.get("max_completion_tokens")), (&json!(4096), None));
        let sent = with(|t| t.compat.supports_tools = Some(false));
        assert_eq!((sent.get("tools"), sent.get("tool_choice")), (None, None));
        let sent = with(|t| t.compat.supports_usage_in_streaming = Some(false));
        assert_eq!(sent.get("stream_options"), None);
        let sent = with(|t| t.compat.supports_store = Some(true));
        assert_eq!(sent["store"], false);
        let sent = with(|t| t.base_url = "https://api.openai.com/v1".into());
        assert_eq!(sent["prompt_cache_key"], "session-1");
    }

    fn sent(messages: &[Message], change: fn(&mut Target)) -> Value {
        let mut target = target(API);
        change(&mut target);
        body(&target, &Request { system: "", ..request(messages, &[]) })["messages"].take()
    }

    fn from_here(content: Vec<Part>) -> Message {
        let Message::Assistant(mut message) = answer(content, StopReason::ToolUse) else { unreachable!() };
        message.api = API.into();
        Message::Assistant(message)
    }

    #[test]
    fn calls_are_replayed_with_plain_ids_and_without_empty_content() {
        let messages = [user("x"), from_here(vec![call("call_1|fc_9", "exec")]), result("call_1|fc_9")];
        assert_eq!(
            sent(&messages, |_| {}),
            json!([
                {"role": "user", "content": "x"},
                {"role": "assistant", "tool_calls": [{"id": "call1", "type": "function",
                    "function": {"name": "exec", "arguments": "{\"command\":\"ls\"}"}}]},
                {"role": "tool", "tool_call_id": "call1", "content": "a.txt"},
            ])
        );
    }

    #[test]
    fn reasoning_goes_back_to_its_own_model_within_its_turn() {
        let asked = || from_here(vec![thinking("hm", "reasoning_content"), call("1", "exec")]);
        let messages = [user("x"), asked(), result("1")];
        assert_eq!(sent(&messages, |_| {})[1]["reasoning_content"], "hm");
        assert_eq!(sent(&messages, |t| t.model = "m-2".into())[1].get("reasoning_content"), None);
        let older = [user("x"), asked(), result("1"), user("y")];
        assert_eq!(sent(&older, |_| {})[1].get("reasoning_content"), None);
    }

    #[test]
    fn images_are_sent_flattened_or_moved_out_of_results() {
        let mut with_image = user("look");
        let Message::User(inner) = &mut with_image else { unreachable!() };
        inner.content.push(an_image());
        let url = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
        let seen = sent(std::slice::from_ref(&with_image), |_| {});
        assert_eq!(seen[0]["content"], json!([{"type": "text", "text": "look"}, url]));
        let flat = sent(std::slice::from_ref(&with_image), |t| t.compat.requires_string_content = true);
        assert_eq!(flat[0]["content"], format!("look\n{}", history::IMAGE_OMITTED));

        let mut shot = result("1");
        let Message::ToolResult(inner) = &mut shot else { unreachable!() };
        inner.content = vec![an_image()];
        let seen = sent(&[user("x"), from_here(vec![call("1", "exec")]), shot, user("y")], |_| {});
        assert_eq!(seen[2]["content"], EMPTY_RESULT);
        assert_eq!(seen[3], json!({"role": "user", "content": [{"type": "text", "text": RESULT_IMAGES}, url]}));
        assert_eq!(seen[4]["content"], "y");
    }

    #[test]
    fn a_server_of_strict_keys_gets_roles_and_contents() {
        let messages = [user("x"), from_here(vec![call("1", "exec")]), result("1")];
        assert_eq!(
            sent(&messages, |t| t.compat.strict_message_keys = true),
            json!([
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": ""},
                {"role": "tool", "content": "a.txt"},
            ])
        );
    }
}
