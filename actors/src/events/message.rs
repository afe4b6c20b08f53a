//! What the hub can be told, and what it hands out.

use std::sync::Arc;

use ractor::RpcReplyPort;

use super::outbox::Outbox;
use crate::protocol::StateVersion;

/// One piece of news. Serialised once, whatever the number of receivers.
#[derive(Debug, Clone)]
pub struct Event {
    pub name: &'static str,
    /// JSON text of the payload.
    pub payload: Arc<str>,
    pub audience: Audience,
    pub state_version: Option<StateVersion>,
    /// May be skipped for a receiver that reads slowly; its `seq` is consumed all the same.
    pub droppable: bool,
}

impl Event {
    /// A broadcast whose audience follows from its name.
    pub fn broadcast(name: &'static str, payload: &impl serde::Serialize) -> Self {
        Self {
            name,
            payload: json(payload),
            audience: Audience::Broadcast(needs(name)),
            state_version: None,
            droppable: false,
        }
    }

    /// An event for chosen connections; it carries no `seq`.
    pub fn targeted(name: &'static str, payload: &impl serde::Serialize, audience: Audience) -> Self {
        Self { name, payload: json(payload), audience, state_version: None, droppable: false }
    }

    pub fn droppable(mut self) -> Self {
        self.droppable = true;
        self
    }

    pub fn with_state_version(mut self, version: StateVersion) -> Self {
        self.state_version = Some(version);
        self
    }
}

fn json(payload: &impl serde::Serialize) -> Arc<str> {
    // Our payloads are maps with string keys and finite numbers, which always serialise.
    serde_json::to_string(payload).unwrap_or_else(|_| "null".into()).into()
}

/// Who receives an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Every connection entitled to it; counted by `seq`.
    Broadcast(Need),
    /// Connections that follow all sessions.
    Sessions,
    /// Connections that follow all sessions or the messages of this one.
    SessionMessages(String),
    /// Connections that asked for tool events and started or joined this run.
    RunTools(String),
}

/// What a connection must hold to receive a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Any role, any scope.
    Nothing,
    Read,
    Write,
    Approvals,
    Pairing,
    /// Unknown names reach nobody.
    Never,
}

/// Source: event scoping table of the 2026.5.12 protocol.
pub fn needs(name: &str) -> Need {
    match name {
        "tick" | "health" | "heartbeat" | "presence" | "shutdown" | "update.available" => Need::Nothing,
        "agent" | "chat" | "chat.side_result" | "cron" | "sessions.changed" | "session.message" | "session.tool"
        | "config.reload" | "supervisor.child" | "disk" | "delivery" => Need::Read,
        _ if name.starts_with("exec.approval.") => Need::Approvals,
        _ if name.starts_with("device.pair.") || name.starts_with("node.pair.") => Need::Pairing,
        _ => Need::Never,
    }
}

/// What one connection may see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entitlement {
    pub read: bool,
    pub write: bool,
    pub approvals: bool,
    pub pairing: bool,
}

impl Entitlement {
    pub fn covers(self, need: Need) -> bool {
        match need {
            Need::Nothing => true,
            Need::Read => self.read,
            Need::Write => self.write,
            Need::Approvals => self.approvals,
            Need::Pairing => self.pairing,
            Need::Never => false,
        }
    }
}

/// Identifies one WebSocket connection for its whole life.
pub type ConnId = Arc<str>;

/// A connection that wants events.
#[derive(Debug, Clone)]
pub struct Subscriber {
    pub conn: ConnId,
    pub entitlement: Entitlement,
    /// It announced the capability `tool-events`.
    pub tool_events: bool,
    pub outbox: Outbox,
}

/// What the hub can be told.
#[derive(Debug)]
pub enum EventsMsg {
    Publish(Event),
    Subscribe(Subscriber),
    Unsubscribe(ConnId),
    /// Follow (or no longer follow) the list of sessions.
    FollowSessions(ConnId, bool),
    /// Follow (or no longer follow) the messages of one session. Answers `false` when the connection follows too many.
    FollowMessages(ConnId, String, bool, RpcReplyPort<bool>),
    /// The connection started or joined this run and wants its tool events.
    JoinRun(ConnId, String),
    /// The run is over.
    ForgetRun(String),
    /// Answers when everything sent before has reached the outboxes.
    Flush(RpcReplyPort<()>),
}
