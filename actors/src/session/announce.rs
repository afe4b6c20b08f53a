//! What a session tells the world: the end of each run, exactly once, and changes of its row.

use serde_json::{Map, Value, json};

use super::entry::{LiveFacts, SessionEntry};
use super::key::SessionKey;
use crate::events::{Audience, Event, Events, EventsMsg};
use crate::protocol::agent::{AgentEvent, AgentStream, Lifecycle};
use crate::protocol::chat::{ChatEvent, ChatState, assistant_text};
use crate::protocol::session::SessionDefaults;
use crate::run::message::{FailureKind, Outcome};
use crate::run::stream::now_ms;

/// The voice of one session.
#[derive(Clone)]
pub struct Announcer {
    pub events: Events,
    pub key: SessionKey,
}

impl Announcer {
    /// The terminal events of a run: one on the `agent` side, one on the `chat` side.
    ///
    /// `seq` is the number of the run's last `agent` event.
    pub fn run_ended(&self, run_id: &str, outcome: &Outcome, started_at: i64, seq: u64) {
        let ended_at = now_ms();
        let (lifecycle, chat) = match outcome {
            Outcome::Completed { text } => {
                let message = (!text.is_empty()).then(|| assistant_text(text, ended_at));
                (ended(ended_at), ChatState::Final { stop_reason: None, message })
            }
            Outcome::Aborted { cause, partial } => {
                let message = (!partial.is_empty()).then(|| assistant_text(partial, ended_at));
                let stop_reason = cause.as_str().to_owned();
                let lifecycle = Lifecycle::End {
                    status: Some("cancelled".into()),
                    aborted: Some(true),
                    stop_reason: Some(stop_reason.clone()),
                    liveness_state: None,
                    started_at: Some(started_at),
                    ended_at,
                };
                (lifecycle, ChatState::Aborted { stop_reason, message })
            }
            Outcome::Failed { message, reply, kind } => {
                let lifecycle =
                    Lifecycle::Error { error: message.clone(), liveness_state: Some("blocked".into()), ended_at };
                let error_kind = Some(kind_name(*kind).to_owned());
                (lifecycle, ChatState::Error { error_message: Some(reply.clone()), error_kind })
            }
        };
        self.lifecycle(run_id, lifecycle, seq + 1);
        self.chat(run_id, chat, seq + 1);
    }

    /// The end of a message that was taken in by another run: nothing of its own to show.
    pub fn taken_in(&self, run_id: &str) {
        self.chat(run_id, ChatState::Final { stop_reason: None, message: None }, 0);
    }

    /// An answer without a model.
    pub fn answered(&self, run_id: &str, text: &str) {
        let message = Some(assistant_text(text, now_ms()));
        self.chat(run_id, ChatState::Final { stop_reason: None, message }, 0);
    }

    /// A message joined the transcript.
    pub fn message(&self, message: &Value, placed: Option<&(String, i64)>) {
        let mut payload = json!({ "sessionKey": self.key.as_str(), "message": message });
        if let Some((id, seq)) = placed {
            payload["messageId"] = json!(id);
            payload["messageSeq"] = json!(seq);
        }
        let audience = Audience::SessionMessages(self.key.as_str().to_owned());
        self.publish(Event::targeted("session.message", &payload, audience));
    }

    /// The row changed; `what` is `{reason}` or `{phase, runId?}`.
    pub fn changed(&self, what: Value, entry: Option<&SessionEntry>, running: bool, defaults: &SessionDefaults) {
        let mut payload = Map::new();
        payload.insert("sessionKey".into(), self.key.as_str().into());
        payload.insert("ts".into(), now_ms().into());
        if let Value::Object(what) = what {
            payload.extend(what);
        }
        if let Some(entry) = entry {
            let live = LiveFacts { has_active_run: running, ..LiveFacts::default() };
            let row = entry.row(&self.key, live, defaults);
            for (key, value) in row.top_level() {
                payload.entry(key).or_insert(value);
            }
            payload.insert("session".into(), serde_json::to_value(row).unwrap_or(Value::Null)); // plain data
        }
        self.publish(Event::targeted("sessions.changed", &payload, Audience::Sessions).droppable());
    }

    fn lifecycle(&self, run_id: &str, lifecycle: Lifecycle, seq: u64) {
        let event = AgentEvent {
            run_id: run_id.to_owned(),
            stream: AgentStream::Lifecycle(lifecycle),
            session_key: Some(self.key.as_str().to_owned()),
            spawned_by: None,
            seq,
            ts: now_ms(),
        };
        self.publish(Event::broadcast("agent", &event));
    }

    /// The last word about a run: from here on nobody receives its tool events.
    fn chat(&self, run_id: &str, state: ChatState, seq: u64) {
        let event = ChatEvent {
            run_id: run_id.to_owned(),
            session_key: self.key.as_str().to_owned(),
            spawned_by: None,
            seq,
            state,
        };
        self.publish(Event::broadcast("chat", &event));
        self.send(EventsMsg::ForgetRun(run_id.to_owned()));
    }

    fn publish(&self, event: Event) {
        self.send(EventsMsg::Publish(event));
    }

    /// The hub's mailbox is large and its work is short; when it is full or restarting, its connections are closed or
    /// closing, and clients read history when they are back.
    fn send(&self, message: EventsMsg) {
        if let Err(error) = self.events.try_send(message) {
            tracing::warn!(session = %self.key, %error, "event not sent");
        }
    }
}

fn ended(ended_at: i64) -> Lifecycle {
    Lifecycle::End {
        status: None,
        aborted: None,
        stop_reason: None,
        liveness_state: Some("working".into()),
        started_at: None,
        ended_at,
    }
}

fn kind_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Refusal => "refusal",
        FailureKind::Timeout => "timeout",
        FailureKind::RateLimit => "rate_limit",
        FailureKind::ContextLength => "context_length",
        FailureKind::Unknown => "unknown",
    }
}
