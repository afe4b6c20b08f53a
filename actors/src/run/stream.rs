//! What a run says while it goes: `agent` events as things happen, `chat` deltas at most every 150 ms.
//!
//! Terminal events are not sent here: the session sends them when the end is on disk.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::pulse::Pulse;
use super::sentinel;
use crate::events::{Audience, Event, Events, EventsMsg};
use crate::protocol::agent::{AgentEvent, AgentStream, FallbackStep, Item, Lifecycle, ToolPhase};
use crate::protocol::chat::{ChatEvent, ChatState, assistant_text};
use crate::supervision::Unavailable;

/// Each `agent` event repeats the whole message, so a long one is sent less often: a millisecond per KiB.
fn pause(message_bytes: usize) -> Duration {
    Duration::from_millis(u64::try_from(message_bytes / 1024).unwrap_or(u64::MAX))
}

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
    /// Bytes of `message_text` that `agent` events have carried, and when the last one did.
    message_sent: usize,
    message_sent_at: Option<Instant>,
    /// Text of the whole turn: what the chat shows.
    chat_text: String,
    /// Where the message that is arriving begins in `chat_text`.
    message_start: usize,
    /// Bytes of `chat_text` that have been sent.
    chat_sent: usize,
    chat_sent_at: Option<Instant>,
    /// What was sent is no longer the beginning of `chat_text`.
    replaces: bool,
    thinking: String,
    tools: Vec<(String, i64)>,
    pulse: Pulse,
}

impl RunStream {
    pub fn new(events: Events, run_id: impl Into<String>, session_key: impl Into<String>) -> Self {
        Self {
            events,
            run_id: run_id.into(),
            session_key: session_key.into(),
            seq: 0,
            message_text: String::new(),
            message_sent: 0,
            message_sent_at: None,
            chat_text: String::new(),
            message_start: 0,
            chat_sent: 0,
            chat_sent_at: None,
            replaces: false,
            thinking: String::new(),
            tools: Vec::new(),
            pulse: Pulse::default(),
        }
    }

    /// The same stream, whose progress is seen in this pulse.
    pub fn with_pulse(mut self, pulse: Pulse) -> Self {
        self.pulse = pulse;
        self
    }

    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Number of the last `agent` event.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Text of the message that is arriving, for an abort that keeps it.
    pub fn message_text(&self) -> &str {
        &self.message_text
    }

    /// All text of the turn so far, messages apart by a blank line.
    pub fn chat_text(&self) -> &str {
        &self.chat_text
    }

    pub async fn started(&mut self, started_at: i64) {
        self.agent(AgentStream::Lifecycle(Lifecycle::Start { started_at })).await;
    }

    /// A new model message begins; the chat text goes on.
    pub fn begin_message(&mut self) {
        self.pulse.beat();
        self.message_text.clear();
        self.message_sent = 0;
        self.thinking.clear();
        self.message_start = self.chat_text.len();
    }

    /// Throws away what a failed attempt said, before the next attempt says it again.
    pub fn discard_message(&mut self) {
        self.chat_text.truncate(self.message_start);
        self.replaces |= self.chat_sent > self.message_start;
        self.chat_sent = self.chat_sent.min(self.message_start);
        self.begin_message();
    }

    pub async fn text(&mut self, delta: &str) {
        self.pulse.beat();
        if self.message_text.is_empty() && !self.chat_text.is_empty() && !delta.is_empty() {
            self.chat_text.push_str("\n\n");
        }
        self.message_text.push_str(delta);
        self.chat_text.push_str(delta);
        if self.message_sent_at.is_none_or(|at| at.elapsed() >= pause(self.message_text.len())) {
            self.flush_message().await;
        }
        if self.chat_due().is_some_and(|due| due <= Instant::now()) {
            self.flush_chat().await;
        }
    }

    pub async fn thinking(&mut self, delta: &str) {
        self.pulse.beat();
        self.thinking.push_str(delta);
        let stream = AgentStream::Thinking { text: self.thinking.clone(), delta: delta.to_owned() };
        self.agent(stream).await;
    }

    /// When chat text waits to be sent: the time at which it is due.
    pub fn chat_due(&self) -> Option<Instant> {
        let waits = self.chat_sent < self.chat_text.len() && !sentinel::may_be_silent(&self.chat_text);
        waits.then(|| self.chat_sent_at.map_or_else(Instant::now, |at| at + CHAT_INTERVAL))
    }

