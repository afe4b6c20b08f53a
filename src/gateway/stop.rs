//! The end of the service: what ends it, and in which order everything goes down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use openclaw_actors::events::{Event, EventsMsg};
use openclaw_actors::run::message::AbortCause;
use openclaw_actors::session::SessionMsg;
use openclaw_actors::tree::Tree;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use super::services::Services;
use crate::cli::{Failure, Outcome};

/// How long running turns may go on after a stop was asked for.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// How long an aborted turn may take to say so.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// How long clients may take to read their last frames.
const GOODBYE_LIMIT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);

/// The signals that end the service.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What ended the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Signal(&'static str),
    /// The root gave up: what it supervises cannot be kept alive.
    TreeEnded,
}

/// Waits for the end.
pub async fn wait(signals: &mut Signals, tree: &mut Tree) -> Reason {
    tokio::select! {
        name = signals.next() => {
            tracing::info!(target: "gateway", "signal {name} received");
            tracing::info!(target: "gateway", "received {name}; shutting down");
            Reason::Signal(name)
        }
        () = tree.ended() => Reason::TreeEnded,
    }
}

/// Takes everything down: turns end first, clients are told, then the tree stops in reverse order.
pub async fn stop(services: &Arc<Services>, tree: Tree, signals: &mut Signals, reason: Reason) -> Outcome {
    let since = Instant::now();
    services.draining.store(true, Ordering::Relaxed);
    if reason == Reason::TreeEnded {
        return Err(Failure::error("the supervision tree gave up; the log says what kept failing"));
    }
    tokio::select! {
        () = orderly(services) => {}
        name = signals.next() => tracing::warn!(target: "gateway", "second {name}; stopping at once"),
    }
    tree.stop().await;
    tracing::info!(target: "gateway", "shutdown completed cleanly in {}ms", since.elapsed().as_millis());
    super::DONE
}

async fn orderly(services: &Services) {
    drain(services).await;
    let payload = json!({ "reason": "gateway stopping", "restartExpectedMs": null });
    let told = EventsMsg::Publish(Event::broadcast("shutdown", &payload));
    if let Err(error) = services.context.events.send(told).await {
        tracing::warn!(%error, "clients could not be told of the stop");
    }
    let flushed = services.context.events.ask(GOODBYE_LIMIT, EventsMsg::Flush).await;
    if let Err(error) = flushed {
        tracing::warn!(%error, "clients may not have been told of the stop");
    }
    services.clients.close_where(1012, "service restart", |_| true);
    let gone = async {
        while !services.clients.is_empty() {
            sleep(POLL).await;
        }
    };
    let _ = timeout(GOODBYE_LIMIT, gone).await; // a client that does not read is left behind
}

/// Lets running turns finish for a while, then ends them; each still tells its clients how it ended.
async fn drain(services: &Services) {
    let idle = || async {
        while services.context.directory.open() > 0 {
            sleep(POLL).await;
        }
    };
    if timeout(DRAIN_LIMIT, idle()).await.is_ok() {
        return;
    }
    join_all(services.sessions.keys().into_iter().map(async |key| {
        let Some(session) = services.sessions.get(&key) else { return };
        let abort = |reply| SessionMsg::Abort { run_id: None, cause: AbortCause::Restart, reply };
        if let Err(error) = session.ask(SETTLE_LIMIT, abort).await {
            tracing::warn!(session = %key, %error, "a turn could not be ended in order");
        }
    }))
    .await;
    let _ = timeout(SETTLE_LIMIT, idle()).await; // what is left is marked as interrupted at the next start
}
