//! A supervisor of many children of one kind that come and go: sessions, connections.
//!
//! A child is started when somebody asks for its key and forgotten when it ends. A transient child that failed is
//! started again at once; one that fails more often than its intensity allows is held back for a while, and only that
//! one: the group itself lives on, and starts it again when the time is over, because it may have work. Finding or
//! starting is one message, so two askers never start two children.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use futures::future::{BoxFuture, join_all};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent};
use tokio::time::Instant;

use super::exit::{self, Ended};
use super::life::{Check, Life, State, Then, Verdict, check_every};
use super::machine::{Event, Operation};
use super::mailbox::{Address, Mail, Mailbox, Unavailable};
use super::restart::{Exit, Window};
use super::spec::{Child, ChildSpec, Exceeded, Intensity, Restart, StartFn};
use super::stall::spawn_linked;
use super::stop::stop_child;
use super::view::{self, ASK_LIMIT, Branch, ChildInfo, News, Node, Observer, Refused};

/// How long a child that keeps failing is held back.
pub const QUARANTINE: Duration = Duration::from_secs(60);

/// Restarts of one child that are tolerated before it is held back.
pub const TOLERATED: Intensity = Intensity::new(3, Duration::from_secs(60));

/// Restarts in a whole group that are tolerated: beyond, whoever fails next is held back at once.
const STORM: Intensity = Intensity::new(100, Duration::from_secs(10));

/// Starts one incarnation of the child with this key below the group.
pub type SpawnFn<K, M> =
    Arc<dyn Fn(K, ActorCell) -> BoxFuture<'static, Result<ActorRef<Mail<M>>, SpawnErr>> + Send + Sync>;

/// What stands below a child.
pub type BelowFn<M> = fn(&Address<M>) -> Arc<dyn Branch>;

/// What a group can be told.
pub enum GroupMsg<K, M> {
    /// The address of the child, started if it was not alive; `Err` says why there is none.
    GetOrStart(K, RpcReplyPort<Result<Address<M>, String>>),
    /// Starts a child that brings its own way to start (a connection owns its socket).
    Start(K, SpawnFn<K, M>, RpcReplyPort<Result<Address<M>, String>>),
    /// Something is due for the child with this key, if it is still this incarnation.
    Wake(K, u64),
    /// Look whether everybody still answers.
    Check,
    /// Ends this child for good; the answer comes when it is gone.
    Remove(K, RpcReplyPort<()>),
    Which(RpcReplyPort<Vec<ChildInfo>>),
    Operate(String, Operation, RpcReplyPort<Result<(), Refused>>),
}

/// Everything of a kind: where the children are, and how to get one.
pub struct Group<K: Eq + Hash, M> {
    address: Address<GroupMsg<K, M>>,
    alive: Arc<DashMap<K, Address<M>>>,
}

impl<K: Eq + Hash, M> Clone for Group<K, M> {
    fn clone(&self) -> Self {
        Self { address: self.address.clone(), alive: Arc::clone(&self.alive) }
    }
}

/// How long finding or starting a child may take; `pre_start` only builds state.
const START_LIMIT: Duration = Duration::from_secs(5);

