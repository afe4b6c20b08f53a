//! Bounded mailboxes and addresses that survive a restart.
//!
//! ractor's own mailboxes are unbounded. Everybody outside an actor reaches it through an `Address`, which takes a
//! place before it sends; the place is free again when the actor opens the mail. An actor's messages to itself and
//! news from its own children need no place: their number is bounded by what it started.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ractor::{ActorRef, RpcReplyPort};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A message with the place it occupies in the mailbox.
#[derive(Debug)]
pub struct Mail<M> {
    message: M,
    place: Option<OwnedSemaphorePermit>,
}

impl<M> Mail<M> {
    /// A message that an actor sends to itself, or a child to its parent.
    pub fn own(message: M) -> Self {
        Self { message, place: None }
    }

    /// Takes the message out and frees its place.
    pub fn open(self) -> M {
        drop(self.place);
        self.message
    }
}

/// Why a message could not be delivered or answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("{0} is restarting")]
    Restarting(&'static str),
    #[error("{0} is overloaded")]
    Overloaded(&'static str),
    #[error("{0} did not answer in time")]
    Timeout(&'static str),
    #[error("{0} went down before it answered")]
    WentDown(&'static str),
}

/// Where an actor of message type `M` is reached, whatever incarnation is alive.
pub struct Address<M> {
    inner: Arc<Inner<M>>,
}

struct Inner<M> {
    kind: &'static str,
    current: ArcSwapOption<ActorRef<Mail<M>>>,
    places: Arc<Semaphore>,
    cap: usize,
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M> std::fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({}, {} waiting)", self.inner.kind, self.depth())
    }
}

impl<M: Send + 'static> Address<M> {
    /// An address without an actor behind it yet. `cap` bounds the mails that wait.
    pub fn new(kind: &'static str, cap: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                current: ArcSwapOption::empty(),
                places: Arc::new(Semaphore::new(cap)),
                cap,
            }),
        }
    }

    /// Puts a new incarnation behind the address.
    pub fn publish(&self, actor: ActorRef<Mail<M>>) {
        self.inner.current.store(Some(Arc::new(actor)));
    }

    /// The incarnation that is alive, if any.
    pub fn current(&self) -> Option<Arc<ActorRef<Mail<M>>>> {
        self.inner.current.load_full()
    }

    /// Sends if there is a place; a full mailbox is an answer.
    pub fn try_send(&self, message: M) -> Result<(), Unavailable> {
        let place = Arc::clone(&self.inner.places)
            .try_acquire_owned()
            .map_err(|_| Unavailable::Overloaded(self.inner.kind))?;
        self.deliver(message, place)
    }

    /// Waits for a place, then sends: back-pressure to the sender.
    pub async fn send(&self, message: M) -> Result<(), Unavailable> {
        let place = Arc::clone(&self.inner.places)
            .acquire_owned()
            .await
            .map_err(|_| Unavailable::Restarting(self.inner.kind))?;
        self.deliver(message, place)
    }

    /// Asks and waits at most `limit` for the answer.
    pub async fn ask<T, F>(&self, limit: Duration, message: F) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(RpcReplyPort<T>) -> M,
    {
        let (sender, receiver) = ractor::concurrency::oneshot();
        self.try_send(message(RpcReplyPort::from(sender)))?;
        match tokio::time::timeout(limit, receiver).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Unavailable::WentDown(self.inner.kind)),
            Err(_) => Err(Unavailable::Timeout(self.inner.kind)),
        }
    }

    pub fn kind(&self) -> &'static str {
        self.inner.kind
    }

    fn deliver(&self, message: M, place: OwnedSemaphorePermit) -> Result<(), Unavailable> {
        let actor = self.inner.current.load();
        let actor = actor.as_ref().ok_or(Unavailable::Restarting(self.inner.kind))?;
        actor
            .send_message(Mail { message, place: Some(place) })
            .map_err(|_| Unavailable::Restarting(self.inner.kind))
    }
}

impl<M> Address<M> {
    /// Mails that wait to be opened.
    pub fn depth(&self) -> usize {
        self.inner.cap - self.inner.places.available_permits()
    }
}
