//! The three wires: where each is served, what it asks, and its frames for an answer.
//!
//! A wire turns a script into server-sent events and knows nothing of time: pacing and faults are `play.rs`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::script::Script;
use super::{chat_completions, messages, responses};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    ChatCompletions,
    Responses,
    Messages,
}

/// What the server has to know of a request body.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The last text of the last user message that has one.
    pub user_text: String,
    /// The request ends with a tool result: the model is asked to go on.
    pub after_tool: bool,
}

/// Facts that the frames of one answer share.
pub struct Turn<'a> {
    pub script: &'a Script,
    pub asked: &'a Asked,
    pub body: &'a Value,
    /// Counts requests of this server; makes ids unique.
    pub number: u64,
}

/// One answer as events. A fault cuts inside `body` or leaves out `end`.
pub struct Frames {
    /// Up to and including the last piece of content.
    pub body: Vec<Frame>,
    /// Finish reason, usage, end marker.
    pub end: Vec<Frame>,
    /// What this wire sends when the provider fails in the middle.
    pub error: Frame,
}

/// One event, ready to send. `paced` frames carry a piece of text and wait for the script's delay.
#[derive(Debug, Clone)]
pub struct Frame {
    pub bytes: String,
    pub paced: bool,
}

impl Frame {
    /// `data: <json>`
    pub fn data(json: &Value) -> Self {
        Self { bytes: format!("data: {json}\n\n"), paced: false }
    }

    /// `event: <type>` + `data: <json>`, the type taken from the JSON.
    pub fn event(json: &Value) -> Self {
        let name = json["type"].as_str().unwrap_or("message");
        Self { bytes: format!("event: {name}\ndata: {json}\n\n"), paced: false }
    }

    pub fn paced(self) -> Self {
        Self { paced: true, ..self }
    }
}

impl Wire {
    pub fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "openai-completions",
            Self::Responses => "openai-responses",
            Self::Messages => "anthropic-messages",
        }
    }

    pub fn asked(self, body: &Value) -> Asked {
        match self {
            Self::ChatCompletions => chat_completions::asked(body),
            Self::Responses => responses::asked(body),
            Self::Messages => messages::asked(body),
        }
    }

    pub fn frames(self, turn: &Turn<'_>) -> Frames {
        match self {
            Self::ChatCompletions => chat_completions::frames(turn),
            Self::Responses => responses::frames(turn),
            Self::Messages => messages::frames(turn),
        }
    }

    /// The body that the real provider sends with an error status.
    pub fn error_body(self, status: StatusCode) -> Value {
        let message = format!("the fake provider answers {}", status.as_u16());
        match self {
            Self::Messages => {
                let kind = match status.as_u16() {
                    401 => "authentication_error",
                    429 => "rate_limit_error",
                    529 => "overloaded_error",
                    500..=599 => "api_error",
                    _ => "invalid_request_error",
                };
                json!({ "type": "error", "error": { "type": kind, "message": message } })
            }
            Self::ChatCompletions | Self::Responses => {
                let (kind, code) = match status.as_u16() {
                    401 => ("invalid_request_error", json!("invalid_api_key")),
                    429 => ("requests", json!("rate_limit_exceeded")),
                    500..=599 => ("server_error", Value::Null),
                    _ => ("invalid_request_error", Value::Null),
                };
                json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
            }
        }
    }
}

/// The last text of a message's content, which is a string or a list of parts with `text`.
pub fn last_text(content: &Value) -> Option<&str> {
    match content {
        Value::String(text) => Some(text),
        Value::Array(parts) => parts.iter().rev().find_map(|part| part["text"].as_str()),
        _ => None,
    }
}

/// The last text among the messages of role `user`.
pub fn last_user_text(messages: &[Value]) -> String {
    let texts = messages.iter().rev().filter(|m| m["role"] == "user").find_map(|m| last_text(&m["content"]));
    texts.unwrap_or_default().to_owned()
}

/// JSON text of tool arguments, cut in two as a model streams it.
pub fn argument_pieces(arguments: &Value) -> Vec<String> {
    let text = if arguments.is_null() { "{}".to_owned() } else { arguments.to_string() };
    let (head, tail) = text.split_at(1);
    vec![head.to_owned(), tail.to_owned()]
}
