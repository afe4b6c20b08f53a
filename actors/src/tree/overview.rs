//! The tree as people see it: every actor with what its supervisor knows, what is told of every failure, and what an
//! operator can do to an actor.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use ractor::ActorRef;
use serde_json::json;
use tokio::time::Instant;

use super::SESSIONS;
use crate::events::{Event, Events, EventsMsg};
use crate::metrics;
use crate::run::directory::Directory;
use crate::run::stream::now_ms;
use crate::supervision::machine;
use crate::supervision::restart::Exit;
use crate::supervision::view::{self, News, Node, Observer, Refused};
use crate::supervision::{Address, Mail, Operation, Restart, SupervisorMsg};

/// Rows of one group that are shown unless all are asked for.
pub const SHOWN: usize = 100;

/// Where the actor of a session stands.
pub fn session_path(key: &str) -> String {
    format!("{SESSIONS}/{key}")
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Overview {
    root: Address<SupervisorMsg>,
    events: Events,
    directory: Directory,
    failures: Arc<DashMap<&'static str, Counts>>,
    started: Instant,
}

/// What became of all actors of one kind since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub restarts: u64,
    pub failures: u64,
    pub gave_up: u64,
}

/// The tree in one look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub actors: usize,
    pub running: usize,
}

impl Overview {
    /// Nothing to see yet: the tree starts later.
    pub fn new(events: Events, directory: Directory) -> Self {
        let root = Address::new("root", 64);
        Self { root, events, directory, failures: Arc::default(), started: Instant::now() }
    }

    pub(super) fn publish(&self, root: ActorRef<Mail<SupervisorMsg>>) {
        self.root.publish(root);
    }

    pub fn root(&self) -> &Address<SupervisorMsg> {
        &self.root
    }

