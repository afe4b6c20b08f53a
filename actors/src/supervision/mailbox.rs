//! Bounded mailboxes and addresses that survive a restart.
//!
//! ractor's own mailboxes are unbounded. Everybody outside an actor reaches it through an `Address`, which takes a
//! place before it sends; the place is free again when the actor opens the mail. An actor's messages to itself and
//! news from its own children need no place: their number is bounded by what it started.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// What reaches an actor: a message with the place that it occupies, or a question of its supervisor.
#[derive(Debug)]
pub struct Mail<M> {
    content: Content<M>,
    place: Option<Place>,
}

#[derive(Debug)]
enum Content<M> {
    Message(M),
    /// "Are you there?": answered by being opened.
    Ping(Arc<Gauge>, u32),
    #[cfg(feature = "fault-injection")]
    Fault(Fault),
}

/// What a test makes an actor do.
#[cfg(feature = "fault-injection")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    Panic,
    Error,
    /// Never comes back from its handler.
    Hang,
    /// Holds its worker of the runtime for a while, then goes on.
    Block,
}

impl<M> Mail<M> {
    /// A message that an actor sends to itself, or a child to its parent.
    pub fn own(message: M) -> Self {
        Self { content: Content::Message(message), place: None }
    }

    /// Opened, this mail makes the actor fail.
    #[cfg(feature = "fault-injection")]
    pub fn fault(fault: Fault) -> Self {
        Self { content: Content::Fault(fault), place: None }
    }

    /// Takes the message out and frees its place. `None` when there is nothing to do: a supervisor looked whether
    /// anybody is there. The error is an injected one.
    #[allow(clippy::unused_async, reason = "an injected fault waits for ever")]
    pub async fn open(self) -> Result<Option<M>, ActorProcessingErr> {
        drop(self.place);
        match self.content {
            Content::Message(message) => Ok(Some(message)),
            Content::Ping(gauge, number) => {
                gauge.answered.store(number, Ordering::Relaxed);
                Ok(None)
            }
            #[cfg(feature = "fault-injection")]
            Content::Fault(Fault::Panic) => panic!("injected"),
            #[cfg(feature = "fault-injection")]
            Content::Fault(Fault::Error) => Err("injected".into()),
            #[cfg(feature = "fault-injection")]
            Content::Fault(Fault::Hang) => std::future::pending().await,
            #[cfg(feature = "fault-injection")]
            Content::Fault(Fault::Block) => {
                std::thread::sleep(Duration::from_millis(1_200));
                Ok(None)
            }
        }
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

/// What a supervisor needs of a child's mailbox, whatever its messages are.
pub trait Mailbox: Send + Sync {
    /// Mails that wait to be opened.
    fn depth(&self) -> usize;
    /// How long the oldest of them has been waiting.
    fn oldest(&self) -> Option<Duration>;
    /// Asks the incarnation that is alive whether it still opens its mail.
    fn ping(&self, number: u32);
    /// The number of the last ping that was answered.
    fn answered(&self) -> u32;
    #[cfg(feature = "fault-injection")]
    fn inject(&self, fault: Fault);
}

/// Where an actor of message type `M` is reached, whatever incarnation is alive.
pub struct Address<M> {
    inner: Arc<Inner<M>>,
}

struct Inner<M> {
    current: ArcSwapOption<ActorRef<Mail<M>>>,
    gauge: Arc<Gauge>,
}

/// The places of a mailbox, and since when they have been taken.
#[derive(Debug)]
struct Gauge {
    kind: &'static str,
    places: Semaphore,
    cap: usize,
    waiting: Mutex<VecDeque<Instant>>,
    answered: AtomicU32,
}

/// A place that is taken; dropped, it is free again.
#[derive(Debug)]
struct Place(Arc<Gauge>);

impl Place {
    /// Only with a permit in hand, which becomes the place.
    fn take(gauge: &Arc<Gauge>) -> Self {
        gauge.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(Instant::now());
        Self(Arc::clone(gauge))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        self.0.places.add_permits(1);
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M> std::fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gauge = &self.inner.gauge;
        write!(f, "Address({}, {} waiting)", gauge.kind, gauge.cap - gauge.places.available_permits())
    }
}

impl<M: Send + 'static> Address<M> {
    /// An address without an actor behind it yet. `cap` bounds the mails that wait.
    pub fn new(kind: &'static str, cap: usize) -> Self {
        let gauge =
            Gauge { kind, places: Semaphore::new(cap), cap, waiting: Mutex::default(), answered: AtomicU32::new(0) };
        Self { inner: Arc::new(Inner { current: ArcSwapOption::empty(), gauge: Arc::new(gauge) }) }
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
        let gauge = &self.inner.gauge;
        gauge.places.try_acquire().map_err(|_| Unavailable::Overloaded(gauge.kind))?.forget();
        self.deliver(message, Place::take(gauge))
    }

    /// Waits for a place, then sends: back-pressure to the sender.
    pub async fn send(&self, message: M) -> Result<(), Unavailable> {
        let gauge = &self.inner.gauge;
        gauge.places.acquire().await.map_err(|_| Unavailable::Restarting(gauge.kind))?.forget();
        self.deliver(message, Place::take(gauge))
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
            Ok(Err(_)) => Err(Unavailable::WentDown(self.kind())),
            Err(_) => Err(Unavailable::Timeout(self.kind())),
        }
    }

