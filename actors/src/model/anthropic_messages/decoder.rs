//! What comes back on the Messages wire: numbered blocks, each started, filled and stopped.

use serde_json::Value;

use super::API;
use crate::model::answer::{Answer, arguments, arguments_text};
use crate::model::decode::{Decoder, error_of};
use crate::model::error::ModelError;
use crate::model::message::{AssistantMessage, Part, StopReason, ToolCall};
use crate::model::provider::{Delta, Target};

/// In front of the data of a redacted block, where other reasoning has its signature.
pub const REDACTED: &str = "redacted:";

/// State of one answer.
#[derive(Debug)]
pub struct MessagesDecoder {
    answer: Answer,
    blocks: Vec<Block>,
    complete: bool,
}

#[derive(Debug)]
struct Block {
    index: u64,
    part: Part,
    /// Arguments of a call, as text.
    input: String,
}

impl MessagesDecoder {
    pub fn new(target: &Target) -> Self {
        Self { answer: Answer::new(API, target), blocks: Vec::new(), complete: false }
    }

    fn block_started(&mut self, event: &Value) -> Vec<Delta> {
        let block = &event["content_block"];
        let word = |key: &str| block[key].as_str().unwrap_or_default();
        let (part, delta) = match word("type") {
            "text" => (Part::text(word("text")), Delta::Text(word("text").to_owned())),
            "thinking" => {
                let thinking_signature = block["signature"].as_str().filter(|s| !s.is_empty()).map(str::to_owned);
                let part = Part::Thinking { thinking: word("thinking").to_owned(), thinking_signature };
                (part, Delta::Thinking(word("thinking").to_owned()))
            }
            "redacted_thinking" => {
                let thinking_signature = Some(format!("{REDACTED}{}", word("data")));
                (Part::Thinking { thinking: String::new(), thinking_signature }, Delta::Thinking(String::new()))
            }
            "tool_use" => {
                let (id, name) = (word("id").to_owned(), word("name").to_owned());
                let call = ToolCall { id: id.clone(), name: name.clone(), arguments: Value::Null };
                (Part::ToolCall(call), Delta::ToolCallStarted { id, name })
            }
            _ => return Vec::new(),
        };
        // usually `{}` here and all of it in deltas; some servers send it whole
        let input = match &block["input"] {
            Value::Object(whole) if !whole.is_empty() => arguments_text(&block["input"]),
            _ => String::new(),
        };
        self.blocks.push(Block { index: event["index"].as_u64().unwrap_or(0), part, input });
        shown(delta)
    }

    fn block_grew(&mut self, event: &Value) -> Vec<Delta> {
        let index = event["index"].as_u64().unwrap_or(0);
        let delta = &event["delta"];
        let Some(block) = self.blocks.iter_mut().rfind(|block| block.index == index) else { return Vec::new() };
        let word = |key: &str| delta[key].as_str().unwrap_or_default();
        match (word("type"), &mut block.part) {
            ("text_delta", Part::Text { text }) => {
                text.push_str(word("text"));
                shown(Delta::Text(word("text").to_owned()))
            }
            ("thinking_delta", Part::Thinking { thinking, .. }) => {
                thinking.push_str(word("thinking"));
                shown(Delta::Thinking(word("thinking").to_owned()))
            }
            ("signature_delta", Part::Thinking { thinking_signature, .. }) => {
                thinking_signature.get_or_insert_default().push_str(word("signature"));
                Vec::new()
            }
            ("input_json_delta", Part::ToolCall(_)) => {
                block.input.push_str(word("partial_json"));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Counts are totals so far: the last one that is named counts. `input_tokens` excludes the cache on this wire.
    fn count(&mut self, usage: &Value) {
        let counts = &mut self.answer.usage;
        for (key, slot) in [
            ("input_tokens", &mut counts.input),
            ("output_tokens", &mut counts.output),
            ("cache_read_input_tokens", &mut counts.cache_read),
            ("cache_creation_input_tokens", &mut counts.cache_write),
        ] {
            if let Some(number) = usage[key].as_u64() {
                *slot = number;
            }
        }
    }

    fn stop(&mut self, reason: &str) {
        self.answer.stop = Some(match reason {
            "tool_use" => StopReason::ToolUse,
            "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
            "refusal" => {
                self.answer.error_message = Some("the model refused to answer".to_owned());
                StopReason::Error
            }
            _ => StopReason::Stop,
        });
    }
}

impl Decoder for MessagesDecoder {
    fn feed(&mut self, event: &Value) -> Result<Vec<Delta>, ModelError> {
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                self.answer.response_id = event["message"]["id"].as_str().map(str::to_owned);
                self.count(&event["message"]["usage"]);
            }
            "content_block_start" => return Ok(self.block_started(event)),
            "content_block_delta" => return Ok(self.block_grew(event)),
            "message_delta" => {
                self.count(&event["usage"]);
                if let Some(reason) = event["delta"]["stop_reason"].as_str() {
                    self.stop(reason);
                }
            }
            "message_stop" => self.complete = true,
            "error" => return Err(error_of(&event["error"])),
            "" if !event["error"].is_null() => return Err(error_of(&event["error"])),
            _ => {}
        }
        Ok(Vec::new())
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn finish(&mut self) -> Result<AssistantMessage, ModelError> {
        self.answer.parts = std::mem::take(&mut self.blocks).into_iter().map(Block::into_part).collect();
        self.answer.finish().ok_or(ModelError::Interrupted)
    }
}

impl Block {
    fn into_part(self) -> Part {
        match self.part {
            Part::ToolCall(call) => Part::ToolCall(ToolCall { arguments: arguments(&self.input), ..call }),
            other => other,
        }
    }
}

/// A delta without text is not worth a message.
fn shown(delta: Delta) -> Vec<Delta> {
    match &delta {
        Delta::Text(text) | Delta::Thinking(text) if text.is_empty() => Vec::new(),
        _ => vec![delta],
    }
}
