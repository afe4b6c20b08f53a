//! The tree as an operator sees it: asked of the supervisors themselves, so that it shows what they know.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use serde::Serialize;
use tokio::time::Instant;

use super::life::{Life, State};
use super::machine::{Event, Operation};
use super::mailbox::{Mailbox, Unavailable};
use super::restart::Exit;
use super::spec::{ChildSpec, Restart};

/// How long a supervisor may take to say what it knows.
pub const ASK_LIMIT: Duration = Duration::from_secs(1);

/// A supervisor, whatever its children are.
pub trait Branch: Send + Sync {
    fn children(&self) -> BoxFuture<'_, Result<Vec<ChildInfo>, Unavailable>>;
    /// Does something to the child with this name.
    fn operate(&self, child: &str, operation: Operation) -> BoxFuture<'_, Result<(), Refused>>;
}

/// Why an operation was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("there is no {0} in the tree")]
    Unknown(String),
    #[error("the gateway cannot be driven without {0}; use `openclaw gateway stop`, or restart it")]
    Vital(String),
    #[error("{0} comes and goes with its work; it cannot be started by itself")]
    NotStartable(String),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// One child as its supervisor knows it.
#[derive(Clone)]
pub struct ChildInfo {
    pub name: Arc<str>,
    pub node: Node,
    pub below: Option<Arc<dyn Branch>>,
}

/// One row of the tree. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Names from below the root, joined by `/`.
    pub path: String,
    pub kind: &'static str,
    pub name: String,
    /// `running`, `starting`, `restarting`, `stopping`, `gave-up`, `stopped`, `ended` or, when its supervisor does not
    /// say, `unknown`.
    pub state: &'static str,
    /// `permanent`, `transient` or `temporary`.
    pub restart: &'static str,
    /// Incarnation, from 1.
    pub generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// Restarts inside the window that decides when it is given up.
    pub restarts: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailureInfo>,
    /// Mails that wait to be opened.
    pub mailbox: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
    /// How long until it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_retry_ms: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Node>,
    /// Children that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureInfo {
    pub reason: String,
    pub ago_ms: u64,
}

impl Node {
    /// A row without a supervisor that knows it, such as the root's.
    pub fn plain(kind: &'static str, name: &str, state: &'static str, restart: Restart) -> Self {
        Self {
            path: name.to_owned(),
            kind,
            name: name.to_owned(),
            state,
            restart: restart_word(restart),
            generation: 1,
            uptime_ms: None,
            restarts: 0,
            last_failure: None,
            mailbox: 0,
            oldest_ms: None,
            next_retry_ms: None,
            children: Vec::new(),
            omitted: 0,
        }
    }

    /// What a supervisor knows of a child.
    pub fn of(spec: &ChildSpec, name: &str, life: &Life, mailbox: &dyn Mailbox, restarts: usize, now: Instant) -> Self {
        let last_failure = life
            .last_failure()
            .map(|failure| FailureInfo { reason: failure.reason.clone(), ago_ms: ms(now.duration_since(failure.at)) });
        let (uptime, retry) = match life.state {
            State::Running { since } => (Some(now.duration_since(since)), None),
            State::Waiting { until: at } | State::GaveUp { retry_at: at } => {
                (None, Some(at.saturating_duration_since(now)))
            }
            _ => (None, None),
        };
        Self {
            generation: life.generation,
            uptime_ms: uptime.map(ms),
            restarts,
            last_failure,
            mailbox: mailbox.depth(),
            oldest_ms: mailbox.oldest().map(ms),
            next_retry_ms: retry.map(ms).filter(|&ms| ms > 0),
            ..Self::plain(spec.kind, name, word(life, now), spec.restart)
        }
    }

    /// This row and all below it.
    pub fn walk(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        Box::new(std::iter::once(self).chain(self.children.iter().flat_map(|child| child.walk())))
    }
}

