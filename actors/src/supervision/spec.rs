//! What a supervisor is told about a child: how to start it, when to restart it, how long it may take to stop.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ractor::{Actor, ActorCell, SpawnErr};

use super::mailbox::{Address, Mail, Mailbox};
use super::restart::Backoff;
use super::stall::spawn_linked;
use super::view::Branch;

/// When a child that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// After a failure; a normal end is final.
    Transient,
    /// Never.
    Temporary,
}

/// Which children a failure takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    OneForOne,
    OneForAll,
    /// The failed child and everything that was started after it.
    RestForOne,
}

/// What happens when a child fails more often than is tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// The supervisor itself fails: what it looks after makes no sense without this child.
    Escalate,
    /// Only this child is given up, visibly, and tried again after each `retry`.
    GiveUp { after: Intensity, retry: Duration },
}

/// How one kind of child is looked after.
#[derive(Debug, Clone, Copy)]
pub struct ChildSpec {
    /// Kind in the tree, in logs and in `system.tree`.
    pub kind: &'static str,
    pub restart: Restart,
    /// How long a child may take to stop before it is killed.
    pub shutdown: Duration,
    pub backoff: Backoff,
    pub exceeded: Exceeded,
    /// The gateway cannot be driven without it: nobody may stop it but the end of the whole tree.
    pub vital: bool,
}

/// Restarts of a leaf that are tolerated before it is given up.
const LEAF: Intensity = Intensity::new(10, Duration::from_secs(60 * 60));
/// How often a child that was given up is tried again.
const RETRY: Duration = Duration::from_secs(30 * 60);
/// The same for what the gateway is deaf without.
const RETRY_VITAL: Duration = Duration::from_secs(60);

impl ChildSpec {
    /// A child with the default back-off and five seconds to stop; one that fails more than 10 times in an hour is
    /// given up and tried again every 30 minutes.
    pub const fn new(kind: &'static str, restart: Restart) -> Self {
        let exceeded = Exceeded::GiveUp { after: LEAF, retry: RETRY };
        let shutdown = Duration::from_secs(5);
        Self { kind, restart, shutdown, backoff: Backoff::DEFAULT, exceeded, vital: false }
    }

    pub const fn shutdown(mut self, shutdown: Duration) -> Self {
        self.shutdown = shutdown;
        self
    }

    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    pub const fn exceeded(mut self, exceeded: Exceeded) -> Self {
        self.exceeded = exceeded;
        self
    }

    /// A child that nobody may stop, and that is tried again every minute when it was given up.
    pub const fn vital(mut self) -> Self {
        self.vital = true;
        self.exceeded = Exceeded::GiveUp { after: LEAF, retry: RETRY_VITAL };
        self
    }
}

/// Restarts tolerated within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    pub restarts: usize,
    pub period: Duration,
}

impl Intensity {
    pub const fn new(restarts: usize, period: Duration) -> Self {
        Self { restarts, period }
    }
}

/// Starts one incarnation of a child below the given supervisor and publishes its address.
pub type StartFn = Arc<dyn Fn(ActorCell) -> BoxFuture<'static, Result<ActorCell, SpawnErr>> + Send + Sync>;

/// A child of a static supervisor.
#[derive(Clone)]
pub struct Child {
    pub spec: ChildSpec,
    /// Its name among its siblings; the kind, unless there are several.
    pub name: Arc<str>,
    pub start: StartFn,
    pub mailbox: Arc<dyn Mailbox>,
    /// What stands below it, if it is a supervisor itself.
    pub below: Option<Arc<dyn Branch>>,
}

impl Child {
    pub fn new(spec: ChildSpec, mailbox: Arc<dyn Mailbox>, start: StartFn) -> Self {
        Self { spec, name: spec.kind.into(), start, mailbox, below: None }
    }

    /// An actor that starts with the same arguments each time, behind an address that survives its restarts.
    pub fn leaf<A, M>(spec: ChildSpec, address: Address<M>, args: A::Arguments, actor: fn() -> A) -> Self
    where
        A: Actor<Msg = Mail<M>>,
        A::Arguments: Clone + Sync,
        M: Send + 'static,
    {
        let mailbox = Arc::new(address.clone());
        let start: StartFn = Arc::new(move |parent| {
            let (args, address) = (args.clone(), address.clone());
            Box::pin(async move {
                let started = spawn_linked(spec.kind, actor(), args, parent).await?;
                address.publish(started.clone());
                Ok(started.get_cell())
            })
        });
        Self::new(spec, mailbox, start)
    }

    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    pub fn with_below(mut self, below: Arc<dyn Branch>) -> Self {
        self.below = Some(below);
        self
    }
}
