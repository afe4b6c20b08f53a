//! The end of the service: what ends it, and in which order everything goes down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use openclaw_actors::events::{Event, EventsMsg};
use openclaw_actors::restart::{Cause, Drain, Order, Restarts};
use openclaw_actors::run::message::AbortCause;
use openclaw_actors::session::SessionMsg;
use openclaw_actors::tree::Tree;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use super::restart_note::RestartNote;
use super::services::Services;
use super::{End, next_start, service_manager};
use crate::cli::Failure;

/// How long running turns may go on after SIGTERM. A restart waits for `gateway.reload.deferralTimeoutMs`.
const DRAIN_LIMIT: Duration = Duration::from_secs(25);
/// How often it is told who is waited for.
const TELL: Duration = Duration::from_secs(30);
/// How long an aborted turn may take to say so.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// How long clients may take to read their last frames.
const GOODBYE_LIMIT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);
/// What clients are told to expect of a restart, milliseconds.
const RESTART_EXPECTED_MS: u64 = 1_500;

/// The signals of the service.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Stop(&'static str),
    Reload,
    Restart,
}

impl Signals {
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.hang_up.recv() => Asked::Reload,
            _ = self.user.recv() => Asked::Restart,
        }
    }

    /// The next one that ends the service. One more SIGUSR1 ends the wait for running turns, as a restart goes.
    async fn next_stop(&mut self, restarts: &Restarts) -> &'static str {
        loop {
            match self.next().await {
                Asked::Stop(name) => return name,
                Asked::Restart => restarts.hurry(),
                Asked::Reload => {}
            }
        }
    }
}

/// What ended the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    Signal(&'static str),
    Restart(Order),
    /// The root gave up: what it supervises cannot be kept alive.
    TreeEnded,
}

/// Waits for the end. SIGHUP has the configuration read and the log files opened again, and goes on.
pub async fn wait(signals: &mut Signals, services: &Services, tree: &mut Tree) -> Reason {
    loop {
        let asked = tokio::select! {
            asked = signals.next() => asked,
            order = services.context.restarts.due() => match may_restart(services, order).await {
                Some(reason) => return reason,
                None => continue,
            },
            () = tree.ended() => return Reason::TreeEnded,
        };
        match asked {
            Asked::Stop(name) => {
                tracing::info!(target: "gateway", "signal {name} received");
                tracing::info!(target: "gateway", "received {name}; shutting down");
                return Reason::Signal(name);
            }
            Asked::Reload => {
                tracing::info!(target: "gateway", "signal SIGHUP received; reading the configuration again");
                services.log.reopen();
                services.reload.notify_one();
            }
            Asked::Restart if services.config.load().settings.commands.restart => {
                tracing::info!(target: "gateway", "signal SIGUSR1 received");
                let order = Order { cause: Cause::Operator, reason: "SIGUSR1".into(), drain: Drain::Configured };
                if let Some(reason) = may_restart(services, order).await {
                    return reason;
                }
            }
            Asked::Restart => {
                tracing::warn!(target: "gateway", "SIGUSR1 restart ignored (not authorized; commands.restart=false or use gateway tool).");
            }
        }
    }
}

/// No gateway goes down for a restart after which none would come up.
async fn may_restart(services: &Services, order: Order) -> Option<Reason> {
    match next_start::check(services).await {
        Ok(()) => {
            tracing::info!(target: "gateway", "restarting: {}", order.reason);
            Some(Reason::Restart(order))
        }
        Err(refusal) => {
            services.context.restarts.abandon();
            tracing::error!(
                target: "gateway", reason = order.reason,
                "no restart: the gateway would not start again: {refusal}"
            );
            None
        }
    }
}

