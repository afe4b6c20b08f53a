//! What a supervisor is told about a child: how to start it, when to restart it, how long it may take to stop.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ractor::{ActorCell, SpawnErr};

use super::restart::Backoff;

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

/// How one kind of child is looked after.
#[derive(Debug, Clone, Copy)]
pub struct ChildSpec {
    /// Name in the tree, in logs and in `system.tree`.
    pub kind: &'static str,
    pub restart: Restart,
    /// How long a child may take to stop before it is killed.
    pub shutdown: Duration,
    pub backoff: Backoff,
}

impl ChildSpec {
    /// A child with the default back-off and five seconds to stop.
    pub const fn new(kind: &'static str, restart: Restart) -> Self {
        Self { kind, restart, shutdown: Duration::from_secs(5), backoff: Backoff::DEFAULT }
    }

    pub const fn shutdown(mut self, shutdown: Duration) -> Self {
        self.shutdown = shutdown;
        self
    }
}

/// Restarts tolerated within a window before the supervisor gives up and says so upward.
#[derive(Debug, Clone, Copy)]
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
    pub start: StartFn,
}
