//! Who holds a worker of the runtime up: every step of a task and of an actor's handler is timed, and one that takes longer
//! than a second is told of, with its name.
//!
//! A step is one poll: what lies between two awaits. Nothing else runs on that worker meanwhile. What never comes back is
//! not seen here: the supervisor's question, and the watchdog of the service manager, find that. Source: operations
//! specification §6.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ractor::concurrency::JoinHandle;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::time::Instant;

use crate::metrics;

/// A step may take so long.
const LIMIT: Duration = Duration::from_secs(1);

/// A task's future, timed.
pub struct Timed<F> {
    name: &'static str,
    future: Pin<Box<F>>,
}

impl<F: Future> Timed<F> {
    pub fn new(name: &'static str, future: F) -> Self {
        Self { name, future: Box::pin(future) }
    }
}

impl<F: Future> Future for Timed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let name = self.name;
        step(name, || self.future.as_mut().poll(context))
    }
}

/// The same for a future that stands where it is.
fn timed<F: Future>(name: &'static str, mut future: Pin<&mut F>) -> impl Future<Output = F::Output> {
    poll_fn(move |context| step(name, || future.as_mut().poll(context)))
}

fn step<T>(name: &'static str, poll: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let polled = poll();
    let took = begun.elapsed();
    if took >= LIMIT {
        tracing::warn!(target: "supervision", name, took_ms = took.as_millis(), "the runtime was held up");
        metrics::stall(name, took);
    }
    polled
}

/// Starts an actor below its supervisor, its handlers timed under the name of its kind.
pub async fn spawn_linked<A: Actor>(
    kind: &'static str,
    actor: A,
    args: A::Arguments,
    supervisor: ActorCell,
) -> Result<ActorRef<A::Msg>, SpawnErr> {
    let (actor, _) = Watched::spawn_linked(None, Watched { kind, actor }, args, supervisor).await?;
    Ok(actor)
}

/// The same for the root, which has no supervisor. The handle resolves when it has ended.
pub async fn spawn_root<A: Actor>(
    kind: &'static str,
    actor: A,
    args: A::Arguments,
) -> Result<(ActorRef<A::Msg>, JoinHandle<()>), SpawnErr> {
    Watched::spawn(None, Watched { kind, actor }, args).await
}

/// An actor whose handlers are timed.
struct Watched<A> {
    kind: &'static str,
    actor: A,
}

impl<A: Actor> Actor for Watched<A> {
    type Msg = A::Msg;
    type State = A::State;
    type Arguments = A::Arguments;

    async fn pre_start(&self, me: ActorRef<A::Msg>, args: A::Arguments) -> Result<A::State, ActorProcessingErr> {
        timed(self.kind, std::pin::pin!(self.actor.pre_start(me, args))).await
    }

    async fn post_start(&self, me: ActorRef<A::Msg>, state: &mut A::State) -> Result<(), ActorProcessingErr> {
        timed(self.kind, std::pin::pin!(self.actor.post_start(me, state))).await
    }

    async fn post_stop(&self, me: ActorRef<A::Msg>, state: &mut A::State) -> Result<(), ActorProcessingErr> {
        timed(self.kind, std::pin::pin!(self.actor.post_stop(me, state))).await
    }

    async fn handle(
        &self,
        me: ActorRef<A::Msg>,
        message: A::Msg,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        timed(self.kind, std::pin::pin!(self.actor.handle(me, message, state))).await
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<A::Msg>,
        event: SupervisionEvent,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        timed(self.kind, std::pin::pin!(self.actor.handle_supervisor_evt(me, event, state))).await
    }
}
