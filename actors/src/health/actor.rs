//! The health actor: one build at a time, one timer while clients are connected.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use serde_json::json;
use tokio::time::Instant;

use super::event_loop::Meter;
use super::payload::{self, Facts};
use super::report::{Cache, Report};
use super::sessions;
use crate::channels::{Channels, status};
use crate::config::ConfigHandle;
use crate::events::{Event, Events, EventsMsg};
use crate::heartbeat::beats;
use crate::presence::Versions;
use crate::run::context;
use crate::store::{Store, StoreError};
use crate::supervision::task::{self, Task, TaskEnd};
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// Mails that may wait.
pub const MAILBOX: usize = 1024;
/// Between two `tick` events. Clients give up after two of them stay away.
pub const TICK: Duration = Duration::from_secs(30);
/// Every how many ticks the payload is built anew and broadcast.
const TICKS_PER_REPORT: u64 = 2;
/// How long a build may take.
const BUILD_LIMIT: Duration = Duration::from_secs(5);
/// Sessions that are listed of each agent.
const RECENT: usize = 5;

/// What health can be told.
pub enum HealthMsg {
    /// Asks for the report: the one there is, or with `probe` a new one.
    Get { probe: bool, reply: RpcReplyPort<Result<Arc<Report>, HealthError>> },
    /// A client connected: from now on it ticks, until nobody is connected any more.
    ClientJoined,
    /// What the actor tells itself.
    News(News),
}

pub enum News {
    TickDue,
    Built(TaskEnd<Result<Report, HealthError>>),
}

/// Why there is no report.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HealthError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("health was not known within {0:?}")]
    Timeout(Duration),
    #[error("health could not be built: {0}")]
    Failed(String),
}

/// What the actor is started with.
#[derive(Clone)]
pub struct HealthArgs {
    pub store: Store,
    pub config: ConfigHandle,
    pub channels: Channels,
    pub events: Events,
    pub versions: Arc<Versions>,
    /// Where the reports go.
    pub cache: Cache,
    /// Is any client connected?
    pub connected: Arc<dyn Fn() -> bool + Send + Sync>,
}

struct HealthActor;

struct HealthState {
    args: HealthArgs,
    meter: Arc<Meter>,
    build: Option<Task>,
    waiting: Vec<RpcReplyPort<Result<Arc<Report>, HealthError>>>,
    /// The report that is being built is for everybody.
    broadcast: bool,
    ticking: bool,
    ticks: u64,
}

/// Health as a child of the front.
pub fn child(address: Address<HealthMsg>, args: HealthArgs, spec: ChildSpec) -> Child {
    Child::leaf(spec, address, args, || HealthActor)
}

impl Actor for HealthActor {
    type Msg = Mail<HealthMsg>;
    type State = HealthState;
    type Arguments = HealthArgs;

    /// After a restart there may be clients already.
    async fn pre_start(&self, me: ActorRef<Self::Msg>, args: HealthArgs) -> Result<HealthState, ActorProcessingErr> {
        let mut state = HealthState {
            args,
            meter: Arc::new(Meter::new()),
            build: None,
            waiting: Vec::new(),
            broadcast: false,
            ticking: false,
            ticks: 0,
        };
        if (state.args.connected)() {
            state.start_ticking(&me);
        }
        Ok(state)
    }

    async fn handle(
        &self,
        me: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut HealthState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(message) = mail.open().await? else { return Ok(()) };
        match message {
            HealthMsg::Get { probe, reply } => state.get(&me, probe, reply),
            HealthMsg::ClientJoined => state.joined(&me),
            HealthMsg::News(News::TickDue) => state.tick(&me),
            HealthMsg::News(News::Built(end)) => state.built(end),
        }
        Ok(())
    }
}

impl HealthState {
    fn get(
        &mut self,
        me: &ActorRef<Mail<HealthMsg>>,
        probe: bool,
        reply: RpcReplyPort<Result<Arc<Report>, HealthError>>,
    ) {
        match self.args.cache.fresh(self.args.config.load().generation) {
            Some(report) if !probe => drop(reply.send(Ok(report))), // the asker may have gone
            _ => {
                self.waiting.push(reply);
                self.start_build(me);
            }
        }
    }