impl<K, M> Group<K, M>
where
    K: Key,
    M: Send + 'static,
{
    /// A group without a supervisor behind it yet; `child` makes that.
    pub fn new(kind: &'static str) -> Self {
        Self { address: Address::new(kind, 1024), alive: Arc::new(DashMap::new()) }
    }

    /// The child if it is alive; starts nothing.
    pub fn get(&self, key: &K) -> Option<Address<M>> {
        self.alive.get(key).map(|entry| entry.value().clone())
    }

    /// The child, started if necessary. The error is for people: held back, stopped, restarting, overloaded.
    pub async fn get_or_start(&self, key: K) -> Result<Address<M>, String> {
        if let Some(address) = self.get(&key) {
            return Ok(address);
        }
        self.address.ask(START_LIMIT, |reply| GroupMsg::GetOrStart(key, reply)).await.map_err(|e| e.to_string())?
    }

    /// Starts a child with its own way to start.
    pub async fn start(&self, key: K, spawn: SpawnFn<K, M>) -> Result<Address<M>, String> {
        self.address.ask(START_LIMIT, |reply| GroupMsg::Start(key, spawn, reply)).await.map_err(|e| e.to_string())?
    }

    /// Ends a child for good, whatever it does; `false` when it was not gone within `limit`.
    pub async fn remove(&self, key: K, limit: Duration) -> bool {
        self.address.ask(limit, |reply| GroupMsg::Remove(key, reply)).await.is_ok()
    }

    /// Keys of the children that are alive, in no order.
    pub fn keys(&self) -> Vec<K> {
        self.alive.iter().map(|entry| entry.key().clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.alive.len()
    }

    pub fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    /// The group's supervisor as a child of another supervisor.
    pub fn child(&self, spec: ChildSpec, of: GroupSpec<K, M>) -> Child {
        let group = self.clone();
        let start: StartFn = Arc::new(move |parent| {
            let (group, of) = (group.clone(), of.clone());
            Box::pin(async move {
                group.alive.clear(); // children of an earlier incarnation ended with it
                let args = GroupArgs { alive: Arc::clone(&group.alive), of };
                let actor = spawn_linked(spec.kind, GroupActor::default(), args, parent).await?;
                group.address.publish(actor.clone());
                Ok(actor.get_cell())
            })
        });
        Child::new(spec, Arc::new(self.address.clone()), start).with_below(Arc::new(self.clone()))
    }
}

impl<K: Key, M: Send + 'static> Branch for Group<K, M> {
    fn children(&self) -> BoxFuture<'_, Result<Vec<ChildInfo>, Unavailable>> {
        Box::pin(self.address.ask(ASK_LIMIT, GroupMsg::Which))
    }

    fn operate(&self, child: &str, operation: Operation) -> BoxFuture<'_, Result<(), Refused>> {
        let child = child.to_owned();
        Box::pin(async move { self.address.ask(ASK_LIMIT, |reply| GroupMsg::Operate(child, operation, reply)).await? })
    }
}

/// What all children of a group have in common.
pub struct GroupSpec<K, M> {
    /// Names from below the root to the group, joined by `/`.
    pub path: String,
    pub child: ChildSpec,
    /// Mails that may wait in front of one child.
    pub mailbox_cap: usize,
    /// Children at once; beyond it nobody new is started.
    pub members_max: usize,
    /// How `GetOrStart` starts a child; absent when children bring their own way.
    pub spawn: Option<SpawnFn<K, M>>,
    pub observer: Observer,
    /// What stands below a child, if children are supervisors themselves.
    pub below: Option<BelowFn<M>>,
}

impl<K, M> Clone for GroupSpec<K, M> {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            child: self.child,
            mailbox_cap: self.mailbox_cap,
            members_max: self.members_max,
            spawn: self.spawn.clone(),
            observer: Arc::clone(&self.observer),
            below: self.below,
        }
    }
}

/// What a key must be able to do.
pub trait Key: Clone + Eq + Hash + Display + Send + Sync + 'static {}
impl<K: Clone + Eq + Hash + Display + Send + Sync + 'static> Key for K {}

struct GroupActor<K, M>(std::marker::PhantomData<fn(K, M)>);

impl<K, M> Default for GroupActor<K, M> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

struct GroupArgs<K: Eq + Hash, M> {
    alive: Arc<DashMap<K, Address<M>>>,
    of: GroupSpec<K, M>,
}

struct GroupState<K: Eq + Hash, M> {
    args: GroupArgs<K, M>,
    members: HashMap<K, Member<K, M>>,
    by_actor: HashMap<ActorId, K>,
    /// Who waits for the end of whom.
    leaving: HashMap<K, Vec<RpcReplyPort<()>>>,
    storm: Window,
}

struct Member<K, M> {
    address: Address<M>,
    /// Gone when it has been used and is not needed again.
    spawn: Option<SpawnFn<K, M>>,
    cell: Option<ActorCell>,
    life: Life,
}

type Me<K, M> = ActorRef<Mail<GroupMsg<K, M>>>;

