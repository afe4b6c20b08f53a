//! A supervisor of many children of one kind that come and go: sessions, connections.
//!
//! A child is started when somebody asks for its key and forgotten when it ends. A transient child that failed is
//! started again at once; one that fails more often than the intensity allows is quarantined for `QUARANTINE`, and only
//! that one: the group itself lives on, and starts it again when the time is over, because it may have work. Finding or starting is one message, so two askers never start two children.

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
use super::mailbox::{Address, Mail};
use super::restart::{self, Exit, Window};
use super::spec::{Child, ChildSpec, Intensity, StartFn};
use super::stop::stop_child;
use super::supervisor::ChildInfo;

/// How long a child that keeps failing is refused.
pub const QUARANTINE: Duration = Duration::from_secs(60);

/// Starts one incarnation of the child with this key below the group.
pub type SpawnFn<K, M> =
    Arc<dyn Fn(K, ActorCell) -> BoxFuture<'static, Result<ActorRef<Mail<M>>, SpawnErr>> + Send + Sync>;

/// What a group can be told.
pub enum GroupMsg<K, M> {
    /// The address of the child, started if it was not alive; `Err` says why there is none.
    GetOrStart(K, RpcReplyPort<Result<Address<M>, String>>),
    /// Starts a child that brings its own way to start (a connection owns its socket).
    Start(K, SpawnFn<K, M>, RpcReplyPort<Result<Address<M>, String>>),
    /// The quarantine of the child with this key is over.
    Revive(K),
    Which(RpcReplyPort<Vec<(K, ChildInfo)>>),
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

    /// The child, started if necessary. The error is for people: quarantined, restarting, overloaded.
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
                let (actor, _) = GroupActor::spawn_linked(None, GroupActor::default(), args, parent).await?;
                group.address.publish(actor.clone());
                Ok(actor.get_cell())
            })
        });
        Child { spec, start }
    }
}

/// What all children of a group have in common.
pub struct GroupSpec<K, M> {
    pub child: ChildSpec,
    pub intensity: Intensity,
    /// Mails that may wait in front of one child.
    pub mailbox_cap: usize,
    /// How `GetOrStart` starts a child; absent when children bring their own way.
    pub spawn: Option<SpawnFn<K, M>>,
}

