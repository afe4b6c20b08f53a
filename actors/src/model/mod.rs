//! Models: messages, providers and their wires, and the decisions around a call. A plain library; the run calls it.
//!
//! One call: `Catalogue` resolves a reference to a `Target`, `provider_for` gives the wire, `Provider::stream` the
//! deltas. When it fails, `ModelError::class` and `failover::next_step` say what follows. Nothing here keeps state
//! between calls, retries, or holds a secret beyond its target.

mod answer;
mod anthropic_messages;
mod builtin;
mod call;
pub mod catalogue;
pub mod cost;
mod decode;
pub mod error;
pub mod failover;
pub mod history;
pub mod http;
pub mod local;
pub mod message;
mod openai_completions;
mod openai_responses;
pub mod provider;
pub mod reference;
mod sse;
mod target;
mod thinking;
mod tool_id;
pub mod wires;

#[cfg(test)]
mod fake_server;
#[cfg(test)]
mod samples;

pub use self::catalogue::{Catalogue, ModelInfo, View};
pub use self::error::{FailureClass, ModelError};
pub use self::http::HttpClients;
pub use self::message::{AssistantMessage, Message, Part, StopReason, ToolCall, ToolResultMessage, Usage, UserMessage};
pub use self::provider::{Delta, ModelStream, Provider, Request, Target, ToolSpec};
pub use self::reference::ModelRef;
pub use self::wires::provider_for;
