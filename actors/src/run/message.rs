//! What a run is given, what it can be told, and how it can end.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::delivery::Route;
use crate::model::message::{AssistantMessage, Usage};

/// A request to an agent, as it was accepted. Stored with the run, so that a queued one survives a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// The caller's idempotency key.
    pub run_id: String,
    /// By which way it came.
    pub kind: TurnKind,
    /// What the person said, as they said it.
    pub text: String,
    /// Attached images, already checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<TurnImage>,
    /// `provider/model` for this turn only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Added to the system prompt of this turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_system_prompt: Option<String>,
    /// Deadline of the run, seconds; absent means the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Limit on the answer, tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Channel that the turn came from, such as `webchat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Where the answer goes, if it leaves the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// What a person is called who wrote it in a chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    #[serde(default, skip_serializing_if = "Authority::is_owner")]
    pub authority: Authority,
    /// Nobody has asked: the agent was woken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Box<HeartbeatTurn>>,
    /// It goes on where an interrupted one stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// Milliseconds since the epoch.
    pub accepted_at: i64,
}

/// What becomes of the answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatTurn {
    /// Characters beside the token that are no alert.
    pub ack_max: usize,
    /// That all is well is said, too.
    pub show_ok: bool,
    pub show_alerts: bool,
    /// What was said last: it is not said again.
    pub previous: Option<String>,
    /// In a new conversation.
    pub fresh: bool,
}

/// Which turn is taken up again, and for which time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Run id of the turn that was cut off first.
    pub of: String,
    /// From 1.
    pub attempt: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnKind {
    Agent,
    Chat,
    Http,
    /// A chat platform.
    Channel,
    /// The agent was woken.
    Heartbeat,
    /// A job that was due.
    Cron,
}

impl TurnKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Chat => "chat",
            Self::Http => "http",
            Self::Channel => "channel",
            Self::Heartbeat => "heartbeat",
            Self::Cron => "cron",
        }
    }

    /// Is it given up when it is cut off? Whoever asked for it knows what to do then.
    pub fn is_given_up(self) -> bool {
        matches!(self, Self::Http | Self::Cron)
    }

    /// Does a person wait for it in a conversation, rather than a program for this very result?
    pub fn is_conversation(self) -> bool {
        matches!(self, Self::Chat | Self::Channel)
    }
}

/// What the sender of a turn may have done for them, least first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authority {
    /// Somebody in a group whom no list names: only text for the agent, no commands.
    Untrusted,
    /// Somebody who may talk to the agent.
    Sender,
    #[default]
    Owner,
}

impl Authority {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    fn is_owner(&self) -> bool {
        *self == Self::Owner
    }
}

/// `data` is base64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnImage {
    pub data: String,
    pub mime_type: String,
}

/// Who or what ended a run early; the wire word is its `stopReason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AbortCause {
    /// `chat.abort`, `sessions.abort`.
    Rpc,
    /// A stop phrase in a chat.
    Stop,
    Timeout,
    /// The gateway is going down.
    Restart,
    /// The owner of a request went away.
    Disconnect,
}

impl AbortCause {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rpc => "rpc",
            Self::Stop => "stop",
            Self::Timeout => "timeout",
            Self::Restart => "restart",
            Self::Disconnect => "disconnect",
        }
    }
}

/// What a run can be told while it goes.
#[derive(Debug)]
pub enum RunMsg {
    /// Another message for the live run, taken at the next model boundary.
    Steer(Turn),
    /// Another message to be shown to the live run if there is still a chance; it is kept elsewhere.
    Hint(Turn),
    Abort(AbortCause),
    /// The turn's task is over; `Err` is a panic.
    Ended(Result<Box<RunEnd>, String>),
}

/// Everything that the session must know when a run is over.
#[derive(Debug)]
pub struct RunEnd {
    pub outcome: Outcome,
    /// The last message, not yet in the transcript: the session stores it together with the end of the run.
    pub last: Option<AssistantMessage>,
    /// Steering messages that came too late for this run; each becomes a turn of its own.
    pub unsteered: Vec<Turn>,
    /// How many steering messages the run has taken from its mailbox, whatever became of them; what was sent after those
    /// has reached nobody.
    pub opened: usize,
    pub facts: RunFacts,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The answer; empty when the agent chose to say nothing.
    Completed {
        text: String,
    },
    Aborted {
        cause: AbortCause,
        partial: String,
    },
    /// `message` is for operators, `reply` for the person in the chat.
    Failed {
        message: String,
        reply: String,
        kind: FailureKind,
    },
}

/// `errorKind` of a failed chat turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    Refusal,
    Timeout,
    RateLimit,
    ContextLength,
    Unknown,
}

/// What the run used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunFacts {
    pub provider: String,
    pub model: String,
    pub context_window: u64,
    /// All calls of the run added up.
    pub usage: Usage,
    /// The last call alone: its prompt is the size of the context.
    pub last_call: Usage,
    pub tools_ran: bool,
    /// Number of the last `agent` event.
    pub seq: u64,
}

/// What is known about an ended run by everybody who asks for it. Shared, never changed.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedRun {
    pub outcome: Outcome,
    pub facts: RunFacts,
    pub session_id: String,
    pub started_at: i64,
    pub ended_at: i64,
}

/// Resolves when the run is over.
pub type EndWatch = tokio::sync::watch::Receiver<Option<Arc<EndedRun>>>;
