//! What a run says while it goes: `agent` events as things happen, `chat` deltas at most every 150 ms.
//!
//! Terminal events are not sent here: the session sends them when the end is on disk.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::events::{Audience, Event, Events, EventsMsg};
use crate::supervision::Unavailable;

/// Least time between two `chat` deltas of one run.
pub const CHAT_INTERVAL: Duration = Duration::from_millis(150);

/// The outgoing side of one run.
pub struct RunStream {
    events: Events,
    run_id: String,
    session_key: String,
    seq: u64,
    /// Text of the model message that is arriving.
    message_text: String,
    /// Text of the whole turn: what the chat shows.
    chat_text: String,
    /// Bytes of `chat_text` that have been sent.
    chat_sent: usize,
    chat_sent_at: Option<Instant>,
    thinking: String,
}

impl RunStream {
    pub fn new(events: Events, run_id: impl Into<String>, session_key: impl Into<String>) -> Self {
        Self {
            events,
            run_id: run_id.into(),
            session_key: session_key.into(),
            seq: 0,
            message_text: String::new(),
            chat_text: String::new(),
            chat_sent: 0,
            chat_sent_at: None,
            thinking: String::new(),
        }
    }

    /// Number of the last `agent` event.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Text of the message that is arriving, for an abort that keeps it.
    pub fn message_text(&self) -> &str {
        &self.message_text
    }

    pub async fn started(&mut self) {
        self.agent("lifecycle", json!({ "phase": "start", "startedAt": now_ms() })).await;
    }

    /// A new model message begins; the chat text goes on.
    pub fn begin_message(&mut self) {
        self.message_text.clear();
        self.thinking.clear();
    }

    /// Throws away what a failed attempt said, before the next attempt says it again.
    pub fn discard_message(&mut self) {
        let keep = self.chat_text.len().saturating_sub(self.message_text.len());
        self.chat_text.truncate(keep);
        self.chat_sent = self.chat_sent.min(keep);
        self.begin_message();
    }

    pub async fn text(&mut self, delta: &str) {
        self.message_text.push_str(delta);
        self.chat_text.push_str(delta);
        self.agent("assistant", json!({ "text": self.message_text, "delta": delta })).await;
        if self.chat_sent_at.is_none_or(|at| at.elapsed() >= CHAT_INTERVAL) {
            self.flush_chat().await;
        }
    }

    pub async fn thinking(&mut self, delta: &str) {
        self.thinking.push_str(delta);
        self.agent("thinking", json!({ "text": self.thinking, "delta": delta })).await;
    }

    /// When chat text waits to be sent: the time at which it is due.
    pub fn chat_due(&self) -> Option<Instant> {
        (self.chat_sent < self.chat_text.len()).then(|| self.chat_sent_at.map_or_else(Instant::now, |at| at + CHAT_INTERVAL))
    }

    /// Sends the chat text that waits.
    pub async fn flush_chat(&mut self) {
        if self.chat_sent == self.chat_text.len() {
            return;
        }
        let delta = &self.chat_text[self.chat_sent..];
        let payload = json!({
            "runId": self.run_id, "sessionKey": self.session_key, "seq": self.seq, "state": "delta",
            "deltaText": delta,
            "message": { "role": "assistant", "content": [{ "type": "text", "text": self.chat_text }], "timestamp": now_ms() },
        });
        self.chat_sent = self.chat_text.len();
        self.chat_sent_at = Some(Instant::now());
        self.publish(Event::broadcast("chat", &payload).droppable()).await;
    }

    pub async fn tool_started(&mut self, id: &str, name: &str, arguments: &Value) {
        let data = json!({ "phase": "start", "name": name, "toolCallId": id, "args": arguments });
        self.tool(data).await;
        let item = json!({
            "itemId": format!("tool:{id}"), "phase": "start", "kind": "tool", "title": name, "status": "running",
            "name": name, "toolCallId": id, "startedAt": now_ms(),
        });
        self.agent("item", item).await;
    }

    pub async fn tool_ended(&mut self, id: &str, name: &str, is_error: bool, result: Value) {
        let data =
            json!({ "phase": "result", "name": name, "toolCallId": id, "isError": is_error, "result": result });
        self.tool(data).await;
        let status = if is_error { "failed" } else { "completed" };
        let item = json!({
            "itemId": format!("tool:{id}"), "phase": "end", "kind": "tool", "title": name, "status": status,
            "name": name, "toolCallId": id, "endedAt": now_ms(),
        });
        self.agent("item", item).await;
    }

    /// The model was changed after a failure.
    pub async fn fell_back(&mut self, from: &str, to: Option<&str>, reason: &str) {
        let mut data = json!({
            "phase": "fallback_step", "fallbackStepFromModel": from, "fallbackStepFromFailureReason": reason,
            "fallbackStepFinalOutcome": if to.is_some() { "next_fallback" } else { "chain_exhausted" },
        });
        if let Some(to) = to {
            data["fallbackStepToModel"] = json!(to);
        }
        self.agent("lifecycle", data).await;
    }

    async fn agent(&mut self, stream: &str, data: Value) {
        let payload = self.next(stream, data);
        self.publish(Event::broadcast("agent", &payload).droppable()).await;
    }

    /// Tool events go only to connections that asked for them and started or joined the run.
    async fn tool(&mut self, data: Value) {
        let payload = self.next("tool", data);
        self.publish(Event::targeted("agent", &payload, Audience::RunTools(self.run_id.clone()))).await;
        self.publish(Event::targeted("session.tool", &payload, Audience::Sessions)).await;
    }

    fn next(&mut self, stream: &str, data: Value) -> Value {
        self.seq += 1;
        json!({
            "runId": self.run_id, "stream": stream, "data": data, "sessionKey": self.session_key,
            "seq": self.seq, "ts": now_ms(),
        })
    }

    async fn publish(&self, event: Event) {
        match self.events.send(EventsMsg::Publish(event)).await {
            // While the hub restarts there is nobody to hear it: its connections were closed and will read history.
            Ok(()) | Err(Unavailable::Restarting(_)) => {}
            Err(error) => tracing::debug!(%error, run = %self.run_id, "event not sent"),
        }
    }
}

/// Milliseconds since the epoch.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
