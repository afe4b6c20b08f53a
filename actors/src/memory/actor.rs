//! The memory actor: looks, lets go, asks for a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::allocator;
use super::judge::{self, Level};
use super::usage::{self, Usage};
use crate::metrics;
use crate::restart::{Cause, Drain, Request};
use crate::run::context::Context;
use crate::session::SessionMsg;
use crate::supervision::task::{self, Task, TaskEnd};
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// How often the kernel is asked. The first time after as long: a start takes more than life does.
const EVERY: Duration = Duration::from_secs(30);

/// Free memory that may be kept, beyond what could not be given back the last time.
const KEPT: u64 = 8 << 20;

/// How often memory became scarce since the start; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Pressure(Arc<AtomicU64>);

impl Pressure {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

enum MemoryMsg {
    LookDue,
    /// How much there is, and what could not be given back if that was tried.
    Seen(TaskEnd<Option<(Usage, Option<u64>)>>),
    /// What the gateway consists of has been written to the log: now it may go.
    Summarised,
}

struct MemoryActor;

struct MemoryState {
    context: Arc<Context>,
    level: Level,
    /// Memory that was not in use and could not be given back the last time, bytes.
    stuck: u64,
    work: Option<Task>,
}

/// The memory actor as a child of its supervisor.
pub fn child(context: Arc<Context>, spec: ChildSpec) -> Child {
    Child::leaf(spec, Address::new("memory", 1), context, || MemoryActor)
}

impl Actor for MemoryActor {
    type Msg = Mail<MemoryMsg>;
    type State = MemoryState;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        me: ActorRef<Self::Msg>,
        context: Arc<Context>,
    ) -> Result<MemoryState, ActorProcessingErr> {
        drop(me.send_after(every(), || Mail::own(MemoryMsg::LookDue)));
        Ok(MemoryState { context, level: Level::Fine, stuck: 0, work: None })
    }

    async fn handle(
        &self,
        me: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut MemoryState,
    ) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(MemoryMsg::LookDue) => state.look(&me),
            Some(MemoryMsg::Seen(end)) => {
                drop(me.send_after(every(), || Mail::own(MemoryMsg::LookDue)));
                if let TaskEnd::Done(Some((usage, stuck))) = end {
                    state.stuck = stuck.unwrap_or(state.stuck);
                    state.seen(&me, usage);
                }
            }
            Some(MemoryMsg::Summarised) => state.restart(),
            None => {}
        }
        Ok(())
    }
}

impl MemoryState {
    fn look(&mut self, me: &ActorRef<Mail<MemoryMsg>>) {
        let (me, stuck) = (me.clone(), self.stuck);
        let work = async move { task::blocking(move || look(stuck)).await.ok().flatten() };
        self.work = Some(task::spawn_reporting("memory-look", work, move |end| {
            let _ = me.send_message(Mail::own(MemoryMsg::Seen(end))); // gone only when the task was aborted
        }));
    }

    fn seen(&mut self, me: &ActorRef<Mail<MemoryMsg>>, usage: Usage) {
        let level = Level::of(usage.rss, self.context.config.load().settings.diagnostics.memory);
        if level > self.level {
            self.context.pressure.0.fetch_add(1, Ordering::Relaxed);
            metrics::memory_pressure(level.word());
        }
        if level != self.level {
            tracing::warn!(rss_mb = usage.rss / (1 << 20), level = level.word(), before = self.level.word(), "memory");
            self.level = level;
        }
        let verdict = judge::judge(level, self.context.restarts.last_for_memory());
        if verdict.shed {
            self.shed();
        }
        if verdict.restart {
            let (me, context) = (me.clone(), Arc::clone(&self.context));
            self.work = Some(task::spawn_reporting("memory-summary", summarise(context, usage), move |_| {
                let _ = me.send_message(Mail::own(MemoryMsg::Summarised)); // as above
            }));
        }
    }

    /// Sessions that have nothing to do rest early; their rows stay. One that does not take the message is busy.
    fn shed(&self) {
        let (sessions, directory) = (&self.context.sessions, &self.context.directory);
        let resting = sessions.keys().into_iter().filter_map(|key| sessions.get(&key));
        let asked = resting.filter(|session| session.try_send(SessionMsg::Rest).is_ok()).count();
        let forgotten = directory.forget_ended();
        tracing::info!(sessions = asked, ended_runs = forgotten, "memory is scarce: what is not needed is let go");
    }

    fn restart(&self) {
        let reason = "memory above diagnostics.memory.hardLimitMb".to_owned();
        self.context.restarts.request(Request { cause: Cause::Memory, reason, drain: Drain::Configured });
    }
}

/// Blocking. Gives free memory back first when there is enough of it; without load there is none.
fn look(stuck: u64) -> Option<(Usage, Option<u64>)> {
    let before = usage::now()?;
    let unused = |usage: Usage| allocator::in_use().map(|in_use| usage.anonymous.saturating_sub(in_use));
    if unused(before).is_none_or(|unused| unused < stuck.saturating_add(KEPT)) {
        return Some((before, None));
    }
    allocator::give_back();
    let after = usage::now()?;
    let mb = |bytes: u64| bytes / (1 << 20);
    tracing::debug!(before_mb = mb(before.anonymous), after_mb = mb(after.anonymous), "free memory given back");
    Some((after, unused(after)))
}

/// For whoever wants to know afterwards what filled it.
async fn summarise(context: Arc<Context>, usage: Usage) {
    let tree = context.overview.snapshot(true).await;
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for node in tree.walk() {
        *kinds.entry(node.kind).or_default() += 1;
    }
    let actors: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let mb = |bytes: u64| bytes / (1 << 20);
    tracing::error!(
        target: "gateway",
        rss_mb = mb(usage.rss), rss_max_mb = mb(usage.rss_max), anonymous_mb = mb(usage.anonymous),
        sessions = context.sessions.len(), runs_open = context.directory.open(),
        uptime_s = context.started.elapsed().as_secs(), actors = actors.join(", "),
        "memory is above its hard limit; the gateway restarts"
    );
}

fn every() -> Duration {
    #[cfg(feature = "fault-injection")]
    if let Some(ms) = std::env::var("OPENCLAW_TEST_MEMORY_MS").ok().and_then(|text| text.parse().ok()) {
        return Duration::from_millis(ms);
    }
    EVERY
}
