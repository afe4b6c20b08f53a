//! What comes back on the chat-completions wire.
//!
//! Tolerant where servers differ: `index` or `id` of calls may be missing, usage may come in any chunk or inside the
//! choice, content may be a list, `[DONE]` may be missing. Strict in one thing: without a finish reason nothing is whole.

use serde_json::Value;

use super::API;
use crate::model::answer::{Answer, arguments, arguments_text};
use crate::model::decode::{Decoder, error_of};
use crate::model::error::ModelError;
use crate::model::message::{AssistantMessage, Part, StopReason, ToolCall, Usage};
use crate::model::provider::{Delta, Target};

/// Where servers put reasoning; the name is kept as the signature, so that it goes back to where it came from.
pub const REASONING_FIELDS: [&str; 3] = ["reasoning_content", "reasoning", "reasoning_text"];
/// Marks reasoning that has no field of its own to go back to (a list inside `content`).
const IN_CONTENT: &str = "content";

/// State of one answer.
#[derive(Debug)]
pub struct CompletionsDecoder {
    answer: Answer,
    calls: Vec<OpenCall>,
}

/// A call whose arguments are still arriving.
#[derive(Debug)]
struct OpenCall {
    index: Option<u64>,
    /// As the server gave it; empty if it has not.
    wire_id: String,
    arguments: String,
    /// Place of its part in the answer.
    part: usize,
}

impl CompletionsDecoder {
    pub fn new(target: &Target) -> Self {
        Self { answer: Answer::new(API, target), calls: Vec::new() }
    }

    fn choice(&mut self, choice: &Value) -> Result<Vec<Delta>, ModelError> {
        let mut deltas = Vec::new();
        let delta = &choice["delta"];
        if let Some(field) = REASONING_FIELDS.into_iter().find(|field| is_text(&delta[*field])) {
            deltas.extend(self.thinking(delta[field].as_str().unwrap_or_default(), field));
        }
        match &delta["content"] {
            Value::String(text) => deltas.extend(self.text(text)),
            Value::Array(parts) => parts.iter().for_each(|part| deltas.extend(self.listed(part))),
            _ => {}
        }
        if let Some(refusal) = delta["refusal"].as_str() {
            deltas.extend(self.text(refusal));
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            deltas.extend(self.call(call));
        }
        if let Some(reason) = choice["finish_reason"].as_str().filter(|reason| !reason.is_empty()) {
            self.stop(reason)?;
        }
        Ok(deltas)
    }

    fn text(&mut self, new: &str) -> Option<Delta> {
        if new.is_empty() {
            return None;
        }
        match self.answer.parts.last_mut() {
            Some(Part::Text { text }) => text.push_str(new),
            _ => self.answer.parts.push(Part::text(new)),
        }
        Some(Delta::Text(new.to_owned()))
    }

    fn thinking(&mut self, new: &str, field: &str) -> Option<Delta> {
        if new.is_empty() {
            return None;
        }
        match self.answer.parts.last_mut() {
            Some(Part::Thinking { thinking, .. }) => thinking.push_str(new),
            _ => {
                let thinking_signature = Some(field.to_owned());
                self.answer.parts.push(Part::Thinking { thinking: new.to_owned(), thinking_signature });
            }
        }
        Some(Delta::Thinking(new.to_owned()))
    }

    /// A part of a content list: `{type:"text"}`, or `{type:"thinking", thinking:[{text}]}` of Mistral's reasoners.
    fn listed(&mut self, part: &Value) -> Option<Delta> {
        match part["type"].as_str() {
            Some("text") => self.text(part["text"].as_str()?),
            Some("thinking") => {
                let pieces = part["thinking"].as_array()?;
                let text: String = pieces.iter().filter_map(|piece| piece["text"].as_str()).collect();
                self.thinking(&text, IN_CONTENT)
            }
            _ => None,
        }
    }

