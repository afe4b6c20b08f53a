//! The presence actor: keeps the table, counts its versions, tells everybody about changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::entry::{PresenceEntry, PresenceTable};
use crate::events::{Event, Events, EventsMsg};
use crate::protocol::StateVersion;
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// Changes within this time are told as one: five hundred clients that leave together are not five hundred lists for
/// everybody who stays.
const GATHER: Duration = Duration::from_millis(50);

/// What presence can be told.
#[derive(Debug)]
pub enum PresenceMsg {
    /// A client connected: counted, but not broadcast.
    Joined { key: String, entry: PresenceEntry },
    /// A client went away, at `ts` (epoch milliseconds): broadcast.
    Left { key: String, ts: i64 },
    /// A machine reported itself: broadcast.
    Changed { key: String, entry: PresenceEntry },
    /// Newest first, the gateway itself included.
    List(RpcReplyPort<Vec<PresenceEntry>>),
    /// The same, each as JSON.
    Texts(RpcReplyPort<Vec<Arc<RawValue>>>),
    /// Its own timer: the changes that were gathered are told now.
    TellDue,
}

/// The two counters that accompany `presence` and `health` events; shared so that `hello-ok` reads them directly.
#[derive(Debug)]
pub struct Versions {
    presence: AtomicU64,
    health: AtomicU64,
}

impl Default for Versions {
    fn default() -> Self {
        Self { presence: AtomicU64::new(1), health: AtomicU64::new(1) }
    }
}

impl Versions {
    pub fn now(&self) -> StateVersion {
        StateVersion { presence: self.presence.load(Ordering::Relaxed), health: self.health.load(Ordering::Relaxed) }
    }

    pub fn bump_health(&self) -> StateVersion {
        self.health.fetch_add(1, Ordering::Relaxed);
        self.now()
    }

    fn bump_presence(&self) {
        self.presence.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the actor is started with.
#[derive(Clone)]
pub struct PresenceArgs {
    pub events: Events,
    pub versions: Arc<Versions>,
    /// The gateway's own entry; its `ts` is renewed at each listing.
    pub own: PresenceEntry,
}

struct PresenceActor;

struct PresenceState {
    args: PresenceArgs,
    table: PresenceTable,
    /// Is a timer on its way?
    gathering: bool,
}

/// Presence as a child of its supervisor.
pub fn child(address: Address<PresenceMsg>, args: PresenceArgs, spec: ChildSpec) -> Child {
    Child::leaf(spec, address, args, || PresenceActor)
}

impl Actor for PresenceActor {
    type Msg = Mail<PresenceMsg>;
    type State = PresenceState;
    type Arguments = PresenceArgs;

    async fn pre_start(&self, _: ActorRef<Self::Msg>, args: PresenceArgs) -> Result<PresenceState, ActorProcessingErr> {
        Ok(PresenceState { args, table: PresenceTable::default(), gathering: false })
    }

    async fn handle(
        &self,
        me: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut PresenceState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(message) = mail.open().await? else { return Ok(()) };
        match message {
            PresenceMsg::Joined { key, entry } => {
                state.args.versions.bump_presence();
                state.table.touch(&key, entry, Instant::now());
            }
            PresenceMsg::Left { key, ts } => {
                if state.table.leave(&key, ts, Instant::now()) {
                    state.tell_soon(&me);
                }
            }
            PresenceMsg::Changed { key, entry } => {
                state.table.touch(&key, entry, Instant::now());
                state.tell_soon(&me);
            }
            PresenceMsg::Texts(reply) => {
                let _ = reply.send(state.texts()); // the asker may have gone
            }
            PresenceMsg::TellDue => {
                state.gathering = false;
                state.broadcast();
            }
            PresenceMsg::List(reply) => {
                let _ = reply.send(state.list()); // the asker may have gone
            }
        }
        Ok(())
    }
}

impl PresenceState {
    fn own(&self) -> PresenceEntry {
        PresenceEntry { ts: jiff::Timestamp::now().as_millisecond(), ..self.args.own.clone() }
    }

    fn list(&mut self) -> Vec<PresenceEntry> {
        let mut list = vec![self.own()];
        list.extend(self.table.list(Instant::now()));
        list
    }

    fn texts(&mut self) -> Vec<Arc<RawValue>> {
        let mut texts = vec![self.own().to_json()];
        texts.extend(self.table.texts(Instant::now()));
        texts
    }

    fn tell_soon(&mut self, me: &ActorRef<Mail<PresenceMsg>>) {
        self.args.versions.bump_presence();
        if !std::mem::replace(&mut self.gathering, true) {
            drop(me.send_after(GATHER, || Mail::own(PresenceMsg::TellDue)));
        }
    }

    fn broadcast(&mut self) {
        let version = self.args.versions.now();
        let event = Event::broadcast("presence", &json!({ "presence": self.texts() })).with_state_version(version);
        if let Err(error) = self.args.events.try_send(EventsMsg::Publish(event)) {
            tracing::debug!(%error, "presence event not sent; clients read the list again on reconnect");
        }
    }
}