fn word(life: &Life, now: Instant) -> &'static str {
    match life.state {
        State::Waiting { until } if until > now => "restarting",
        State::Waiting { .. } | State::Starting => "starting",
        State::Running { .. } => "running",
        State::Stopping { .. } | State::Killed { .. } => "stopping",
        State::GaveUp { .. } => "gave-up",
        State::Stopped => "stopped",
        State::Finished => "ended",
    }
}

fn restart_word(restart: Restart) -> &'static str {
    match restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Everything below a supervisor. One that does not answer in time is shown as such; the others are not kept waiting.
pub fn below<'a>(branch: &'a dyn Branch, path: &'a str) -> BoxFuture<'a, Result<Vec<Node>, Unavailable>> {
    Box::pin(async move {
        let children = branch.children().await?;
        Ok(join_all(children.into_iter().map(|child| row(child, path))).await)
    })
}

async fn row(child: ChildInfo, path: &str) -> Node {
    let mut node = child.node;
    node.path = join(path, &child.name);
    if let Some(branch) = child.below {
        match below(&*branch, &node.path).await {
            Ok(children) => node.children = children,
            Err(_) if node.state == "running" => node.state = "unknown", // it runs, but does not answer
            Err(_) => {}
        }
    }
    node
}

/// Does something to the actor at a path.
pub async fn operate(branch: &dyn Branch, path: &str, operation: Operation) -> Result<(), Refused> {
    let (first, rest) = match path.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let Some(rest) = rest else { return branch.operate(first, operation).await };
    let children = branch.children().await?;
    match children.into_iter().find(|child| *child.name == *first).and_then(|child| child.below) {
        Some(below) => Box::pin(operate(&*below, rest, operation)).await,
        // A name may hold a slash itself.
        None => branch.operate(path, operation).await,
    }
}

pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// What became of a child.
#[derive(Debug)]
pub struct News<'a> {
    pub path: String,
    pub kind: &'static str,
    pub event: &'a Event,
    pub generation: u64,
    /// Restarts in the window.
    pub restarts: usize,
    pub next_retry: Option<Duration>,
}

impl News<'_> {
    /// `started`, `restarted`, `ended`, `failed`, `gave-up`, `stopped` or `ignored-kill`.
    pub fn word(&self) -> &'static str {
        match self.event {
            Event::Started if self.generation > 1 => "restarted",
            Event::Started => "started",
            Event::Ended { exit: Exit::Normal, .. } => "ended",
            Event::Ended { exit: Exit::Abnormal, .. } => "failed",
            Event::GaveUp { .. } => "gave-up",
            Event::Stopped => "stopped",
            Event::IgnoredKill => "ignored-kill",
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self.event {
            Event::Ended { reason, .. } | Event::GaveUp { reason } => Some(reason),
            Event::IgnoredKill => Some("ignored kill"),
            Event::Started | Event::Stopped => None,
        }
    }

    /// The line that operators look for.
    pub fn log(&self) {
        let (path, word, generation, restarts) = (&self.path, self.word(), self.generation, self.restarts);
        match (self.event, self.reason()) {
            (Event::Started, _) if generation == 1 => {
                tracing::debug!(target: "supervision", "supervision: {path} {word} gen={generation}");
            }
            (Event::GaveUp { .. } | Event::IgnoredKill, reason) => tracing::error!(
                target: "supervision",
                "supervision: {path} {word} gen={generation} reason={} restarts={restarts}", reason.unwrap_or_default()
            ),
            (Event::Ended { exit: Exit::Abnormal, .. }, Some(reason)) => tracing::warn!(
                target: "supervision",
                "supervision: {path} {word} gen={generation} class=abnormal reason={reason} restarts={restarts}"
            ),
            _ => {
                tracing::info!(target: "supervision", "supervision: {path} {word} gen={generation} restarts={restarts}")
            }
        }
    }
}

/// Told of every start, end and restart. Short: it hands news on.
pub type Observer = Arc<dyn Fn(&News<'_>) + Send + Sync>;

/// An observer that only writes the log.
pub fn log_only() -> Observer {
    Arc::new(|news: &News<'_>| news.log())
}
