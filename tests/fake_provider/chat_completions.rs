//! `POST /v1/chat/completions` with `stream: true`: OpenAI's chat completion chunks.
//!
//! Source: OpenAI API reference, chat completion chunk object; the usage chunk only with `stream_options.include_usage`.

use serde_json::{Value, json};

use super::wire::{Asked, Frame, Frames, Turn, argument_pieces, last_user_text};

pub fn asked(body: &Value) -> Asked {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    Asked {
        user_text: last_user_text(&messages),
        after_tool: messages.last().is_some_and(|message| message["role"] == "tool"),
    }
}

pub fn frames(turn: &Turn<'_>) -> Frames {
    let mut body = vec![delta(turn, json!({ "role": "assistant", "content": "", "refusal": null }), Value::Null)];
    if let Some(thinking) = &turn.script.thinking {
        body.push(delta(turn, json!({ "reasoning_content": thinking }), Value::Null));
    }
    for piece in turn.script.pieces(&turn.asked.user_text) {
        body.push(delta(turn, json!({ "content": piece }), Value::Null).paced());
    }
    for (index, tool) in turn.script.tools.iter().enumerate() {
        let id = format!("call_{}x{index}", turn.number);
        let function = json!({ "name": tool.name, "arguments": "" });
        let call = json!({ "index": index, "id": id, "type": "function", "function": function });
        body.push(delta(turn, json!({ "tool_calls": [call] }), Value::Null));
        for piece in argument_pieces(&tool.arguments) {
            let call = json!({ "index": index, "function": { "arguments": piece } });
            body.push(delta(turn, json!({ "tool_calls": [call] }), Value::Null).paced());
        }
    }
    let reason = if turn.script.tools.is_empty() { "stop" } else { "tool_calls" };
    let mut end = vec![delta(turn, json!({}), json!(reason))];
    if turn.body["stream_options"]["include_usage"] == true {
        end.push(usage(turn));
    }
    end.push(Frame { bytes: "data: [DONE]\n\n".to_owned(), paced: false });
    let error = json!({ "error": { "message": "the fake provider failed", "type": "server_error", "code": null } });
    Frames { body, end, error: Frame::data(&error) }
}

fn delta(turn: &Turn<'_>, delta: Value, finish_reason: Value) -> Frame {
    let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason });
    Frame::data(&chunk(turn, json!([choice]), Value::Null))
}

fn usage(turn: &Turn<'_>) -> Frame {
    let usage = turn.script.usage;
    let prompt = usage.input + usage.cache_read;
    let counts = json!({
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": { "cached_tokens": usage.cache_read, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0 },
    });
    Frame::data(&chunk(turn, json!([]), counts))
}

fn chunk(turn: &Turn<'_>, choices: Value, usage: Value) -> Value {
    json!({
        "id": format!("chatcmpl-fake{}", turn.number),
        "object": "chat.completion.chunk",
        "created": 1_795_000_000,
        "model": turn.body["model"],
        "system_fingerprint": null,
        "choices": choices,
        "usage": usage,
    })
}
