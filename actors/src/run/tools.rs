//! One batch of tool calls: run side by side, answered in the order in which they were made.

use std::collections::HashMap;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::stream::{RunStream, now_ms};
use super::turn::TurnArgs;
use crate::metrics;
use crate::model::message::{ToolCall, ToolResultMessage};
use crate::tools::{ToolContext, ToolOutcome, Toolbox};

/// Calls of one batch that run at once.
const PARALLEL: usize = 4;

/// How often each unknown tool was called.
pub struct Misses {
    limit: usize,
    counts: HashMap<String, usize>,
}

impl Misses {
    pub fn new(limit: usize) -> Self {
        Self { limit, counts: HashMap::new() }
    }

    fn count(&mut self, name: &str) {
        *self.counts.entry(name.to_owned()).or_default() += 1;
    }

    /// The tool that was called in vain too often.
    pub fn exhausted(&self) -> Option<&str> {
        self.counts.iter().find(|(_, count)| **count >= self.limit).map(|(name, _)| name.as_str())
    }
}

/// Runs the calls and returns one result for each, in call order. Never fails: errors are results for the model.
pub async fn run_batch(
    toolbox: &Toolbox,
    args: &TurnArgs,
    calls: &[ToolCall],
    stream: &mut RunStream,
    misses: &mut Misses,
) -> Vec<ToolResultMessage> {
    let context = ToolContext { session_key: args.key.clone(), run_id: args.turn.run_id.clone() };
    let mut results = Vec::with_capacity(calls.len());
    for batch in calls.chunks(PARALLEL) {
        for call in batch {
            stream.tool_started(&call.id, &call.name, &call.arguments).await;
            if !toolbox.has(&call.name) {
                misses.count(&call.name);
            }
        }
        let mut running: FuturesOrdered<_> = batch
            .iter()
            .map(async |call| {
                let since = Instant::now();
                let outcome = toolbox.call(&context, &call.name, &call.arguments).await;
                let name = if toolbox.has(&call.name) { &call.name } else { "unknown" };
                metrics::tool_execution(name, outcome.is_error, since.elapsed());
                outcome
            })
            .collect();
        for call in batch {
            let outcome =
                running.next().await.unwrap_or_else(|| ToolOutcome::error(&call.name, "the tool did not run"));
            let shown = json!({ "content": outcome.content, "details": outcome.details });
            stream.tool_ended(&call.id, &call.name, outcome.is_error, shown).await;
            results.push(message(call, outcome));
        }
    }
    results
}

fn message(call: &ToolCall, outcome: ToolOutcome) -> ToolResultMessage {
    ToolResultMessage {
        tool_call_id: call.id.clone(),
        tool_name: call.name.clone(),
        content: outcome.content,
        details: outcome.details.filter(|details| *details != Value::Null),
        is_error: outcome.is_error,
        timestamp: now_ms(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::Part;

    #[test]
    fn a_tool_that_is_missed_too_often_is_named() {
        let mut misses = Misses::new(2);
        misses.count("a");
        misses.count("b");
        assert_eq!(misses.exhausted(), None);
        misses.count("b");
        assert_eq!(misses.exhausted(), Some("b"));
    }

    #[test]
    fn a_result_keeps_the_call_it_answers() {
        let call = ToolCall { id: "c1".into(), name: "x".into(), arguments: json!({}) };
        let outcome = ToolOutcome { content: vec![Part::text("ok")], details: None, is_error: false };
        let result = message(&call, outcome);
        assert_eq!((result.tool_call_id.as_str(), result.is_error), ("c1", false));
    }
}