    /// Where a fresh report lies, the client was greeted with it; else the one that is built now goes to everybody.
    fn joined(&mut self, me: &ActorRef<Mail<HealthMsg>>) {
        self.start_ticking(me);
        if self.args.cache.fresh(self.args.config.load().generation).is_none() {
            self.broadcast = true;
            self.start_build(me);
        }
    }

    fn start_ticking(&mut self, me: &ActorRef<Mail<HealthMsg>>) {
        if !self.ticking {
            self.ticking = true;
            self.ticks = 0;
            schedule(me);
        }
    }

    fn tick(&mut self, me: &ActorRef<Mail<HealthMsg>>) {
        if !(self.args.connected)() {
            self.ticking = false;
            return;
        }
        schedule(me);
        self.ticks += 1;
        self.publish(Event::broadcast("tick", &json!({ "ts": now_ms() })).droppable());
        if self.ticks.is_multiple_of(TICKS_PER_REPORT) {
            self.broadcast = true;
            self.start_build(me);
        }
    }

    /// Joins the build that is going on, if any.
    fn start_build(&mut self, me: &ActorRef<Mail<HealthMsg>>) {
        if self.build.is_some() {
            return;
        }
        let (args, meter, me) = (self.args.clone(), Arc::clone(&self.meter), me.clone());
        let limited = async move {
            let built = tokio::time::timeout(BUILD_LIMIT, build(&args, &meter)).await;
            built.unwrap_or(Err(HealthError::Timeout(BUILD_LIMIT)))
        };
        self.build = Some(task::spawn_reporting("health-build", limited, move |end| {
            let _ = me.send_message(Mail::own(HealthMsg::News(News::Built(end)))); // the actor may be stopping
        }));
    }

    fn built(&mut self, end: TaskEnd<Result<Report, HealthError>>) {
        self.build = None;
        let result = match end {
            TaskEnd::Done(result) => result.map(Arc::new),
            TaskEnd::Panicked(text) => Err(HealthError::Failed(text)),
        };
        let broadcast = std::mem::take(&mut self.broadcast);
        match &result {
            Ok(report) => {
                self.args.cache.put(Arc::clone(report));
                if broadcast {
                    let version = self.args.versions.bump_health();
                    let event = Event { payload: Arc::clone(&report.text), ..Event::broadcast("health", &()) };
                    self.publish(event.with_state_version(version).droppable());
                }
            }
            Err(error) => tracing::warn!(%error, "health is not known"),
        }
        for reply in self.waiting.drain(..) {
            let _ = reply.send(result.clone()); // the asker may have gone
        }
    }

    fn publish(&self, event: Event) {
        if let Err(error) = self.args.events.try_send(EventsMsg::Publish(event)) {
            tracing::debug!(%error, "health event not sent; the next one follows");
        }
    }
}

fn schedule(me: &ActorRef<Mail<HealthMsg>>) {
    drop(me.send_after(TICK, || Mail::own(HealthMsg::News(News::TickDue))));
}

async fn build(args: &HealthArgs, meter: &Meter) -> Result<Report, HealthError> {
    let start = Instant::now();
    let snapshot = args.config.load();
    let agents = context::agents(&snapshot.settings);
    let (sessions, event_loop, channels) = tokio::join!(
        sessions::by_agent(&args.store, agents, RECENT),
        meter.look(),
        args.channels.status(&args.store, &snapshot)
    );
    let payload = payload::build(&Facts {
        snapshot: &snapshot,
        store: &args.store.path(),
        sessions: &sessions?,
        event_loop: &event_loop,
        channels: status::to_json(&channels?),
        beats: &beats(&snapshot, &context::zone(&snapshot.settings)),
        now: now_ms(),
        duration_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    let text: Arc<str> = payload.to_string().into();
    Ok(Report { text, event_loop, built: Instant::now(), generation: snapshot.generation })
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