    /// What every supervisor tells what becomes of its children: it goes into the log, to the clients, into the counts.
    pub fn observer(&self) -> Observer {
        let overview = self.clone();
        Arc::new(move |news: &News<'_>| overview.note(news))
    }

    pub fn note(&self, news: &News<'_>) {
        news.log();
        metrics::child(news);
        let mut counts = self.failures.entry(news.kind).or_default();
        match news.event {
            machine::Event::Started if news.generation > 1 => counts.restarts += 1,
            machine::Event::Ended { exit: Exit::Abnormal, .. } => counts.failures += 1,
            machine::Event::GaveUp { .. } => {
                counts.failures += 1;
                counts.gave_up += 1;
            }
            machine::Event::Stopped | machine::Event::IgnoredKill => {}
            machine::Event::Started | machine::Event::Ended { .. } => return, // as it should be
        }
        drop(counts);
        let retry_at = news.next_retry.and_then(|delay| i64::try_from(delay.as_millis()).ok()).map(|ms| now_ms() + ms);
        let payload = json!({
            "ts": now_ms(), "path": news.path, "kind": news.kind, "event": news.word(), "generation": news.generation,
            "restarts": news.restarts, "reason": news.reason(), "nextRetryAt": retry_at,
        });
        if let Err(error) = self.events.try_send(EventsMsg::Publish(Event::broadcast("supervisor.child", &payload))) {
            tracing::debug!(%error, "clients were not told of a child; the tree shows it");
        }
    }

    /// What has happened to each kind so far.
    pub fn counts(&self) -> Vec<(&'static str, Counts)> {
        let mut counts: Vec<_> = self.failures.iter().map(|entry| (*entry.key(), *entry.value())).collect();
        counts.sort_unstable_by_key(|(kind, _)| *kind);
        counts
    }

    /// The whole tree. Groups show at most `SHOWN` children, those in trouble first, unless `all`.
    pub async fn snapshot(&self, all: bool) -> Node {
        let mut root = Node::plain("root", "root", "running", Restart::Permanent);
        root.path = String::new();
        root.uptime_ms = u64::try_from(self.started.elapsed().as_millis()).ok();
        match view::below(&self.root, "").await {
            Ok(children) => root.children = children,
            Err(_) => root.state = "unknown",
        }
        self.add_runs(&mut root);
        if !all {
            shorten(&mut root);
        }
        root
    }

    /// Runs are not supervised but owned by their session; the directory knows them.
    fn add_runs(&self, root: &mut Node) {
        let mut runs: HashMap<String, Vec<Node>> = HashMap::new();
        for run in self.directory.live() {
            let mut node = Node::plain("run", &run.run_id, "running", Restart::Temporary);
            node.path = format!("{SESSIONS}/{}/{}", run.session_key, run.run_id);
            node.uptime_ms = u64::try_from(run.since.elapsed().as_millis()).ok();
            runs.entry(format!("{SESSIONS}/{}", run.session_key)).or_default().push(node);
        }
        let groups = root.children.iter_mut().flat_map(|branch| branch.children.iter_mut());
        for session in groups.filter(|group| group.path == SESSIONS).flat_map(|group| group.children.iter_mut()) {
            session.children = runs.remove(&session.path).unwrap_or_default();
        }
    }

    /// How many actors there are, and which of them do not run.
    pub async fn summary(&self) -> (Summary, Vec<Node>) {
        let root = self.snapshot(true).await;
        let mut summary = Summary::default();
        let mut down = Vec::new();
        for node in root.walk() {
            summary.actors += 1;
            if node.state == "running" {
                summary.running += 1;
            } else if down.len() < SHOWN {
                down.push(Node { children: Vec::new(), ..node.clone() });
            }
        }
        (summary, down)
    }

    /// Does something to an actor, named by its path or, where only one has it, by its name or kind. The answer is its
    /// row when that has had its effect, or after `SETTLE`.
    pub async fn operate(&self, name: &str, operation: Operation) -> Result<Node, OperateError> {
        let before = self.resolve(name).await?;
        view::operate(&self.root, &before.path, operation).await?;
        tracing::info!(target: "supervision", "supervision: {} {operation:?} asked for by an operator", before.path);
        let deadline = Instant::now() + SETTLE;
        loop {
            let root = self.snapshot(true).await;
            let now = root.walk().find(|node| node.path == before.path);
            let done = match (operation, now) {
                (Operation::Stop, node) => node.is_none_or(|node| node.state == "stopped"),
                (Operation::Start, node) => node.is_some_and(|node| node.state == "running"),
                (Operation::Restart, node) => {
                    node.is_some_and(|node| node.state == "running" && node.generation != before.generation)
                }
                #[cfg(feature = "fault-injection")]
                (Operation::Fault(_), _) => true,
            };
            if done || Instant::now() >= deadline {
                let gone = || Node { state: "ended", uptime_ms: None, children: Vec::new(), ..before.clone() };
                return Ok(now.map_or_else(gone, |node| Node { children: Vec::new(), ..node.clone() }));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn resolve(&self, name: &str) -> Result<Node, OperateError> {
        let root = self.snapshot(true).await;
        let mut found = Vec::new();
        for node in root.walk().filter(|node| !node.path.is_empty()) {
            if node.path == name {
                found = vec![node];
                break;
            }
            if node.name == name || node.kind == name {
                found.push(node);
            }
        }
        match found.as_slice() {
            [node] if node.kind == "run" => Err(OperateError::Run),
            [node] => Ok((*node).clone()),
            [] => Err(Refused::Unknown(name.to_owned()).into()),
            many => {
                let paths: Vec<&str> = many.iter().take(5).map(|node| node.path.as_str()).collect();
                Err(OperateError::Ambiguous(name.to_owned(), paths.join(", ")))
            }
        }
    }
}

/// Why an operator's wish was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{0} is not the name of one actor; there are {1}")]
    Ambiguous(String, String),
    #[error("a run belongs to its session; `chat.abort` or `/stop` ends it")]
    Run,
}

/// How long an operator waits for the effect of an operation.
const SETTLE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

fn shorten(node: &mut Node) {
    if node.children.len() > SHOWN {
        node.children.sort_by_key(|child| (child.state == "running", std::cmp::Reverse(child.mailbox)));
        node.omitted = node.children.len() - SHOWN;
        node.children.truncate(SHOWN);
    }
    node.children.iter_mut().for_each(shorten);
}
