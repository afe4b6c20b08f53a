//! The tree: who supervises whom, what restarts how, in which order it starts and stops.
//!
//! ```text
//! root                rest for one     3 restarts in 60 s, then the process ends and the service manager starts it again
//! ├─ foundation       one for all      what nothing can live without; 3 restarts in 60 s, then it fails itself
//! │   ├─ store        permanent        the database: one writer thread, readers
//! │   └─ config       permanent        the watcher that publishes snapshots
//! ├─ infra            one for one
//! │   ├─ events       permanent        the hub: one order for all connections
//! │   ├─ presence     permanent        who is here
//! │   ├─ devices      permanent        paired devices and requests to pair
//! │   ├─ disk         permanent        room on the disk
//! │   └─ memory       permanent        memory of the process
//! ├─ agents           rest for one
//! │   ├─ sessions     group            session (transient) → run (temporary) → the turn's task
//! │   └─ recovery     permanent        starts the sessions that have work from before, whenever the sessions start
//! ├─ automation       one for one
//! │   ├─ cron         permanent        has jobs run when they are due
//! │   └─ heartbeat    permanent        wakes agents: the clock, events, people
//! ├─ channels         rest for one
//! │   ├─ accounts     group            account (one for one): sender, ingress, transport (permanent)
//! │   └─ keeper       permanent        has those accounts running that the configuration wants
//! └─ front            one for one      given by the program
//!     ├─ health       permanent        health, tick
//!     ├─ connections  group            connection (temporary) → the socket's task
//!     └─ listener     permanent        the port
//! ```
//!
//! Order is dependency: what stands below uses what stands above. Every direct child of the root is a supervisor, and
//! outside the foundation a child that fails more than 10 times in an hour is given up alone and tried again later: a
//! leaf that keeps failing never reaches the root.

pub mod overview;

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorRef, SpawnErr};

use crate::channels::{account, keeper_child};
use crate::config;
use crate::cron;
use crate::devices;
use crate::disk;
use crate::events;
use crate::heartbeat;
use crate::memory;
use crate::presence::{self, Presence, PresenceArgs};
use crate::run::context::Context;
use crate::session::actor::{self as session_actor, SessionArgs};
use crate::session::{SessionKey, SessionMsg, recovery};
use crate::store;
use crate::supervision::group::{SpawnFn, member_spec};
use crate::supervision::{
    Address, Child, ChildSpec, Exceeded, GroupSpec, Intensity, Mail, Observer, Restart, Strategy, Supervisor,
    SupervisorArgs, SupervisorMsg, spawn_root, supervisor,
};

const MINUTE: Duration = Duration::from_secs(60);
/// A supervisor stops its children one after the other.
const BRANCH_STOP: Duration = Duration::from_secs(15);
/// Restarts that the root and the foundation tolerate.
const CORE: Intensity = Intensity::new(3, MINUTE);
/// Where the sessions' group stands.
const SESSIONS: &str = "agents/sessions";
/// Mails that may wait in front of one session.
const SESSION_MAILBOX: usize = 256;
/// Sessions that are awake at once. In a crowd they rest sooner (`session/actor.rs`), so this many means real work.
const SESSIONS_MAX: usize = 10_000;

/// What the tree is made of.
pub struct TreeArgs {
    pub context: Arc<Context>,
    pub config: config::actor::ConfigArgs,
    pub presence: Presence,
    pub presence_args: PresenceArgs,
    pub devices: devices::Devices,
    pub devices_args: devices::DevicesArgs,
    /// Children of the front, in start order.
    pub front: Vec<Child>,
}

/// The running tree.
pub struct Tree {
    root: ActorRef<Mail<SupervisorMsg>>,
    ended: ractor::concurrency::JoinHandle<()>,
}

/// Starts every branch in order. On error everything that was started has been stopped again.
pub async fn start(args: TreeArgs) -> Result<Tree, SpawnErr> {
    let overview = args.context.overview.clone();
    let observer = overview.observer();
    let branch = |name, strategy, children| branch(name, strategy, children, &observer);
    let branches = vec![
        branch("foundation", Strategy::OneForAll, foundation(&args)),
        branch("infra", Strategy::OneForOne, infra(&args)),
        branch("agents", Strategy::RestForOne, agents(&args.context, &observer)),
        branch("automation", Strategy::OneForOne, automation(&args.context)),
        branch("channels", Strategy::RestForOne, channels(&args.context, &observer)),
        branch("front", Strategy::OneForOne, args.front),
    ];
    let root = SupervisorArgs {
        path: String::new(),
        strategy: Strategy::RestForOne,
        intensity: CORE,
        children: branches,
        observer: Arc::clone(&observer),
    };
    let (root, ended) = spawn_root("root", Supervisor, root).await?;
    overview.publish(root.clone());
    Ok(Tree { root, ended })
}

