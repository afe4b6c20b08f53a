//! `POST /v1/messages` with `stream: true`: Anthropic's message events.
//!
//! Source: Anthropic API reference, streaming messages: block indexes count up, input tokens come with `message_start`,
//! output tokens with `message_delta`, and a `ping` may come anywhere.

use serde_json::{Value, json};

use super::wire::{Asked, Frame, Frames, Turn, argument_pieces, last_user_text};

pub fn asked(body: &Value) -> Asked {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let last_block = messages.last().and_then(|message| message["content"].as_array()?.last());
    Asked {
        user_text: last_user_text(&messages),
        after_tool: last_block.is_some_and(|block| block["type"] == "tool_result"),
    }
}

pub fn frames(turn: &Turn<'_>) -> Frames {
    let mut body = vec![start(turn)];
    let mut index = 0;
    if let Some(thinking) = &turn.script.thinking {
        body.push(block_start(index, json!({ "type": "thinking", "thinking": "", "signature": "" })));
        body.push(block_delta(index, json!({ "type": "thinking_delta", "thinking": thinking })));
        body.push(block_delta(index, json!({ "type": "signature_delta", "signature": "c2lnbmF0dXJl" })));
        body.push(block_stop(index));
        index += 1;
    }
    let pieces = turn.script.pieces(&turn.asked.user_text);
    if !pieces.is_empty() {
        body.push(block_start(index, json!({ "type": "text", "text": "" })));
        body.push(Frame::event(&json!({ "type": "ping" })));
        body.extend(pieces.iter().map(|p| block_delta(index, json!({ "type": "text_delta", "text": p })).paced()));
        body.push(block_stop(index));
        index += 1;
    }
    for (nth, tool) in turn.script.tools.iter().enumerate() {
        let id = format!("toolu_{}x{nth}", turn.number);
        body.push(block_start(index, json!({ "type": "tool_use", "id": id, "name": tool.name, "input": {} })));
        for piece in argument_pieces(&tool.arguments) {
            body.push(block_delta(index, json!({ "type": "input_json_delta", "partial_json": piece })).paced());
        }
        body.push(block_stop(index));
        index += 1;
    }
    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    Frames { body, end: end(turn), error: Frame::event(&error) }
}

fn start(turn: &Turn<'_>) -> Frame {
    let usage = turn.script.usage;
    Frame::event(&json!({
        "type": "message_start",
        "message": {
            "id": format!("msg_fake{}", turn.number),
            "type": "message",
            "role": "assistant",
            "model": turn.body["model"],
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": {
                "input_tokens": usage.input,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": usage.cache_read,
                "output_tokens": 1,
            },
        },
    }))
}

fn end(turn: &Turn<'_>) -> Vec<Frame> {
    let reason = if turn.script.tools.is_empty() { "end_turn" } else { "tool_use" };
    let delta = json!({ "stop_reason": reason, "stop_sequence": null });
    let usage = json!({ "output_tokens": turn.script.usage.output });
    vec![
        Frame::event(&json!({ "type": "message_delta", "delta": delta, "usage": usage })),
        Frame::event(&json!({ "type": "message_stop" })),
    ]
}

fn block_start(index: usize, block: Value) -> Frame {
    Frame::event(&json!({ "type": "content_block_start", "index": index, "content_block": block }))
}

fn block_delta(index: usize, delta: Value) -> Frame {
    Frame::event(&json!({ "type": "content_block_delta", "index": index, "delta": delta }))
}

fn block_stop(index: usize) -> Frame {
    Frame::event(&json!({ "type": "content_block_stop", "index": index }))
}