/// Takes everything down: clients are told, turns end, then the tree stops in reverse order.
pub async fn stop(services: &Arc<Services>, tree: Tree, signals: &mut Signals, reason: Reason) -> Result<End, Failure> {
    let since = Instant::now();
    services.context.draining.store(true, Ordering::Relaxed);
    let order = match reason {
        Reason::TreeEnded => {
            return Err(Failure::error("the supervision tree gave up; the log says what kept failing"));
        }
        Reason::Signal(_) => None,
        Reason::Restart(order) => Some(order),
    };
    if let Some(order) = &order {
        services.context.restarts.begin(order.drain);
    }
    let limit = match &order {
        Some(order) => restart_limit(services, order.drain),
        None => Some(drain_limit()),
    };
    service_manager::stopping(limit.unwrap_or(DRAIN_LIMIT) + SETTLE_LIMIT + GOODBYE_LIMIT);
    let told_to_stop = tokio::select! {
        () = orderly(services, order.is_some(), limit) => false,
        name = signals.next_stop(&services.context.restarts) => {
            tracing::warn!(target: "gateway", "{name} during the drain; stopping at once");
            true
        }
    };
    services.context.store.expect_last_stop();
    tree.stop().await;
    tracing::info!(target: "gateway", "shutdown completed cleanly in {}ms", since.elapsed().as_millis());
    Ok(match order {
        Some(order) if !told_to_stop => {
            RestartNote::now(order.reason, services.context.restarts.last_for_memory()).leave(&services.state_dir);
            End::Restart
        }
        _ => End::Done,
    })
}

/// How long running turns may go on before a stop cuts them off.
fn drain_limit() -> Duration {
    injected_limit().unwrap_or(DRAIN_LIMIT)
}

/// The same before a restart. `None`: as long as it takes.
pub fn restart_limit(services: &Services, drain: Drain) -> Option<Duration> {
    match drain {
        Drain::Skip => Some(Duration::ZERO),
        Drain::Limit(limit) => limit,
        Drain::Configured => {
            let ms = services.config.load().settings.gateway.reload.deferral_timeout_ms;
            injected_limit().or((ms > 0).then(|| Duration::from_millis(ms)))
        }
    }
}

/// What a test says instead.
fn injected_limit() -> Option<Duration> {
    #[cfg(feature = "fault-injection")]
    if let Some(ms) = std::env::var("OPENCLAW_TEST_DRAIN_MS").ok().and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(ms));
    }
    None
}

async fn orderly(services: &Services, restart: bool, limit: Option<Duration>) {
    let payload = match restart {
        true => json!({ "reason": "gateway restarting", "restartExpectedMs": RESTART_EXPECTED_MS }),
        false => json!({ "reason": "gateway stopping", "restartExpectedMs": null }),
    };
    let told = EventsMsg::Publish(Event::broadcast("shutdown", &payload));
    if let Err(error) = services.context.events.send(told).await {
        tracing::warn!(%error, "clients could not be told of the stop");
    }
    drain(services, limit).await;
    if restart {
        next_start::wait(services).await;
    }
    let flushed = services.context.events.ask(GOODBYE_LIMIT, EventsMsg::Flush).await;
    if let Err(error) = flushed {
        tracing::warn!(%error, "clients may not have been told how their turns ended");
    }
    services.clients.close_where(1012, "service restart", |_| true);
    let gone = async {
        while !services.clients.is_empty() {
            sleep(POLL).await;
        }
    };
    let _ = timeout(GOODBYE_LIMIT, gone).await; // a client that does not read is left behind
}

/// Lets running turns finish for a while, then ends them; each still tells its clients how it ended. What is accepted
/// meanwhile waits in the store for the next start.
async fn drain(services: &Services, limit: Option<Duration>) {
    let waited = tokio::select! {
        biased;
        () = idle(services) => true,
        () = over(limit) => false,
        () = services.context.restarts.hurried() => false,
    };
    if waited {
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
    let _ = timeout(SETTLE_LIMIT, idle(services)).await; // what is left is marked as interrupted at the next start
}

async fn over(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Until no turn runs; who is waited for is told now and then.
async fn idle(services: &Services) {
    let mut tell_at = Instant::now() + TELL;
    loop {
        let live = services.context.directory.live();
        if live.is_empty() {
            return;
        }
        if Instant::now() >= tell_at {
            tell_at += TELL;
            let runs: Vec<String> = live.iter().map(|run| format!("{} ({})", run.run_id, run.session_key)).collect();
            tracing::info!(target: "gateway", "still waiting for {} runs: {}", runs.len(), runs.join(", "));
        }
        sleep(POLL).await;
    }
}
