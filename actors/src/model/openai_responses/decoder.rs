//! What comes back on the Responses wire: items, each announced, filled by deltas, and repeated whole at its end.
//!
//! The end of an item is the truth about it; what the deltas have not shown by then is shown at once.

use serde_json::{Value, json};

use super::API;
use crate::model::answer::{Answer, arguments};
use crate::model::decode::{Decoder, error_of};
use crate::model::error::ModelError;
use crate::model::message::{AssistantMessage, Part, StopReason, ToolCall, Usage};
use crate::model::provider::{Delta, Target};
use crate::model::tool_id;

/// Between the paragraphs of a reasoning summary.
const PARAGRAPH: &str = "\n\n";

/// State of one answer.
#[derive(Debug)]
pub struct ResponsesDecoder {
    answer: Answer,
    /// In order of appearance.
    items: Vec<Item>,
    complete: bool,
}

#[derive(Debug)]
struct Item {
    /// `output_index`
    index: u64,
    kind: Kind,
    /// Text, reasoning or arguments so far.
    text: String,
}

#[derive(Debug)]
enum Kind {
    Message,
    /// The whole item as JSON, once it is there.
    Reasoning(Option<String>),
    Call {
        id: String,
        name: String,
    },
}

impl ResponsesDecoder {
    pub fn new(target: &Target) -> Self {
        Self { answer: Answer::new(API, target), items: Vec::new(), complete: false }
    }

    fn item_added(&mut self, event: &Value) -> Vec<Delta> {
        let index = event["output_index"].as_u64().unwrap_or(self.items.len() as u64);
        let item = &event["item"];
        let word = |key: &str| item[key].as_str().unwrap_or_default();
        let (kind, delta) = match word("type") {
            "message" => (Kind::Message, None),
            "reasoning" => (Kind::Reasoning(None), None),
            "function_call" => {
                let (id, name) = (tool_id::join(word("call_id"), word("id")), word("name").to_owned());
                (Kind::Call { id: id.clone(), name: name.clone() }, Some(Delta::ToolCallStarted { id, name }))
            }
            _ => return Vec::new(),
        };
        self.items.push(Item { index, kind, text: String::new() });
        delta.into_iter().collect()
    }

    /// The item that an event is about; servers that do not number events mean the latest.
    fn item(&mut self, event: &Value) -> Option<&mut Item> {
        match event["output_index"].as_u64() {
            Some(index) => self.items.iter_mut().rfind(|item| item.index == index),
            None => self.items.last_mut(),
        }
    }

    fn append(&mut self, event: &Value) -> Vec<Delta> {
        let new = event["delta"].as_str().unwrap_or_default();
        self.item(event).map(|item| item.append(new)).unwrap_or_default()
    }

    /// A second paragraph has begun: the first needs an end.
    fn part_added(&mut self, event: &Value) -> Vec<Delta> {
        match self.item(event) {
            Some(item) if !item.text.is_empty() => item.append(PARAGRAPH),
            _ => Vec::new(),
        }
    }

    fn arguments_done(&mut self, event: &Value) {
        if let (Some(whole), Some(item)) = (event["arguments"].as_str(), self.item(event)) {
            whole.clone_into(&mut item.text);
        }
    }

    fn item_done(&mut self, event: &Value) -> Vec<Delta> {
        let mut deltas = if self.item(event).is_none() { self.item_added(event) } else { Vec::new() };
        if let Some(item) = self.item(event) {
            deltas.extend(item.complete(&event["item"]));
        }
        deltas
    }

    fn ended(&mut self, response: &Value) {
        self.complete = true;
        self.answer.usage = usage_of(&response["usage"]);
        self.answer.stop = Some(match response["incomplete_details"]["reason"].as_str() {
            None => StopReason::Stop,
            Some("content_filter") => {
                self.answer.error_message = Some("the provider withheld the answer (content_filter)".to_owned());
                StopReason::Error
            }
            Some(_) => StopReason::Length,
        });
    }
}