impl Tree {
    /// Resolves when the root has ended by itself: it gave up.
    pub async fn ended(&mut self) {
        let _ = (&mut self.ended).await; // however it ended, it is gone
    }

    /// Stops every branch in reverse order. Returns when the last actor has ended or been killed.
    pub async fn stop(self) {
        let limit = BRANCH_STOP * 4;
        if self.root.get_cell().stop_and_wait(Some("shutdown".into()), Some(limit)).await.is_err() {
            tracing::error!("the tree did not stop in time");
            self.root.kill();
        }
    }
}

fn branch(name: &'static str, strategy: Strategy, children: Vec<Child>, observer: &Observer) -> Child {
    let observer = Arc::clone(observer);
    let args = SupervisorArgs { path: name.to_owned(), strategy, intensity: CORE, children, observer };
    supervisor::child(args, Address::new(name, 64), core(name).shutdown(BRANCH_STOP))
}

/// A child that its supervisor cannot do without.
fn core(kind: &'static str) -> ChildSpec {
    ChildSpec::new(kind, Restart::Permanent).vital().exceeded(Exceeded::Escalate)
}

fn foundation(args: &TreeArgs) -> Vec<Child> {
    vec![
        store::child(args.context.store.clone(), core("store").shutdown(Duration::from_secs(10))),
        config::actor::child(args.config.clone(), core("config")),
    ]
}

fn infra(args: &TreeArgs) -> Vec<Child> {
    let permanent = |kind| ChildSpec::new(kind, Restart::Permanent);
    let (context, store) = (&args.context, &args.context.store);
    vec![
        events::child(args.context.events.clone(), permanent("events").vital()),
        presence::child(args.presence.clone(), args.presence_args.clone(), permanent("presence")),
        devices::child(args.devices.clone(), args.devices_args.clone(), permanent("devices")),
        disk::child(store.dir().to_owned(), context.disk.clone(), context.events.clone(), permanent("disk")),
        memory::child(Arc::clone(context), permanent("memory")),
    ]
}

fn agents(context: &Arc<Context>, observer: &Observer) -> Vec<Child> {
    let recovery = ChildSpec::new("recovery", Restart::Permanent);
    vec![sessions(context, observer), recovery::child(Arc::clone(context), recovery)]
}

fn automation(context: &Arc<Context>) -> Vec<Child> {
    let permanent = |kind| ChildSpec::new(kind, Restart::Permanent);
    vec![
        cron::child(Arc::clone(context), permanent("cron")),
        heartbeat::child(Arc::clone(context), permanent("heartbeat")),
    ]
}

fn channels(context: &Arc<Context>, observer: &Observer) -> Vec<Child> {
    let permanent = |kind| ChildSpec::new(kind, Restart::Permanent);
    let accounts = account::group_spec(context, observer);
    vec![
        context.channels.accounts.child(permanent("accounts").vital().shutdown(BRANCH_STOP), accounts),
        keeper_child(Arc::clone(context), permanent("keeper")),
    ]
}

fn sessions(context: &Arc<Context>, observer: &Observer) -> Child {
    let shared = Arc::clone(context);
    let spawn: SpawnFn<SessionKey, SessionMsg> = Arc::new(move |key, group| {
        let args = SessionArgs { context: Arc::clone(&shared), key };
        Box::pin(session_actor::spawn(args, group))
    });
    let of = GroupSpec {
        path: SESSIONS.to_owned(),
        child: member_spec("session", Restart::Transient),
        mailbox_cap: SESSION_MAILBOX,
        members_max: SESSIONS_MAX,
        spawn: Some(spawn),
        observer: Arc::clone(observer),
        below: None,
    };
    context.sessions.child(ChildSpec::new("sessions", Restart::Permanent).vital().shutdown(BRANCH_STOP), of)
}
