//! The tree: who supervises whom, what restarts how, in which order it starts and stops.
//!
//! ```text
//! root                rest for one     3 restarts in 60 s, then the process ends and the service manager starts it again
//! ├─ foundation       one for all      what nothing can live without
//! │   ├─ store        permanent        the database: one writer thread, readers
//! │   └─ config       permanent        the watcher that publishes snapshots
//! ├─ infra            one for one
//! │   ├─ events       permanent        the hub: one order for all connections
//! │   ├─ presence     permanent        who is here
//! │   └─ devices      permanent        paired devices and requests to pair
//! ├─ agents           one for one
//! │   └─ sessions     group            session (transient) → run (temporary) → the turn's task
//! └─ front            one for one      given by the program
//!     ├─ connections  group            connection (temporary) → the socket's task
//!     ├─ health       permanent        health, tick
//!     └─ listener     permanent        the port
//! ```
//!
//! Order is dependency: what stands below uses what stands above. Every direct child of the root is a supervisor, so a
//! leaf that keeps failing exhausts its own branch and never the root's intensity alone.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorRef, SpawnErr};

use crate::config;
use crate::devices;
use crate::events;
use crate::presence::{self, Presence, PresenceArgs};
use crate::run::context::Context;
use crate::session::actor::{self as session_actor, SessionArgs};
use crate::session::{SessionKey, SessionMsg};
use crate::store;
use crate::supervision::group::SpawnFn;
use crate::supervision::{
    Address, Child, ChildSpec, GroupSpec, Intensity, Mail, Restart, Strategy, Supervisor, SupervisorArgs, SupervisorMsg,
    supervisor,
};

const MINUTE: Duration = Duration::from_secs(60);
/// A supervisor stops its children one after the other.
const BRANCH_STOP: Duration = Duration::from_secs(15);
/// Mails that may wait in front of one session.
const SESSION_MAILBOX: usize = 256;

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
    let branches = vec![
        branch("foundation", Strategy::OneForAll, foundation(&args)),
        branch("infra", Strategy::OneForOne, infra(&args)),
        branch("agents", Strategy::OneForOne, vec![sessions(&args.context)]),
        branch("front", Strategy::OneForOne, args.front),
    ];
    let root = SupervisorArgs {
        name: "root",
        strategy: Strategy::RestForOne,
        intensity: Intensity::new(3, MINUTE),
        children: branches,
    };
    let (root, ended) = Supervisor::spawn(None, Supervisor, root).await?;
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

fn branch(name: &'static str, strategy: Strategy, children: Vec<Child>) -> Child {
    let args = SupervisorArgs { name, strategy, intensity: Intensity::new(3, MINUTE), children };
    supervisor::child(args, Address::new(name, 64), ChildSpec::new(name, Restart::Permanent).shutdown(BRANCH_STOP))
}

fn foundation(args: &TreeArgs) -> Vec<Child> {
    let store_spec = ChildSpec::new("store", Restart::Permanent).shutdown(Duration::from_secs(10));
    vec![
        store::child(args.context.store.clone(), store_spec),
        config::actor::child(args.config.clone(), ChildSpec::new("config", Restart::Permanent)),
    ]
}

fn infra(args: &TreeArgs) -> Vec<Child> {
    vec![
        events::child(args.context.events.clone(), ChildSpec::new("events", Restart::Permanent)),
        presence::child(
            args.presence.clone(),
            args.presence_args.clone(),
            ChildSpec::new("presence", Restart::Permanent),
        ),
        devices::child(args.devices.clone(), args.devices_args.clone(), ChildSpec::new("devices", Restart::Permanent)),
    ]
}

fn sessions(context: &Arc<Context>) -> Child {
    let shared = Arc::clone(context);
    let spawn: SpawnFn<SessionKey, SessionMsg> = Arc::new(move |key, group| {
        let args = SessionArgs { context: Arc::clone(&shared), key };
        Box::pin(session_actor::spawn(args, group))
    });
    let of = GroupSpec {
        child: ChildSpec::new("session", Restart::Transient),
        intensity: Intensity::new(3, MINUTE),
        mailbox_cap: SESSION_MAILBOX,
        spawn: Some(spawn),
    };
    context.sessions.child(ChildSpec::new("sessions", Restart::Permanent).shutdown(BRANCH_STOP), of)
}