impl Item {
    fn append(&mut self, new: &str) -> Vec<Delta> {
        self.text.push_str(new);
        let delta = match self.kind {
            Kind::Message => Delta::Text(new.to_owned()),
            Kind::Reasoning(_) => Delta::Thinking(new.to_owned()),
            Kind::Call { .. } => return Vec::new(),
        };
        if new.is_empty() { Vec::new() } else { vec![delta] }
    }

    fn complete(&mut self, item: &Value) -> Vec<Delta> {
        let whole = match &mut self.kind {
            Kind::Message => texts_of(&item["content"], ""),
            Kind::Reasoning(kept) => {
                *kept = Some(kept_reasoning(item).to_string());
                let summary = texts_of(&item["summary"], PARAGRAPH);
                if summary.is_empty() { texts_of(&item["content"], PARAGRAPH) } else { summary }
            }
            Kind::Call { .. } => {
                if let Some(whole) = item["arguments"].as_str() {
                    whole.clone_into(&mut self.text);
                }
                return Vec::new();
            }
        };
        let missing = whole.strip_prefix(self.text.as_str()).unwrap_or_default().to_owned();
        self.append(&missing)
    }

    fn into_part(self) -> Part {
        match self.kind {
            Kind::Message => Part::Text { text: self.text },
            Kind::Reasoning(thinking_signature) => Part::Thinking { thinking: self.text, thinking_signature },
            Kind::Call { id, name } => Part::ToolCall(ToolCall { id, name, arguments: arguments(&self.text) }),
        }
    }
}

impl Decoder for ResponsesDecoder {
    fn feed(&mut self, event: &Value) -> Result<Vec<Delta>, ModelError> {
        let response = &event["response"];
        if self.answer.response_id.is_none() {
            self.answer.response_id = response["id"].as_str().map(str::to_owned);
        }
        Ok(match event["type"].as_str().unwrap_or_default() {
            "response.output_item.added" => self.item_added(event),
            "response.output_text.delta"
            | "response.refusal.delta"
            | "response.reasoning_summary_text.delta"
            | "response.reasoning_text.delta"
            | "response.function_call_arguments.delta" => self.append(event),
            "response.reasoning_summary_part.added" => self.part_added(event),
            "response.function_call_arguments.done" => {
                self.arguments_done(event);
                Vec::new()
            }
            "response.output_item.done" => self.item_done(event),
            "response.completed" | "response.incomplete" => {
                self.ended(response);
                Vec::new()
            }
            "response.failed" => return Err(error_of(&response["error"])),
            "error" if event["error"].is_object() => return Err(error_of(&event["error"])),
            "error" => return Err(error_of(&without_type(event))),
            "" if !event["error"].is_null() => return Err(error_of(&event["error"])),
            _ => Vec::new(),
        })
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn finish(&mut self) -> Result<AssistantMessage, ModelError> {
        self.answer.parts = std::mem::take(&mut self.items).into_iter().map(Item::into_part).collect();
        self.answer.finish().ok_or(ModelError::Interrupted)
    }
}

/// The fields of a reasoning item that its replay needs.
fn kept_reasoning(item: &Value) -> Value {
    let mut kept = json!({"type": "reasoning", "summary": item["summary"]});
    for key in ["id", "encrypted_content"] {
        if item[key].is_string() {
            kept[key] = item[key].clone();
        }
    }
    kept
}

fn texts_of(parts: &Value, joint: &str) -> String {
    let text = |part: &Value| part["text"].as_str().or_else(|| part["refusal"].as_str()).map(str::to_owned);
    parts.as_array().into_iter().flatten().filter_map(text).collect::<Vec<_>>().join(joint)
}

/// The flat `error` event calls itself `error`, which says nothing about the failure.
fn without_type(event: &Value) -> Value {
    let mut error = event.clone();
    error["type"] = Value::Null;
    error
}

/// The server's input tokens include the cached ones; ours do not.
fn usage_of(usage: &Value) -> Usage {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let cached = number(&usage["input_tokens_details"]["cached_tokens"]);
    Usage {
        input: number(&usage["input_tokens"]).saturating_sub(cached),
        output: number(&usage["output_tokens"]),
        cache_read: cached,
        ..Usage::default()
    }
}
