//! The answer under construction that the decoders share: parts in order, then the finished message.

use serde_json::{Map, Value};

use super::cost::cost;
use super::message::{AssistantMessage, Part, StopReason, Usage};
use super::provider::Target;
use crate::config::settings::ModelCost;

/// What every decoder keeps about its answer.
#[derive(Debug)]
pub struct Answer {
    pub parts: Vec<Part>,
    pub usage: Usage,
    pub response_id: Option<String>,
    /// `None` until the server has said why it stopped.
    pub stop: Option<StopReason>,
    /// Why there is no proper answer, in the server's words.
    pub error_message: Option<String>,
    api: &'static str,
    provider: String,
    model: String,
    prices: ModelCost,
}

impl Answer {
    pub fn new(api: &'static str, target: &Target) -> Self {
        Self {
            parts: Vec::new(),
            usage: Usage::default(),
            response_id: None,
            stop: None,
            error_message: None,
            api,
            provider: target.provider.clone(),
            model: target.model.clone(),
            prices: target.cost,
        }
    }

    /// The message with usage and cost; `None` while the stop reason is missing. Called once: the parts are moved out.
    ///
    /// A server that calls tools and says `stop` meant tools. Empty parts are dropped.
    pub fn finish(&mut self) -> Option<AssistantMessage> {
        let mut content = std::mem::take(&mut self.parts);
        content.retain(|part| match part {
            Part::Text { text } => !text.is_empty(),
            Part::Thinking { thinking, thinking_signature } => !thinking.is_empty() || thinking_signature.is_some(),
            Part::ToolCall(_) | Part::Image { .. } => true,
        });
        let has_calls = content.iter().any(|part| matches!(part, Part::ToolCall(_)));
        let stop_reason = match self.stop? {
            StopReason::Stop if has_calls => StopReason::ToolUse,
            StopReason::ToolUse if !has_calls => StopReason::Stop,
            other => other,
        };
        let mut usage = self.usage;
        cost(&self.prices, &mut usage);
        Some(AssistantMessage {
            content,
            api: self.api.to_owned(),
            provider: std::mem::take(&mut self.provider),
            model: std::mem::take(&mut self.model),
            usage,
            stop_reason,
            error_message: self.error_message.take(),
            response_id: self.response_id.take(),
            timestamp: 0,
        })
    }
}

/// Arguments as the message keeps them: an object for no text at all, the JSON, or the raw text when it is not JSON.
pub fn arguments(text: &str) -> Value {
    match text.trim() {
        "" => Value::Object(Map::new()),
        trimmed => serde_json::from_str(trimmed).unwrap_or_else(|_| Value::String(text.to_owned())),
    }
}

/// Arguments as the OpenAI wires replay them: the text of the JSON.
pub fn arguments_text(arguments: &Value) -> String {
    match arguments {
        Value::String(raw) => raw.clone(),
        Value::Null => "{}".to_owned(),
        other => other.to_string(),
    }
}

/// May signatures and item ids of `message` go back to `target`? Only to the very model that made them.
pub fn is_from(message: &AssistantMessage, api: &str, target: &Target) -> bool {
    message.api == api && message.provider == target.provider && message.model == target.model
}

/// The limit on the answer, tokens; `None` when nobody knows one.
pub fn max_tokens(target: &Target, wanted: Option<u64>) -> Option<u64> {
    let of_model = Some(target.max_tokens).filter(|limit| *limit > 0);
    match (wanted, of_model) {
        (Some(wanted), Some(limit)) => Some(wanted.min(limit)),
        (wanted, limit) => wanted.or(limit),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_survive_the_way_there_and_back() {
        for (text, expected, back) in [
            ("", json!({}), "{}"),
            (" {\"a\":1}", json!({"a": 1}), "{\"a\":1}"),
            ("{\"a\":", json!("{\"a\":"), "{\"a\":"),
        ] {
            assert_eq!(arguments(text), expected);
            assert_eq!(arguments_text(&arguments(text)), back);
        }
    }
}
