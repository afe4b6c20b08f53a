//! What a model provider is asked and what it answers, whatever its wire.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::Value;

use super::error::ModelError;
use super::message::{AssistantMessage, Message};
use crate::config::settings::{ModelCompat, ModelCost};

/// One wire to one kind of server.
///
/// A provider does not retry, fall back or keep state between calls: `failover.rs` and the run decide about that.
/// Dropping the stream drops the connection.
pub trait Provider: Send + Sync {
    /// Name of the wire, such as `openai-completions`.
    fn api(&self) -> &'static str;

    /// Sends one request. The outer future ends when the answer's head has come, the stream when the answer has.
    ///
    /// The stream yields exactly one `Done` as its last item, or one error; an answer that ends without saying why
    /// it ended is `ModelError::Interrupted`. Silence longer than `target.idle` is `ModelError::Idle`.
    fn stream<'a>(&'a self, target: &'a Target, request: Request<'a>)
    -> BoxFuture<'a, Result<ModelStream, ModelError>>;
}

pub type ModelStream = BoxStream<'static, Result<Delta, ModelError>>;

/// Which server and model to call, with everything resolved: no secret reference, no default left.
#[derive(Clone)]
pub struct Target {
    pub provider: String,
    pub model: String,
    /// Wire, such as `openai-completions`.
    pub api: String,
    pub base_url: String,
    pub api_key: Option<String>,
    /// Send the key as `Authorization: Bearer` whatever the wire's own header is.
    pub auth_header: bool,
    pub headers: BTreeMap<String, String>,
    pub reasoning: bool,
    /// Does the model take images?
    pub images: bool,
    pub cost: ModelCost,
    pub context_window: u64,
    pub max_tokens: u64,
    pub compat: ModelCompat,
    /// Longest silence before the call counts as hung.
    pub idle: Duration,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} ({} at {})", self.provider, self.model, self.api, self.base_url)
    }
}

/// One request to a model.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub system: &'a str,
    /// Oldest first; every tool call is followed by its result (`history.rs` sees to that).
    pub messages: &'a [Message],
    pub tools: &'a [ToolSpec],
    /// `off minimal low medium high xhigh`.
    pub thinking: &'a str,
    /// Stable for one session: providers that route by it hit their prompt cache.
    pub cache_key: &'a str,
    /// Caller's own limit on the answer, tokens; absent means the model's.
    pub max_tokens: Option<u64>,
}

/// A tool as the model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    /// JSON Schema of the arguments, an object.
    pub parameters: Value,
}

/// A piece of an answer as it arrives.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// New visible text.
    Text(String),
    /// New reasoning text.
    Thinking(String),
    /// The model has begun to write a call of this tool; its arguments come whole in `Done`.
    ToolCallStarted { id: String, name: String },
    /// The whole answer: parts in order, usage with cost, stop reason.
    Done(Box<AssistantMessage>),
}