impl<K, M> Clone for GroupSpec<K, M> {
    fn clone(&self) -> Self {
        Self { child: self.child, intensity: self.intensity, mailbox_cap: self.mailbox_cap, spawn: self.spawn.clone() }
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
    stopping: bool,
}

struct Member<K, M> {
    address: Address<M>,
    spawn: SpawnFn<K, M>,
    cell: Option<ActorCell>,
    started: Instant,
    generation: u64,
    window: Window,
    quarantined_until: Option<Instant>,
    last_failure: Option<String>,
}

impl<K: Key, M: Send + 'static> Actor for GroupActor<K, M> {
    type Msg = Mail<GroupMsg<K, M>>;
    type State = GroupState<K, M>;
    type Arguments = GroupArgs<K, M>;

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        args: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(GroupState { args, members: HashMap::new(), by_actor: HashMap::new(), stopping: false })
    }

    async fn handle(
        &self,
        me: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match mail.open() {
            GroupMsg::GetOrStart(key, reply) => {
                let spawn = state.args.of.spawn.clone();
                let _ = reply.send(state.get_or_start(me.get_cell(), key, spawn).await); // the asker may have gone
            }
            GroupMsg::Start(key, spawn, reply) => {
                let _ = reply.send(state.get_or_start(me.get_cell(), key, Some(spawn)).await); // as above
            }
            GroupMsg::Revive(key) => state.revive(&me, key).await,
            GroupMsg::Which(reply) => {
                let _ = reply.send(state.members.iter().map(|(k, m)| (k.clone(), m.info(&state.args.of))).collect());
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(Ended { cell, failure }) = exit::ended(event) {
            state.ended(&me, &cell, failure).await;
        }
        Ok(())
    }

    /// Children of one kind are equals: all stop at once, each with its own deadline.
    async fn post_stop(&self, _: ActorRef<Self::Msg>, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        state.stopping = true;
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
        me: ActorCell,
        key: K,
        spawn: Option<SpawnFn<K, M>>,
    ) -> Result<Address<M>, String> {
        let kind = self.args.of.child.kind;
        if let Some(member) = self.members.get(&key) {
            if member.cell.is_some() {
                return Ok(member.address.clone());
            }
            if member.quarantined_until.is_some_and(|until| until > Instant::now()) {
                let why = member.last_failure.as_deref().unwrap_or("unknown");
                return Err(format!("{kind} {key} keeps failing and is held back for a minute: {why}"));
            }
        }
        let spawn = spawn.ok_or_else(|| format!("{kind} {key} is not running"))?;
        let member = self.members.entry(key.clone()).or_insert_with(|| Member {
            address: Address::new(kind, self.args.of.mailbox_cap),
            spawn,
            cell: None,
            started: Instant::now(),
            generation: 0,
            window: Window::default(),
            quarantined_until: None,
            last_failure: None,
        });
        let actor = member.start(&key, me).await.map_err(|error| format!("{kind} {key} did not start: {error}"))?;
        let address = member.address.clone();
        self.by_actor.insert(actor, key.clone());
        self.args.alive.insert(key, address.clone());
        Ok(address)
    }

    /// Starts a child again that was held back, unless somebody who asked for it has done so.
    async fn revive(&mut self, me: &ActorRef<Mail<GroupMsg<K, M>>>, key: K) {
        let Some(member) = self.members.get(&key) else { return };
        if self.stopping || member.cell.is_some() {
            return;
        }
        let spawn = Arc::clone(&member.spawn);
        if let Err(error) = self.get_or_start(me.get_cell(), key, Some(spawn)).await {
            tracing::error!(%error, "quarantine is over, but the child does not start");
        }
    }

    /// `failure` is absent when the child ended by itself or was asked to.
    async fn ended(&mut self, me: &ActorRef<Mail<GroupMsg<K, M>>>, cell: &ActorCell, failure: Option<String>) {
        let Some(key) = self.by_actor.remove(&cell.get_id()) else { return };
        let of = &self.args.of;
        let exit = if failure.is_some() { Exit::Abnormal } else { Exit::Normal };
        let Some(member) = self.members.get_mut(&key) else { return };
        member.cell = None;
        if let Some(reason) = &failure {
            tracing::warn!(child = of.child.kind, %key, generation = member.generation, %reason, "child ended");
        }
        member.last_failure = failure;
        if self.stopping || !restart::restarts(of.child.restart, exit) {
            self.args.alive.remove(&key);
            self.members.remove(&key);
            return;
        }
        if !member.window.record(of.intensity, Instant::now()) {
            member.quarantined_until = Some(Instant::now() + QUARANTINE);
            self.args.alive.remove(&key);
            tracing::error!(child = of.child.kind, %key, "child keeps failing; quarantined");
            // The timer outlives us at most by its delay; a group that is gone ignores it.
            drop(me.send_after(QUARANTINE, move || Mail::own(GroupMsg::Revive(key))));
            return;
        }
        match member.start(&key, me.get_cell()).await {
            Ok(actor) => {
                self.by_actor.insert(actor, key);
            }
            Err(error) => {
                tracing::error!(child = of.child.kind, %key, %error, "child did not restart");
                self.args.alive.remove(&key);
                self.members.remove(&key);
            }
        }
    }
}

impl<K: Key, M: Send + 'static> Member<K, M> {
    async fn start(&mut self, key: &K, me: ActorCell) -> Result<ActorId, SpawnErr> {
        let actor = (self.spawn)(key.clone(), me).await?;
        let cell = actor.get_cell();
        let id = cell.get_id();
        self.address.publish(actor);
        self.cell = Some(cell);
        self.started = Instant::now();
        self.generation += 1;
        self.quarantined_until = None;
        Ok(id)
    }

    fn info(&self, of: &GroupSpec<K, M>) -> ChildInfo {
        ChildInfo {
            kind: of.child.kind,
            generation: self.generation,
            alive: self.cell.is_some(),
            restarts: self.generation.saturating_sub(1),
            last_failure: self.last_failure.clone(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}