    fn call(&mut self, call: &Value) -> Option<Delta> {
        let id = call["id"].as_str().unwrap_or_default();
        let name = call["function"]["name"].as_str().unwrap_or_default();
        let index = call["index"].as_u64();
        let (at, started) = match self.find(index, id, name) {
            Some(at) => (at, None),
            None => self.start(index, id, name),
        };
        if let Some(Part::ToolCall(part)) = self.answer.parts.get_mut(self.calls[at].part)
            && part.name.is_empty()
        {
            name.clone_into(&mut part.name);
        }
        match &call["function"]["arguments"] {
            Value::String(text) => self.calls[at].arguments.push_str(text),
            Value::Null => {}
            whole => self.calls[at].arguments = arguments_text(whole),
        }
        started
    }

    /// Which open call a piece belongs to: by id if it has one, by index if not, else to the latest. A known index with
    /// a new id is a new call (some servers number every call 0); so is a piece that has a name but neither of both.
    fn find(&mut self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        if id.is_empty() {
            return match index {
                Some(_) => self.calls.iter().rposition(|open| open.index == index),
                None if name.is_empty() => self.calls.len().checked_sub(1),
                None => None,
            };
        }
        if let Some(at) = self.calls.iter().rposition(|open| open.wire_id == id) {
            return Some(at);
        }
        let at =
            self.calls.iter().rposition(|open| index.is_some() && open.index == index && open.wire_id.is_empty())?;
        self.calls[at].wire_id = id.to_owned();
        Some(at)
    }

    fn start(&mut self, index: Option<u64>, wire_id: &str, name: &str) -> (usize, Option<Delta>) {
        let at = self.calls.len();
        let id = match wire_id {
            "" => format!("call_{}_{at}", self.answer.response_id.as_deref().unwrap_or("0")),
            given => given.to_owned(),
        };
        let part = self.answer.parts.len();
        self.calls.push(OpenCall { index, wire_id: wire_id.to_owned(), arguments: String::new(), part });
        let call = ToolCall { id: id.clone(), name: name.to_owned(), arguments: Value::Null };
        self.answer.parts.push(Part::ToolCall(call));
        (at, Some(Delta::ToolCallStarted { id, name: name.to_owned() }))
    }

    /// Unknown reasons count as a plain stop: what the server meant by them is in the text.
    fn stop(&mut self, reason: &str) -> Result<(), ModelError> {
        self.answer.stop = Some(match reason {
            "length" | "max_tokens" => StopReason::Length,
            "tool_calls" | "function_call" => StopReason::ToolUse,
            "content_filter" | "sensitive" => {
                self.answer.error_message = Some(format!("the provider withheld the answer ({reason})"));
                StopReason::Error
            }
            "error" | "network_error" => {
                let message = format!("the server stopped with `{reason}`");
                return Err(ModelError::InStream { kind: reason.to_owned(), message });
            }
            _ => StopReason::Stop,
        });
        Ok(())
    }
}

impl Decoder for CompletionsDecoder {
    fn feed(&mut self, event: &Value) -> Result<Vec<Delta>, ModelError> {
        if !event["error"].is_null() {
            return Err(error_of(&event["error"]));
        }
        if self.answer.response_id.is_none() {
            self.answer.response_id = event["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        }
        let choice = &event["choices"][0];
        for usage in [&event["usage"], &choice["usage"]] {
            if usage.is_object() {
                self.answer.usage = usage_of(usage);
            }
        }
        self.choice(choice)
    }

    /// Usage comes after the finish reason, so only `[DONE]` and the end of the connection end this wire.
    fn is_complete(&self) -> bool {
        false
    }

    fn finish(&mut self) -> Result<AssistantMessage, ModelError> {
        for open in &self.calls {
            if let Some(Part::ToolCall(call)) = self.answer.parts.get_mut(open.part) {
                call.arguments = arguments(&open.arguments);
            }
        }
        self.answer.finish().ok_or(ModelError::Interrupted)
    }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// The server's prompt tokens include the cached ones; ours do not.
fn usage_of(usage: &Value) -> Usage {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let details = &usage["prompt_tokens_details"];
    let cached = number(&details["cached_tokens"]).max(number(&usage["prompt_cache_hit_tokens"]));
    let cache_write = number(&details["cache_write_tokens"]);
    let prompt = number(&usage["prompt_tokens"]);
    Usage {
        input: prompt.saturating_sub(cached + cache_write),
        output: number(&usage["completion_tokens"]),
        cache_read: cached,
        cache_write,
        ..Usage::default()
    }
}