impl<K: Key, M: Send + 'static> Actor for GroupActor<K, M> {
    type Msg = Mail<GroupMsg<K, M>>;
    type State = GroupState<K, M>;
    type Arguments = GroupArgs<K, M>;

    async fn pre_start(&self, me: Me<K, M>, args: Self::Arguments) -> Result<Self::State, ActorProcessingErr> {
        drop(me.send_after(check_every(), || Mail::own(GroupMsg::Check)));
        Ok(GroupState {
            args,
            members: HashMap::new(),
            by_actor: HashMap::new(),
            leaving: HashMap::new(),
            storm: Window::default(),
        })
    }

    async fn handle(&self, me: Me<K, M>, mail: Self::Msg, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(GroupMsg::GetOrStart(key, reply)) => {
                let spawn = state.args.of.spawn.clone();
                let _ = reply.send(state.get_or_start(&me, key, spawn).await); // the asker may have gone
            }
            Some(GroupMsg::Start(key, spawn, reply)) => {
                let _ = reply.send(state.get_or_start(&me, key, Some(spawn)).await); // as above
            }
            Some(GroupMsg::Remove(key, reply)) => {
                state.leaving.entry(key.clone()).or_default().push(reply);
                state.remove(&me, &key);
            }
            Some(GroupMsg::Wake(key, generation)) => state.wake(&me, &key, generation).await,
            Some(GroupMsg::Check) => {
                drop(me.send_after(check_every(), || Mail::own(GroupMsg::Check)));
                state.check(&me);
            }
            Some(GroupMsg::Which(reply)) => {
                let _ = reply.send(state.which()); // as above
            }
            Some(GroupMsg::Operate(name, operation, reply)) => {
                let _ = reply.send(state.operate(&me, &name, operation).await); // as above
            }
            None => {}
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: Me<K, M>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(Ended { cell, failure }) = exit::ended(event)
            && let Some(key) = state.by_actor.remove(&cell.get_id())
        {
            let (exit, reason) = match &failure {
                Some(reason) => (Exit::Abnormal, reason.as_str()),
                None => (Exit::Normal, "normal"),
            };
            state.ended(&me, key, exit, reason).await;
        }
        Ok(())
    }

    /// Children of one kind are equals: all stop at once, each with its own deadline.
    async fn post_stop(&self, _: Me<K, M>, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        let spec = state.args.of.child;
        let cells: Vec<ActorCell> = state.members.values_mut().filter_map(|member| member.cell.take()).collect();
        join_all(cells.iter().map(|cell| stop_child(cell, spec.kind, spec.shutdown))).await;
        state.args.alive.clear();
        Ok(())
    }
}

