//! A supervisor with a fixed list of children: starts them in order, restarts them by strategy, stops them in reverse.
//!
//! It is the only place that decides about the restart of its children, and its `machine` decides. A child that fails
//! too often either makes the supervisor fail, which its own parent then decides about, or is given up alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::time::Instant;

use super::exit::{self, Ended};
use super::life::{Check, check_every};
use super::machine::{Action, Machine, Operation};
use super::mailbox::{Address, Mail, Unavailable};
use super::restart::Exit;
use super::spec::{Child, ChildSpec, Intensity, Strategy};
use super::stop::stop_child;
use super::task::Timer;
use super::view::{self, ASK_LIMIT, Branch, ChildInfo, News, Node, Observer, Refused};

/// How long a child may take to start. The store may have a database to mend.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What a supervisor can be told.
pub enum SupervisorMsg {
    /// Its children, in start order.
    Which(RpcReplyPort<Vec<ChildInfo>>),
    Operate(String, Operation, RpcReplyPort<Result<(), Refused>>),
    /// Something is due.
    Wake,
    /// Look whether everybody still answers.
    Check,
}

/// What makes a supervisor.
#[derive(Clone)]
pub struct SupervisorArgs {
    /// Names from below the root, joined by `/`; empty for the root.
    pub path: String,
    pub strategy: Strategy,
    pub intensity: Intensity,
    pub children: Vec<Child>,
    pub observer: Observer,
}

pub struct Supervisor;

pub struct SupervisorState {
    args: SupervisorArgs,
    machine: Machine,
    cells: Vec<Option<ActorCell>>,
    by_actor: HashMap<ActorId, (usize, u64)>,
    wake: Option<(Instant, Timer)>,
}

/// Makes a supervisor a child of another one.
pub fn child(args: SupervisorArgs, address: Address<SupervisorMsg>, spec: ChildSpec) -> Child {
    let below = Arc::new(address.clone());
    Child::leaf(spec, address, args, || Supervisor).with_below(below)
}

impl Branch for Address<SupervisorMsg> {
    fn children(&self) -> BoxFuture<'_, Result<Vec<ChildInfo>, Unavailable>> {
        Box::pin(self.ask(ASK_LIMIT, SupervisorMsg::Which))
    }

    fn operate(&self, child: &str, operation: Operation) -> BoxFuture<'_, Result<(), Refused>> {
        let child = child.to_owned();
        Box::pin(async move { self.ask(ASK_LIMIT, |reply| SupervisorMsg::Operate(child, operation, reply)).await? })
    }
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
        let specs: Vec<ChildSpec> = args.children.iter().map(|child| child.spec).collect();
        let machine = Machine::new(args.strategy, args.intensity, &specs, rand::random(), Instant::now());
        let cells = vec![None; specs.len()];
        let mut state = SupervisorState { args, machine, cells, by_actor: HashMap::new(), wake: None };
        while let Some(Action::Start(index)) = state.machine.next(Instant::now()) {
            if let Err(reason) = state.start(&me, index).await {
                let failed = &state.args.children[index].spec.kind;
                let message = format!("{failed} did not start: {reason}");
                state.stop_all().await;
                return Err(message.into());
            }
        }
        state.report();
        drop(me.send_after(check_every(), || Mail::own(SupervisorMsg::Check)));
        Ok(state)
    }

    async fn handle(
        &self,
        me: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(SupervisorMsg::Which(reply)) => {
                let _ = reply.send(state.which()); // the asker may have gone
            }
            Some(SupervisorMsg::Operate(name, operation, reply)) => {
                let _ = reply.send(state.operate(&name, operation)); // as above
            }
            Some(SupervisorMsg::Wake) => state.wake = None,
            Some(SupervisorMsg::Check) => {
                drop(me.send_after(check_every(), || Mail::own(SupervisorMsg::Check)));
                state.check();
            }
            None => {}
        }
        state.go_on(&me).await
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(Ended { cell, failure }) = exit::ended(event) {
            state.child_ended(&cell, failure);
        }
        state.go_on(&me).await
    }

    async fn post_stop(&self, _: ActorRef<Self::Msg>, state: &mut SupervisorState) -> Result<(), ActorProcessingErr> {
        state.stop_all().await;
        Ok(())
    }
}

impl SupervisorState {
    /// Does what the machine says until there is nothing to do now.
    async fn go_on(&mut self, me: &ActorRef<Mail<SupervisorMsg>>) -> Result<(), ActorProcessingErr> {
        while let Some(action) = self.machine.next(Instant::now()) {
            match action {
                Action::Start(index) => {
                    if let Err(reason) = self.start(me, index).await {
                        self.machine.start_failed(index, &reason, Instant::now());
                    }
                }
                Action::Stop(index) => self.with_cell(index, |cell| cell.stop(Some("shutdown".into()))),
                Action::Kill(index) => self.with_cell(index, ActorCell::kill),
                Action::Escalate(reason) => {
                    self.report();
                    tracing::error!(target: "supervision", "supervision: {} gives up: {reason}", self.name());
                    self.stop_all().await;
                    return Err(format!("{}: {reason}", self.name()).into());
                }
            }
            self.report();
        }
        self.report();
        self.arm(me);
        Ok(())
    }

