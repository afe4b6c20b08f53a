//! A supervisor with a fixed list of children: starts them in order, restarts them by strategy, stops them in reverse.
//!
//! It is the only place that decides about the restart of its children. Exceeding the intensity is a failure of the
//! supervisor itself, which its own parent then decides about.

use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent};
use tokio::time::Instant;

use super::exit::{self, Ended};
use super::mailbox::{Address, Mail};
use super::restart::{self, Exit, Window};
use super::spec::{Child, ChildSpec, Intensity, StartFn, Strategy};
use super::stop::stop_child;

/// What a supervisor can be told.
pub enum SupervisorMsg {
    /// Its children, in start order.
    Which(RpcReplyPort<Vec<ChildInfo>>),
    /// Back-off is over: start the child with this index, unless a later incarnation has been started meanwhile.
    StartNow { index: usize, generation: u64 },
    /// Stop all children in reverse order, then itself; answers when all have ended.
    Shutdown(RpcReplyPort<()>),
}

/// One row of the tree.
#[derive(Debug, Clone)]
pub struct ChildInfo {
    pub kind: &'static str,
    /// Incarnation, from 1.
    pub generation: u64,
    pub alive: bool,
    pub restarts: u64,
    pub last_failure: Option<String>,
    /// Milliseconds since the current incarnation was started.
    pub uptime_ms: u64,
}

/// What makes a supervisor.
#[derive(Clone)]
pub struct SupervisorArgs {
    pub name: &'static str,
    pub strategy: Strategy,
    pub intensity: Intensity,
    pub children: Vec<Child>,
}

pub struct Supervisor;

pub struct SupervisorState {
    args: SupervisorArgs,
    children: Vec<Running>,
    window: Window,
    stopping: bool,
}

struct Running {
    spec: ChildSpec,
    start: StartFn,
    cell: Option<ActorCell>,
    generation: u64,
    restarts: u64,
    failures: u32,
    started: Instant,
    last_failure: Option<String>,
}

/// Makes a supervisor a child of another one.
pub fn child(args: SupervisorArgs, address: Address<SupervisorMsg>, spec: ChildSpec) -> Child {
    let start: StartFn = std::sync::Arc::new(move |parent| {
        let (args, address) = (args.clone(), address.clone());
        Box::pin(async move {
            let (actor, _) = Supervisor::spawn_linked(None, Supervisor, args, parent).await?;
            address.publish(actor.clone());
            Ok(actor.get_cell())
        })
    });
    Child { spec, start }
}

impl Actor for Supervisor {
    type Msg = Mail<SupervisorMsg>;
    type State = SupervisorState;
    type Arguments = SupervisorArgs;

    /// Starts every child; a child that does not start stops those before it and fails the supervisor.
    async fn pre_start(
        &self,
        me: ActorRef<Self::Msg>,
        args: SupervisorArgs,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let mut children = Vec::with_capacity(args.children.len());
        for child in &args.children {
            let mut running = Running::new(child);
            if let Err(error) = running.start(me.get_cell(), args.name).await {
                for started in children.iter_mut().rev() {
                    Running::stop(started).await;
                }
                return Err(format!("{}: {} did not start: {error}", args.name, child.spec.kind).into());
            }
            children.push(running);
        }
        Ok(SupervisorState { args, children, window: Window::default(), stopping: false })
    }