impl<K: Key, M: Send + 'static> GroupState<K, M> {
    async fn get_or_start(
        &mut self,
        me: &Me<K, M>,
        key: K,
        spawn: Option<SpawnFn<K, M>>,
    ) -> Result<Address<M>, String> {
        let kind = self.args.of.child.kind;
        if let Some(member) = self.members.get(&key) {
            match member.life.state {
                State::Running { .. } => return Ok(member.address.clone()),
                State::GaveUp { retry_at } if retry_at > Instant::now() => {
                    let why = member.life.last_failure().map_or("unknown", |failure| &failure.reason);
                    return Err(format!("{kind} {key} keeps failing and is held back for a minute: {why}"));
                }
                State::Stopped => {
                    return Err(format!("{kind} {key} was stopped; `openclaw tree start` lets it go on"));
                }
                State::Stopping { .. } | State::Killed { .. } => return Err(format!("{kind} {key} is restarting")),
                _ => {}
            }
        }
        let spawn = spawn.ok_or_else(|| format!("{kind} {key} is not running"))?;
        if !self.members.contains_key(&key) && self.members.len() >= self.args.of.members_max {
            return Err(format!("there are {} {kind}s already; try again later", self.members.len()));
        }
        self.members.entry(key.clone()).or_insert_with(|| Member {
            address: Address::new(kind, self.args.of.mailbox_cap),
            spawn: Some(spawn),
            cell: None,
            life: Life::new(Instant::now()),
        });
        if let Err(error) = self.start(me, &key).await {
            if self.members.get(&key).is_some_and(|member| member.life.generation == 1) {
                self.members.remove(&key); // it never was there
                self.args.alive.remove(&key);
            }
            return Err(format!("{kind} {key} did not start: {error}"));
        }
        self.members.get(&key).map(|member| member.address.clone()).ok_or_else(|| format!("{kind} {key} is gone"))
    }

    /// Starts the next incarnation. An error has been counted as a failure.
    async fn start(&mut self, me: &Me<K, M>, key: &K) -> Result<(), String> {
        let Some(member) = self.members.get_mut(key) else { return Ok(()) };
        let spec = self.args.of.child;
        let spawn = if spec.restart == Restart::Temporary { member.spawn.take() } else { member.spawn.clone() };
        let Some(spawn) = spawn else { return Err("it starts only once".into()) };
        member.life.starting();
        match spawn(key.clone(), me.get_cell()).await {
            Ok(actor) => {
                let cell = actor.get_cell();
                self.by_actor.insert(cell.get_id(), key.clone());
                member.address.publish(actor);
                member.cell = Some(cell);
                member.life.started(member.address.answered(), Instant::now());
                if member.life.generation > 1 {
                    self.report(key, &Event::Started);
                }
                let Some(member) = self.members.get(key) else { return Ok(()) };
                self.args.alive.insert(key.clone(), member.address.clone());
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                let verdict = member.life.start_failed(&spec, &reason, Instant::now(), 0.5);
                self.judged(me, key, verdict, Exit::Abnormal, &reason);
                Err(reason)
            }
        }
    }

    async fn ended(&mut self, me: &Me<K, M>, key: K, exit: Exit, reason: &str) {
        let spec = self.args.of.child;
        let Some(member) = self.members.get_mut(&key) else { return };
        member.cell = None;
        let verdict = member.life.ended(&spec, exit, reason, Instant::now(), 0.5);
        let reason = match (exit, member.life.last_failure()) {
            (Exit::Abnormal, Some(failure)) => failure.reason.clone(),
            _ => reason.to_owned(),
        };
        self.judged(me, &key, verdict, exit, &reason);
        self.start_if_due(me, &key).await;
    }

    async fn start_if_due(&mut self, me: &Me<K, M>, key: &K) {
        while self.members.get(key).is_some_and(|member| member.life.is_due(Instant::now())) {
            if self.start(me, key).await.is_err() {
                tracing::debug!(child = self.args.of.child.kind, %key, "another try, if it may");
            }
        }
    }

    /// Tells what became of a child, and forgets it if it does not come back.
    fn judged(&mut self, me: &Me<K, M>, key: &K, verdict: Verdict, exit: Exit, reason: &str) {
        let now = Instant::now();
        let Some(member) = self.members.get_mut(key) else { return };
        let reason = reason.to_owned();
        let stormy = verdict == Verdict::Again && !self.storm.record(STORM, now);
        if stormy {
            member.life.state = State::GaveUp { retry_at: now + QUARANTINE };
        }
        let event = match (verdict, member.life.state) {
            (_, State::GaveUp { .. }) => Event::GaveUp { reason },
            (Verdict::Over, State::Stopped) => Event::Stopped,
            _ => Event::Ended { exit, reason },
        };
        self.report(key, &event);
        let Some(member) = self.members.get(key) else { return };
        let over = verdict == Verdict::Over && !(member.life.state == State::Stopped && self.can_come_back());
        if !member.life.is_due(now) {
            self.args.alive.remove(key);
        }
        match member.life.wake_at() {
            _ if over => self.forget(key),
            Some(at) if at > now => self.wake_later(me, key, at),
            _ => {}
        }
    }

    fn can_come_back(&self) -> bool {
        self.args.of.child.restart != Restart::Temporary
    }

    /// A timer outlives us at most by its delay; a group that is gone ignores it.
    fn wake_later(&self, me: &Me<K, M>, key: &K, at: Instant) {
        let Some(generation) = self.members.get(key).map(|member| member.life.generation) else { return };
        let key = key.clone();
        let delay = at.saturating_duration_since(Instant::now());
        drop(me.send_after(delay, move || Mail::own(GroupMsg::Wake(key, generation))));
    }

    /// Back-off is over, or the time to stop is. News for an older incarnation is dropped.
    async fn wake(&mut self, me: &Me<K, M>, key: &K, generation: u64) {
        let now = Instant::now();
        let Some(member) = self.members.get_mut(key) else { return };
        if member.life.generation != generation {
            return;
        }
        if member.life.is_too_slow(now) {
            tracing::warn!(child = self.args.of.child.kind, %key, "child did not stop in time; killing it");
            self.kill(me, key);
        } else if member.life.is_lost(now) {
            if let Some(cell) = member.cell.take() {
                self.by_actor.remove(&cell.get_id());
            }
            self.report(key, &Event::IgnoredKill);
            self.ended(me, key.clone(), Exit::Abnormal, "ignored kill").await;
        } else {
            self.start_if_due(me, key).await;
        }
    }

    fn kill(&self, me: &Me<K, M>, key: &K) {
        let Some(member) = self.members.get(key) else { return };
        if let Some(cell) = &member.cell {
            cell.kill();
        }
        if let Some(at) = member.life.wake_at() {
            self.wake_later(me, key, at);
        }
    }

    /// Asks every child whether it is there; one that has not answered the last time is killed.
    fn check(&mut self, me: &Me<K, M>) {
        let now = Instant::now();
        let mut silent = Vec::new();
        for (key, member) in &mut self.members {
            match member.life.check(member.address.answered(), now) {
                Check::Ping(number) => member.address.ping(number),
                Check::NotRunning => {}
                Check::Silent => silent.push(key.clone()),
            }
        }
        for key in silent {
            tracing::error!(target: "supervision", child = self.args.of.child.kind, %key, "does not answer; killing it");
            self.kill(me, &key);
        }
    }

    fn which(&self) -> Vec<ChildInfo> {
        let (now, spec) = (Instant::now(), &self.args.of.child);
        let info = |(key, member): (&K, &Member<K, M>)| {
            let (name, life) = (key.to_string(), &member.life);
            let node = Node::of(spec, &name, life, &member.address, life.restarts(spec, now), now);
            let below = self.args.of.below.map(|below| below(&member.address));
            ChildInfo { name: name.into(), node, below }
        };
        let mut infos: Vec<ChildInfo> = self.members.iter().map(info).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos
    }

    async fn operate(&mut self, me: &Me<K, M>, name: &str, operation: Operation) -> Result<(), Refused> {
        let key = self.members.keys().find(|key| key.to_string() == name).cloned();
        let key = key.ok_or_else(|| Refused::Unknown(view::join(&self.args.of.path, name)))?;
        #[cfg(feature = "fault-injection")]
        if let (Operation::Fault(fault), Some(member)) = (operation, self.members.get(&key)) {
            member.address.inject(fault);
            return Ok(());
        }
        if operation != Operation::Stop && !self.can_come_back() {
            return Err(Refused::NotStartable(name.to_owned()));
        }
        let (now, spec) = (Instant::now(), self.args.of.child);
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        match (operation, member.life.is_running() || member.life.is_going_down()) {
            (Operation::Stop, false) => {
                member.life.state = State::Stopped;
                self.report(&key, &Event::Stopped);
            }
            (Operation::Restart | Operation::Start, false) => {
                member.life.revive(now);
                self.start_if_due(me, &key).await;
            }
            (Operation::Start, true) => {}
            #[cfg(feature = "fault-injection")]
            (Operation::Fault(_), _) => {} // done above
            (Operation::Restart | Operation::Stop, true) => {
                let then = if operation == Operation::Stop { Then::Stay } else { Then::StartAgain };
                member.life.stop(&spec, then, now);
                if let Some(cell) = &member.cell {
                    cell.stop(Some("shutdown".into()));
                }
                self.wake_later(me, &key, now + spec.shutdown);
            }
        }
        Ok(())
    }

    /// A child that runs is stopped, and forgotten when it has ended; any other is forgotten at once.
    fn remove(&mut self, me: &Me<K, M>, key: &K) {
        let (now, spec) = (Instant::now(), self.args.of.child);
        self.args.alive.remove(key);
        match self.members.get_mut(key) {
            Some(Member { cell: Some(cell), life, .. }) => {
                life.stop(&spec, Then::Finish, now);
                cell.stop(Some("shutdown".into()));
                self.wake_later(me, key, now + spec.shutdown);
            }
            _ => self.forget(key),
        }
    }

    fn forget(&mut self, key: &K) {
        self.members.remove(key);
        for reply in self.leaving.remove(key).unwrap_or_default() {
            let _ = reply.send(()); // the asker may have gone
        }
    }

    fn report(&self, key: &K, event: &Event) {
        if matches!(event, Event::Ended { exit: Exit::Normal, .. }) {
            return; // they come and go
        }
        let Some(member) = self.members.get(key) else { return };
        let (now, spec) = (Instant::now(), &self.args.of.child);
        (self.args.of.observer)(&News {
            path: view::join(&self.args.of.path, &key.to_string()),
            kind: spec.kind,
            event,
            generation: member.life.generation,
            restarts: member.life.restarts(spec, now),
            next_retry: member.life.wake_at().map(|at| at.saturating_duration_since(now)),
        });
    }
}

/// How one of many children is looked after: again at once, and held back alone when that does not help.
pub const fn member_spec(kind: &'static str, restart: Restart) -> ChildSpec {
    ChildSpec::new(kind, restart)
        .backoff(super::restart::Backoff::NONE)
        .exceeded(Exceeded::GiveUp { after: TOLERATED, retry: QUARANTINE })
}
