//! `POST /v1/responses` with `stream: true`: OpenAI's response events.
//!
//! Source: OpenAI API reference, streaming events: every event carries the next `sequence_number`, every item is added,
//! filled and done, and the last event repeats the whole response with its usage.

use serde_json::{Value, json};

use super::wire::{Asked, Frame, Frames, Turn, argument_pieces, last_user_text};

pub fn asked(body: &Value) -> Asked {
    match &body["input"] {
        Value::String(text) => Asked { user_text: text.clone(), after_tool: false },
        Value::Array(items) => Asked {
            user_text: last_user_text(items),
            after_tool: items.last().is_some_and(|item| item["type"] == "function_call_output"),
        },
        _ => Asked::default(),
    }
}

pub fn frames(turn: &Turn<'_>) -> Frames {
    let mut stream = Stream::default();
    stream.push("response.created", json!({ "response": response(turn, "in_progress", &[], Value::Null) }));
    stream.push("response.in_progress", json!({ "response": response(turn, "in_progress", &[], Value::Null) }));
    if let Some(thinking) = &turn.script.thinking {
        stream.reasoning(turn, thinking);
    }
    let pieces = turn.script.pieces(&turn.asked.user_text);
    if !pieces.is_empty() {
        stream.message(turn, &pieces);
    }
    for nth in 0..turn.script.tools.len() {
        stream.function_call(turn, nth);
    }
    let body = std::mem::take(&mut stream.frames);
    let usage = usage(turn);
    stream.push("response.completed", json!({ "response": response(turn, "completed", &stream.items, usage) }));
    let end = std::mem::take(&mut stream.frames);
    let mut failed = response(turn, "failed", &[], Value::Null);
    failed["error"] = json!({ "code": "server_error", "message": "the fake provider failed" });
    stream.push("response.failed", json!({ "response": failed }));
    let error = stream.frames.remove(0);
    Frames { body, end, error }
}

/// The events so far and the finished items.
#[derive(Default)]
struct Stream {
    frames: Vec<Frame>,
    items: Vec<Value>,
    sequence: u64,
}

impl Stream {
    fn push(&mut self, kind: &str, fields: Value) {
        let mut event = json!({ "type": kind, "sequence_number": self.sequence });
        if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
            event.extend(fields);
        }
        self.sequence += 1;
        self.frames.push(Frame::event(&event));
    }

    fn pace_last(&mut self) {
        if let Some(last) = self.frames.last_mut() {
            last.paced = true;
        }
    }

    /// The position of the item that is being streamed.
    fn index(&self) -> usize {
        self.items.len()
    }

    fn item_done(&mut self, item: Value) {
        self.push("response.output_item.done", json!({ "output_index": self.index(), "item": item }));
        self.items.push(item);
    }

    fn message(&mut self, turn: &Turn<'_>, pieces: &[String]) {
        let (id, at) = (format!("msg_fake{}", turn.number), self.index());
        let item = |status: &str, content: Value| json!({ "id": id, "type": "message", "status": status, "role": "assistant", "content": content });
        let part = |text: &str| json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": text });
        let place = json!({ "item_id": id, "output_index": at, "content_index": 0 });
        let text = pieces.concat();
        let added = item("in_progress", json!([]));
        self.push("response.output_item.added", json!({ "output_index": at, "item": added }));
        self.push("response.content_part.added", with(&place, "part", part("")));
        for piece in pieces {
            self.push("response.output_text.delta", with(&with(&place, "delta", json!(piece)), "logprobs", json!([])));
            self.pace_last();
        }
        self.push("response.output_text.done", with(&place, "text", json!(text)));
        self.push("response.content_part.done", with(&place, "part", part(&text)));
        self.item_done(item("completed", json!([part(&text)])));
    }

    fn reasoning(&mut self, turn: &Turn<'_>, thinking: &str) {
        let (id, at) = (format!("rs_fake{}", turn.number), self.index());
        let place = json!({ "item_id": id, "output_index": at, "summary_index": 0 });
        let part = |text: &str| json!({ "type": "summary_text", "text": text });
        let item = json!({ "id": id, "type": "reasoning", "summary": [] });
        self.push("response.output_item.added", json!({ "output_index": at, "item": item }));
        self.push("response.reasoning_summary_part.added", with(&place, "part", part("")));
        self.push("response.reasoning_summary_text.delta", with(&place, "delta", json!(thinking)));
        self.push("response.reasoning_summary_text.done", with(&place, "text", json!(thinking)));
        self.push("response.reasoning_summary_part.done", with(&place, "part", part(thinking)));
        let secret =
            json!({ "id": id, "type": "reasoning", "summary": [part(thinking)], "encrypted_content": "b3BhcXVl" });
        self.item_done(secret);
    }

    fn function_call(&mut self, turn: &Turn<'_>, nth: usize) {
        let tool = &turn.script.tools[nth];
        let (id, at) = (format!("fc_{}x{nth}", turn.number), self.index());
        let pieces = argument_pieces(&tool.arguments);
        let arguments = pieces.concat();
        let call = format!("call_{}x{nth}", turn.number);
        let item = |status: &str, arguments: &str| json!({ "id": id, "type": "function_call", "status": status, "call_id": call, "name": tool.name, "arguments": arguments });
        let place = json!({ "item_id": id, "output_index": at });
        self.push("response.output_item.added", json!({ "output_index": at, "item": item("in_progress", "") }));
        for piece in &pieces {
            self.push("response.function_call_arguments.delta", with(&place, "delta", json!(piece)));
            self.pace_last();
        }
        self.push("response.function_call_arguments.done", with(&place, "arguments", json!(arguments)));
        self.item_done(item("completed", &arguments));
    }
}

/// `object` with one more field.
fn with(object: &Value, key: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[key] = value;
    object
}

fn response(turn: &Turn<'_>, status: &str, output: &[Value], usage: Value) -> Value {
    json!({
        "id": format!("resp_fake{}", turn.number),
        "object": "response",
        "created_at": 1_795_000_000,
        "status": status,
        "error": null,
        "incomplete_details": null,
        "model": turn.body["model"],
        "output": output,
        "parallel_tool_calls": true,
        "store": false,
        "usage": usage,
    })
}

fn usage(turn: &Turn<'_>) -> Value {
    let usage = turn.script.usage;
    let input = usage.input + usage.cache_read;
    json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": usage.cache_read },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input + usage.output,
    })
}