    async fn flush_message(&mut self) {
        if self.message_sent == self.message_text.len() {
            return;
        }
        let delta = self.message_text[self.message_sent..].to_owned();
        self.message_sent = self.message_text.len();
        self.message_sent_at = Some(Instant::now());
        self.agent(AgentStream::Assistant { text: self.message_text.clone(), delta }).await;
    }

    /// Sends the text that waits.
    pub async fn flush_chat(&mut self) {
        self.flush_message().await;
        if self.chat_due().is_none() {
            return;
        }
        let state = ChatState::Delta {
            delta_text: self.chat_text[self.chat_sent..].to_owned(),
            replace: self.replaces.then_some(true),
            message: assistant_text(&self.chat_text, now_ms()),
        };
        self.chat_sent = self.chat_text.len();
        self.chat_sent_at = Some(Instant::now());
        self.replaces = false;
        let event = ChatEvent {
            run_id: self.run_id.clone(),
            session_key: self.session_key.clone(),
            spawned_by: None,
            seq: self.seq,
            state,
        };
        self.publish(Event::broadcast("chat", &event).droppable()).await;
    }

    pub async fn tool_started(&mut self, id: &str, name: &str, arguments: &Value) {
        self.pulse.beat();
        let (name_owned, tool_call_id) = (name.to_owned(), id.to_owned());
        self.tool(ToolPhase::Start { name: name_owned, tool_call_id, args: arguments.clone() }).await;
        self.tools.push((id.to_owned(), now_ms()));
        self.item(id, name, "start", "running", None).await;
    }

    pub async fn tool_ended(&mut self, id: &str, name: &str, is_error: bool, result: Value) {
        self.pulse.beat();
        let (name_owned, tool_call_id) = (name.to_owned(), id.to_owned());
        self.tool(ToolPhase::Result { name: name_owned, tool_call_id, is_error, result }).await;
        self.item(id, name, "end", if is_error { "failed" } else { "completed" }, Some(now_ms())).await;
        self.tools.retain(|(known, _)| known != id);
    }

    /// The model was changed after a failure, or there was none left. `position` counts candidates from 1.
    pub async fn fell_back(&mut self, from: &str, to: Option<&str>, reason: &str, position: u64) {
        let step = FallbackStep {
            kind: "fallback_step".into(),
            from_model: from.to_owned(),
            to_model: to.map(str::to_owned),
            failure_reason: reason.to_owned(),
            failure_detail: None,
            chain_position: position,
            outcome: if to.is_some() { "next_fallback" } else { "chain_exhausted" }.into(),
        };
        self.agent(AgentStream::Lifecycle(Lifecycle::FallbackStep(step))).await;
    }

    async fn item(&mut self, id: &str, name: &str, phase: &str, status: &str, ended_at: Option<i64>) {
        let started_at = self.tools.iter().find(|(known, _)| known == id).map_or_else(now_ms, |(_, at)| *at);
        let item = Item {
            item_id: format!("tool:{id}"),
            phase: phase.to_owned(),
            kind: "tool".into(),
            title: name.to_owned(),
            status: status.to_owned(),
            name: name.to_owned(),
            tool_call_id: id.to_owned(),
            started_at,
            ended_at,
        };
        self.agent(AgentStream::Item(item)).await;
    }

    async fn agent(&mut self, stream: AgentStream) {
        let event = self.next(stream);
        self.publish(Event::broadcast("agent", &event).droppable()).await;
    }

    /// Tool events go only to connections that asked for them and started or joined the run.
    async fn tool(&mut self, phase: ToolPhase) {
        let event = self.next(AgentStream::Tool(phase));
        self.publish(Event::targeted("agent", &event, Audience::RunTools(self.run_id.clone()))).await;
        self.publish(Event::targeted("session.tool", &event, Audience::Sessions)).await;
    }

    fn next(&mut self, stream: AgentStream) -> AgentEvent {
        self.seq += 1;
        AgentEvent {
            run_id: self.run_id.clone(),
            stream,
            session_key: Some(self.session_key.clone()),
            spawned_by: None,
            seq: self.seq,
            ts: now_ms(),
        }
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