    async fn handle(
        &self,
        me: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match mail.open() {
            SupervisorMsg::Which(reply) => {
                let _ = reply.send(state.children.iter().map(Running::info).collect()); // the asker may have gone
            }
            SupervisorMsg::StartNow { index, generation } => state.start_after_backoff(&me, index, generation).await?,
            SupervisorMsg::Shutdown(reply) => {
                state.stop_all().await;
                let _ = reply.send(()); // the asker may have gone
                me.stop(None);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match exit::ended(event) {
            Some(Ended { cell, failure: Some(reason) }) => state.child_ended(&me, &cell, Exit::Abnormal, reason).await,
            Some(Ended { cell, failure: None }) => state.child_ended(&me, &cell, Exit::Normal, "normal".into()).await,
            None => Ok(()),
        }
    }

    async fn post_stop(&self, _: ActorRef<Self::Msg>, state: &mut SupervisorState) -> Result<(), ActorProcessingErr> {
        state.stop_all().await;
        Ok(())
    }
}

impl SupervisorState {
    async fn child_ended(
        &mut self,
        me: &ActorRef<Mail<SupervisorMsg>>,
        cell: &ActorCell,
        exit: Exit,
        reason: String,
    ) -> Result<(), ActorProcessingErr> {
        let ours = |child: &Running| child.cell.as_ref().is_some_and(|c| c.get_id() == cell.get_id());
        let Some(index) = self.children.iter().position(ours) else {
            return Ok(()); // news of an older incarnation, or of a child we stopped
        };
        let child = &mut self.children[index];
        child.cell = None;
        if self.stopping {
            return Ok(());
        }
        let kind = child.spec.kind;
        tracing::warn!(supervisor = self.args.name, child = kind, ?exit, %reason, generation = child.generation, "child ended");
        if exit == Exit::Abnormal {
            child.failures = child.spec.backoff.count(child.failures, child.started.elapsed());
            child.last_failure = Some(reason.clone());
        }
        if !restart::restarts(child.spec.restart, exit) {
            return Ok(());
        }
        if !self.window.record(self.args.intensity, Instant::now()) {
            return self.give_up(kind, &reason).await;
        }
        for other in restart::taken_along(self.args.strategy, self.children.len(), index) {
            self.children[other].stop().await;
        }
        let child = &self.children[index];
        let delay = child.spec.backoff.delay(child.failures, rand::random());
        self.schedule(me, index, delay);
        Ok(())
    }

    /// Starts now or later; always through a message, so that a storm of exits cannot recurse.
    fn schedule(&self, me: &ActorRef<Mail<SupervisorMsg>>, index: usize, delay: Duration) {
        let generation = self.children[index].generation;
        let mail = move || Mail::own(SupervisorMsg::StartNow { index, generation });
        // The timer outlives us at most by its delay; a supervisor that is gone ignores it.
        drop(me.send_after(delay, mail));
    }

    /// Starts the child and, in start order, everything that its strategy took down with it.
    async fn start_after_backoff(
        &mut self,
        me: &ActorRef<Mail<SupervisorMsg>>,
        index: usize,
        generation: u64,
    ) -> Result<(), ActorProcessingErr> {
        if self.stopping || self.children[index].generation != generation {
            return Ok(());
        }
        let mut due = restart::taken_along(self.args.strategy, self.children.len(), index);
        due.push(index);
        due.sort_unstable();
        for i in due {
            if self.children[i].cell.is_some() {
                continue;
            }
            if let Err(error) = self.children[i].start(me.get_cell(), self.args.name).await {
                return self.failed_to_start(me, i, &error).await;
            }
        }
        Ok(())
    }

    /// A failed start counts as a failed restart.
    async fn failed_to_start(
        &mut self,
        me: &ActorRef<Mail<SupervisorMsg>>,
        index: usize,
        error: &SpawnErr,
    ) -> Result<(), ActorProcessingErr> {
        let child = &mut self.children[index];
        child.failures = child.failures.saturating_add(1);
        child.last_failure = Some(error.to_string());
        let (kind, delay) = (child.spec.kind, child.spec.backoff.delay(child.failures, rand::random()));
        if !self.window.record(self.args.intensity, Instant::now()) {
            return self.give_up(kind, &error.to_string()).await;
        }
        self.schedule(me, index, delay);
        Ok(())
    }

    async fn give_up(&mut self, kind: &str, reason: &str) -> Result<(), ActorProcessingErr> {
        tracing::error!(supervisor = self.args.name, child = kind, reason, "restart intensity exceeded; giving up");
        self.stop_all().await;
        Err(format!("{}: {kind} failed too often: {reason}", self.args.name).into())
    }

    async fn stop_all(&mut self) {
        self.stopping = true;
        for child in self.children.iter_mut().rev() {
            child.stop().await;
        }
    }
}

impl Running {
    fn new(child: &Child) -> Self {
        Self {
            spec: child.spec,
            start: child.start.clone(),
            cell: None,
            generation: 0,
            restarts: 0,
            failures: 0,
            started: Instant::now(),
            last_failure: None,
        }
    }

    async fn start(&mut self, parent: ActorCell, supervisor: &str) -> Result<(), SpawnErr> {
        self.generation += 1;
        self.restarts = self.generation - 1;
        let cell = (self.start)(parent).await?;
        self.cell = Some(cell);
        self.started = Instant::now();
        tracing::debug!(supervisor, child = self.spec.kind, generation = self.generation, "child started");
        Ok(())
    }

    async fn stop(&mut self) {
        if let Some(cell) = self.cell.take() {
            stop_child(&cell, self.spec.kind, self.spec.shutdown).await;
        }
    }

    fn info(&self) -> ChildInfo {
        ChildInfo {
            kind: self.spec.kind,
            generation: self.generation,
            alive: self.cell.is_some(),
            restarts: self.restarts,
            last_failure: self.last_failure.clone(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}