    fn name(&self) -> &str {
        if self.args.path.is_empty() { "root" } else { &self.args.path }
    }

    async fn start(&mut self, me: &ActorRef<Mail<SupervisorMsg>>, index: usize) -> Result<(), String> {
        let child = &self.args.children[index];
        let started = tokio::time::timeout(START_LIMIT, (child.start)(me.get_cell())).await;
        let cell = started.map_err(|_| "it did not start in time".to_owned())?.map_err(|error| error.to_string())?;
        let generation = self.machine.children()[index].life.generation;
        self.by_actor.insert(cell.get_id(), (index, generation));
        self.cells[index] = Some(cell);
        self.machine.started(index, child.mailbox.answered(), Instant::now());
        Ok(())
    }

    fn with_cell(&self, index: usize, what: impl FnOnce(&ActorCell)) {
        if let Some(cell) = &self.cells[index] {
            what(cell);
        }
    }

    fn child_ended(&mut self, cell: &ActorCell, failure: Option<String>) {
        let Some((index, generation)) = self.by_actor.remove(&cell.get_id()) else { return };
        if self.cells[index].as_ref().is_some_and(|current| current.get_id() == cell.get_id()) {
            self.cells[index] = None;
        }
        let (exit, reason) = match &failure {
            Some(reason) => (Exit::Abnormal, reason.as_str()),
            None => (Exit::Normal, "normal"),
        };
        self.machine.ended(index, generation, exit, reason, Instant::now());
    }

    /// Asks every child whether it is there; one that has not answered the last time is killed.
    fn check(&mut self) {
        for (index, child) in self.args.children.iter().enumerate() {
            match self.machine.check(index, child.mailbox.answered(), Instant::now()) {
                Check::Ping(number) => child.mailbox.ping(number),
                Check::NotRunning => {}
                Check::Silent => {
                    tracing::error!(target: "supervision", child = %child.name, "does not answer; killing it");
                    self.with_cell(index, ActorCell::kill);
                }
            }
        }
    }

    fn which(&self) -> Vec<ChildInfo> {
        let now = Instant::now();
        let places = self.machine.children().iter().zip(&self.args.children).enumerate();
        let info = |(index, (place, child)): (usize, (&super::machine::Place, &Child))| ChildInfo {
            name: Arc::clone(&child.name),
            node: Node::of(
                &place.spec,
                &child.name,
                &place.life,
                &*child.mailbox,
                self.machine.restarts(index, now),
                now,
            ),
            below: child.below.clone(),
        };
        places.map(info).collect()
    }

    fn operate(&mut self, name: &str, operation: Operation) -> Result<(), Refused> {
        let index = self.args.children.iter().position(|child| *child.name == *name);
        let index = index.ok_or_else(|| Refused::Unknown(view::join(&self.args.path, name)))?;
        if operation == Operation::Stop && self.args.children[index].spec.vital {
            return Err(Refused::Vital(name.to_owned()));
        }
        #[cfg(feature = "fault-injection")]
        if let Operation::Fault(fault) = operation {
            self.args.children[index].mailbox.inject(fault);
        }
        self.machine.operate(index, operation, Instant::now());
        Ok(())
    }

    /// Tells the observer what has become of the children.
    fn report(&mut self) {
        let now = Instant::now();
        for (index, event) in self.machine.take_news() {
            let (place, child) = (&self.machine.children()[index], &self.args.children[index]);
            (self.args.observer)(&News {
                path: view::join(&self.args.path, &child.name),
                kind: place.spec.kind,
                event: &event,
                generation: place.life.generation,
                restarts: self.machine.restarts(index, now),
                next_retry: place.life.wake_at().map(|at| at.duration_since(now)),
            });
        }
    }

    /// One timer for whatever is due next.
    fn arm(&mut self, me: &ActorRef<Mail<SupervisorMsg>>) {
        let due = self.machine.wake_at(Instant::now());
        if due == self.wake.as_ref().map(|(at, _)| *at) {
            return;
        }
        self.wake = due.map(|at| {
            let delay = at.saturating_duration_since(Instant::now());
            (at, Timer::of(&me.send_after(delay, || Mail::own(SupervisorMsg::Wake))))
        });
    }

    async fn stop_all(&mut self) {
        self.wake = None;
        for (index, cell) in self.cells.iter_mut().enumerate().rev() {
            if let Some(cell) = cell.take() {
                let spec = &self.args.children[index].spec;
                stop_child(&cell, spec.kind, spec.shutdown).await;
            }
        }
    }
}