    pub fn kind(&self) -> &'static str {
        self.inner.gauge.kind
    }

    fn deliver(&self, message: M, place: Place) -> Result<(), Unavailable> {
        self.post(Mail { content: Content::Message(message), place: Some(place) })
    }

    fn post(&self, mail: Mail<M>) -> Result<(), Unavailable> {
        let actor = self.inner.current.load();
        let actor = actor.as_ref().ok_or(Unavailable::Restarting(self.kind()))?;
        actor.send_message(mail).map_err(|_| Unavailable::Restarting(self.kind()))
    }
}

impl<M: Send + 'static> Mailbox for Address<M> {
    fn depth(&self) -> usize {
        self.inner.gauge.cap - self.inner.gauge.places.available_permits()
    }

    fn oldest(&self) -> Option<Duration> {
        let waiting = self.inner.gauge.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.front().map(Instant::elapsed)
    }

    fn ping(&self, number: u32) {
        // An actor that is gone does not answer, which is what its supervisor wants to know.
        let _ = self.post(Mail { content: Content::Ping(Arc::clone(&self.inner.gauge), number), place: None });
    }

    fn answered(&self) -> u32 {
        self.inner.gauge.answered.load(Ordering::Relaxed)
    }

    #[cfg(feature = "fault-injection")]
    fn inject(&self, fault: Fault) {
        let _ = self.post(Mail::fault(fault)); // an actor that is gone has failed already
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use ractor::Actor;

    use super::*;

    /// Opens no mail until it is told.
    struct Reader;

    impl Actor for Reader {
        type Msg = Mail<RpcReplyPort<u32>>;
        type State = Arc<Semaphore>;
        type Arguments = Arc<Semaphore>;

        async fn pre_start(
            &self,
            _: ActorRef<Self::Msg>,
            may_read: Arc<Semaphore>,
        ) -> Result<Self::State, ActorProcessingErr> {
            Ok(may_read)
        }

        async fn handle(
            &self,
            _: ActorRef<Self::Msg>,
            mail: Self::Msg,
            may_read: &mut Self::State,
        ) -> Result<(), ActorProcessingErr> {
            may_read.acquire().await?.forget();
            if let Some(reply) = mail.open().await? {
                reply.send(1)?;
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_full_mailbox_refuses_or_makes_wait_and_loses_nothing() {
        let may_read = Arc::new(Semaphore::new(0));
        let (actor, _) = crate::supervision::spawn_root("reader", Reader, Arc::clone(&may_read)).await.unwrap();
        let address = Address::new("reader", 2);
        let limit = Duration::from_secs(10);
        assert_eq!(address.ask(limit, |reply| reply).await, Err(Unavailable::Restarting("reader")));
        assert_eq!(address.depth(), 0, "what was not delivered keeps no place");
        address.publish(actor.clone());
        let mut first = Box::pin(address.ask(limit, |reply| reply));
        let mut second = Box::pin(address.ask(limit, |reply| reply));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        assert_eq!(address.ask(limit, |reply| reply).await, Err(Unavailable::Overloaded("reader")));
        let (port, answer) = ractor::concurrency::oneshot();
        let mut patient = Box::pin(address.send(port.into()));
        assert!(patient.as_mut().now_or_never().is_none(), "whoever may wait, waits for a place");
        may_read.add_permits(3);
        assert_eq!((first.await, second.await), (Ok(1), Ok(1)));
        patient.await.unwrap();
        assert_eq!(answer.await, Ok(1));
        assert_eq!(address.depth(), 0);
        actor.stop(None);
    }
}
