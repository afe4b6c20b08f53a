//! The run behind one HTTP request: what it says while it goes, and its end when the client goes away.
//!
//! Dropped before the run is over, it aborts the run: nobody is left to read the answer.

use std::sync::Arc;

use openclaw_actors::events::{ConnId, Entitlement, EventsMsg, Outbox, Subscriber, Taken};
use openclaw_actors::protocol::chat::{ChatEvent, ChatState};
use openclaw_actors::protocol::{ErrorShape, EventFrame};
use openclaw_actors::run::directory::Ticket;
use openclaw_actors::run::message::{AbortCause, EndedRun, Turn};
use openclaw_actors::session::{SessionKey, SessionMsg};
use ractor::RpcReplyPort;
use uuid::Uuid;

use crate::gateway::rpc::run_end;
use crate::gateway::services::{ASK_LIMIT, Services, unavailable};
use crate::gateway::turns::{self, Submitted};

/// Bytes of events that may wait for a client that reads slowly; then texts are skipped and made up for later.
const OUTBOX_BYTES: usize = 4 * 1024 * 1024;

/// One run and who listens to it.
pub struct LiveRun {
    services: Arc<Services>,
    key: SessionKey,
    run_id: String,
    /// The turn may have reached its session.
    sent: bool,
    over: bool,
    listener: Option<(ConnId, Outbox)>,
    missed: bool,
}

/// What a listener learns.
pub enum Heard {
    /// Everything that the agent has said so far.
    Text(String),
    Ended(Arc<EndedRun>),
}

impl LiveRun {
    pub fn new(services: Arc<Services>, key: SessionKey, run_id: String) -> Self {
        Self { services, key, run_id, sent: false, over: false, listener: None, missed: false }
    }

    /// Listens from now on; asked for before `submit`, so that nothing is missed.
    pub async fn listen(&mut self) -> Result<(), ErrorShape> {
        let conn: ConnId = format!("http-{}", Uuid::new_v4()).into();
        let outbox = Outbox::new(OUTBOX_BYTES);
        let subscriber = Subscriber {
            conn: conn.clone(),
            entitlement: Entitlement { read: true, ..Entitlement::default() },
            tool_events: false,
            outbox: outbox.clone(),
        };
        self.listener = Some((conn, outbox));
        self.services.context.events.send(EventsMsg::Subscribe(subscriber)).await.map_err(unavailable)
    }

    /// Hands the turn over. It is on disk when this returns.
    pub async fn submit(&mut self, turn: Turn) -> Result<Ticket, ErrorShape> {
        self.sent = true;
        let submitted = turns::submit(&self.services, &self.key, turn, None).await;
        match submitted {
            Ok(Submitted::Admitted { ticket, .. } | Submitted::Repeated(ticket)) => Ok(ticket),
            Err(error) => {
                self.over = true; // refused: there is nothing to abort
                Err(error)
            }
        }
    }

    /// Waits for the end alone.
    pub async fn ended(&mut self, ticket: Ticket) -> Result<Arc<EndedRun>, ErrorShape> {
        let ended = run_end::wait(&self.services, ticket).await;
        self.over = true;
        ended
    }

    /// Waits for the next news.
    pub async fn next(&mut self, ticket: &Ticket) -> Result<Heard, ErrorShape> {
        loop {
            let Some((_, outbox)) = &self.listener else {
                return self.ended(ticket.clone()).await.map(Heard::Ended);
            };
            tokio::select! {
                biased;
                taken = outbox.take() => match taken {
                    Taken::Frames(frames) => {
                        if let Some(text) = latest_text(&frames, &self.run_id) {
                            return Ok(Heard::Text(text));
                        }
                    }
                    Taken::Close(_) => {
                        self.missed = true; // the hub restarts, or we were too slow: the end tells the whole answer
                        self.listener = None;
                    }
                },
                ended = run_end::wait(&self.services, ticket.clone()) => {
                    self.over = true;
                    return ended.map(Heard::Ended);
                }
            }
        }
    }

    /// After the end: the text that was still on its way, and whether some may have been missed.
    pub async fn rest(&mut self) -> (Option<String>, bool) {
        let Some((conn, outbox)) = self.listener.take() else { return (None, true) };
        let events = &self.services.context.events;
        let flushed = events.ask(ASK_LIMIT, EventsMsg::Flush).await;
        unsubscribe(&self.services, conn, &outbox);
        let mut text = None;
        while let Taken::Frames(frames) = outbox.take().await {
            text = latest_text(&frames, &self.run_id).or(text);
        }
        (text, self.missed || flushed.is_err() || outbox.dropped() > 0)
    }
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        if let Some((conn, outbox)) = self.listener.take() {
            unsubscribe(&self.services, conn, &outbox);
        }
        if !self.sent || self.over {
            return;
        }
        let Some(session) = self.services.sessions.get(&self.key) else { return };
        let (answer, _) = ractor::concurrency::oneshot();
        let message = SessionMsg::Abort {
            run_id: Some(self.run_id.clone()),
            cause: AbortCause::Disconnect,
            reply: RpcReplyPort::from(answer),
        };
        match session.try_send(message) {
            Ok(()) => tracing::info!(run = %self.run_id, session = %self.key, "client went away; its run is aborted"),
            Err(error) => tracing::warn!(run = %self.run_id, %error, "client went away; its run goes on"),
        }
    }
}

/// A hub that does not take this has lost the subscription already, or forgets it with the next event.
fn unsubscribe(services: &Services, conn: ConnId, outbox: &Outbox) {
    outbox.close(1000, "");
    if let Err(error) = services.context.events.try_send(EventsMsg::Unsubscribe(conn)) {
        tracing::debug!(%error, "a listener could not be unsubscribed");
    }
}

/// The newest whole text of a run among these frames.
fn latest_text(frames: &[String], run_id: &str) -> Option<String> {
    frames.iter().rev().filter(|frame| frame.contains(run_id)).find_map(|frame| text_of(frame, run_id))
}

fn text_of(frame: &str, run_id: &str) -> Option<String> {
    let frame: EventFrame = serde_json::from_str(frame).ok().filter(|frame: &EventFrame| frame.event == "chat")?;
    let event: ChatEvent = serde_json::from_value(frame.payload?).ok()?;
    match event.state {
        ChatState::Delta { message, .. } if event.run_id == run_id => {
            message.pointer("/content/0/text")?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use openclaw_actors::protocol::chat::assistant_text;
    use serde_json::json;

    use super::*;

    fn delta(run_id: &str, text: &str) -> String {
        let state = ChatState::Delta { delta_text: "x".into(), replace: None, message: assistant_text(text, 1) };
        let event = ChatEvent { run_id: run_id.into(), session_key: "k".into(), spawned_by: None, seq: 1, state };
        json!({ "type": "event", "event": "chat", "payload": event, "seq": 1 }).to_string()
    }

    #[test]
    fn the_newest_text_of_the_run_is_heard_and_nothing_else() {
        let tick = json!({ "type": "event", "event": "tick", "payload": { "ts": 1 } }).to_string();
        let frames = [delta("mine", "He"), delta("mine", "Hello"), delta("other", "mine"), tick];
        assert_eq!(latest_text(&frames, "mine").as_deref(), Some("Hello"));
        assert_eq!(latest_text(&frames[2..], "mine"), None);
    }
}
