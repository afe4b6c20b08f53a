//! The sender of one account: takes what is due from the outbox, marks it on disk, sends it, and stores what came of it.
//!
//! It keeps nothing that is not in the store. What it finds as `sending` when it starts was cut off with whoever was before.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::json;

use super::account::{AccountArgs, AccountKey};
use crate::delivery::machine::{self, Attempt, RETRIES};
use crate::events::{Event, EventsMsg};
use crate::metrics;
use crate::run::context::Context;
use crate::run::stream::now_ms;
use crate::store::outbox::{self, Change, OutboxRow, SendState};
use crate::store::{Store, StoreError};
use crate::supervision::task::{self, Task, TaskEnd, Timer};
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// Parts on their way at once.
const WIDTH: usize = 8;
/// How long the platform may take to take one part.
const SEND_LIMIT: Duration = Duration::from_secs(60);
/// The outbox is looked at so often even if nobody says that there is something: whoever wrote it may have gone down
/// before he could say so.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Pause before the store is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// How long parts on their way may take when the sender stops.
const FLUSH_LIMIT: Duration = Duration::from_secs(4);

/// What a sender can be told.
#[derive(Debug)]
pub enum SenderMsg {
    /// There may be something to send.
    Look,
    Looked(TaskEnd<Result<Looked, StoreError>>),
    /// A part has come to an end, or to its next try, and that is on disk, unless its task panicked.
    Done(String, TaskEnd<()>),
}

/// What a look at the outbox has found.
#[derive(Debug)]
pub struct Looked {
    /// Marked as on their way; nothing has left yet.
    claimed: Vec<OutboxRow>,
    /// When the next part is due.
    next_at: Option<i64>,
}

struct SenderActor;

struct SenderState {
    args: AccountArgs,
    leftovers: Leftovers,
    looking: Option<Task>,
    /// Somebody spoke up during the look.
    again: bool,
    flying: HashMap<String, Task>,
    next_look: Option<Timer>,
}

/// What the outbox may hold as `sending` besides what is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leftovers {
    None,
    /// Parts that went down with the sender before, or with their task: they may have arrived.
    CutOff,
    /// Parts that this one has marked without learning that it did: nothing has left.
    Unsent,
}

type Me = ActorRef<Mail<SenderMsg>>;

/// The sender as a child of its account.
pub fn child(of: AccountArgs, address: Address<SenderMsg>, spec: ChildSpec) -> Child {
    Child::leaf(spec, address, of, || SenderActor)
}

impl Actor for SenderActor {
    type Msg = Mail<SenderMsg>;
    type State = SenderState;
    type Arguments = AccountArgs;

    async fn pre_start(&self, me: Me, args: AccountArgs) -> Result<SenderState, ActorProcessingErr> {
        let mut state = SenderState {
            args,
            leftovers: Leftovers::CutOff,
            looking: None,
            again: false,
            flying: HashMap::new(),
            next_look: None,
        };
        state.look(&me);
        Ok(state)
    }

    async fn handle(&self, me: Me, mail: Self::Msg, state: &mut SenderState) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(SenderMsg::Look) => state.look(&me),
            Some(SenderMsg::Looked(TaskEnd::Done(Ok(looked)))) => state.looked(&me, looked),
            Some(SenderMsg::Looked(TaskEnd::Done(Err(error)))) => {
                tracing::warn!(account = %state.args.key, %error, "the outbox cannot be read yet");
                state.looking = None;
                if state.leftovers == Leftovers::None {
                    state.leftovers = Leftovers::Unsent;
                }
                state.look_later(&me, RETRY);
            }
            Some(SenderMsg::Looked(TaskEnd::Panicked(message))) => return Err(message.into()),
            Some(SenderMsg::Done(id, TaskEnd::Done(()))) => {
                state.flying.remove(&id);
                state.look(&me);
            }
            Some(SenderMsg::Done(_, TaskEnd::Panicked(message))) => return Err(message.into()),
            None => {}
        }
        Ok(())
    }

    /// What is on its way gets a moment to arrive, so that the next start need not wonder whether it did.
    async fn post_stop(&self, _: Me, state: &mut SenderState) -> Result<(), ActorProcessingErr> {
        let flying = std::mem::take(&mut state.flying);
        let landed = futures::future::join_all(flying.into_values().map(Task::ended));
        if tokio::time::timeout(FLUSH_LIMIT, landed).await.is_err() {
            tracing::warn!(account = %state.args.key, "messages were still on their way");
        }
        Ok(())
    }
}

impl SenderState {
    fn look(&mut self, me: &Me) {
        if self.looking.is_some() {
            self.again = true;
            return;
        }
        self.next_look = None;
        let (store, key) = (self.args.context.store.clone(), self.args.key.clone());
        let (repeatable, leftovers) = (self.args.adapter.repeatable(), self.leftovers);
        let flying: Vec<String> = self.flying.keys().cloned().collect();
        let me = me.clone();
        let work = async move {
            match leftovers {
                Leftovers::None => look(&store, key, WIDTH.saturating_sub(flying.len())).await,
                // By itself: what a lost answer of the next step leaves is of another kind.
                _ => put_right(&store, key, leftovers, repeatable, flying).await,
            }
        };
        self.looking = Some(task::spawn_reporting("outbox-look", work, move |end| {
            let _ = me.send_message(Mail::own(SenderMsg::Looked(end))); // gone only when the task was aborted
        }));
    }

    fn looked(&mut self, me: &Me, looked: Looked) {
        self.looking = None;
        self.leftovers = Leftovers::None;
        for row in looked.claimed {
            let (args, done, id) = (self.args.clone(), me.clone(), row.id.clone());
            let task = task::spawn_reporting("send", send(args, row), {
                let id = id.clone();
                move |end| {
                    let _ = done.send_message(Mail::own(SenderMsg::Done(id, end))); // as above
                }
            });
            self.flying.insert(id, task);
        }
        if std::mem::take(&mut self.again) && self.flying.len() < WIDTH {
            return self.look(me);
        }
        let due = looked.next_at.map(|at| Duration::from_millis(u64::try_from(at - now_ms()).unwrap_or(0)));
        self.look_later(me, due.map_or(LOOK_EVERY, |due| due.min(LOOK_EVERY)));
    }

    fn look_later(&mut self, me: &Me, delay: Duration) {
        let due = me.send_after(delay, || Mail::own(SenderMsg::Look));
        self.next_look = Some(Timer::of(&due));
    }
}

/// Deals with parts that are marked as on their way, and are not.
async fn put_right(
    store: &Store,
    key: AccountKey,
    leftovers: Leftovers,
    repeatable: bool,
    flying: Vec<String>,
) -> Result<Looked, StoreError> {
    let of = key.clone();
    let marked = store.read(move |db| outbox::sending(db, &of.channel, &of.account)).await?;
    let left: Vec<OutboxRow> = marked.into_iter().filter(|row| !flying.contains(&row.id)).collect();
    let look_again = Looked { claimed: Vec::new(), next_at: Some(0) };
    if left.is_empty() {
        return Ok(look_again);
    }
    tracing::warn!(account = %key, count = left.len(), "messages were on their way when their sender went down");
    let now = now_ms();
    let write = move |db: &rusqlite::Connection| {
        left.iter().try_for_each(|row| match leftovers {
            Leftovers::Unsent => settle(db, row, &machine::unclaim(row), now),
            _ => settle(db, row, &machine::cut_off(row, repeatable, now), now),
        })
    };
    store.write(write).await?;
    Ok(look_again)
}

/// Marks what is due as on its way. Writes only if there is something to write.
async fn look(store: &Store, key: AccountKey, room: usize) -> Result<Looked, StoreError> {
    let limit = u32::try_from(room).unwrap_or(u32::MAX);
    let of = key.clone();
    let heads = store.read(move |db| outbox::heads(db, &of.channel, &of.account, limit.max(1))).await?;
    let now = now_ms();
    let (due, next_at) = machine::due(heads, now);
    if due.is_empty() || room == 0 {
        return Ok(Looked { claimed: Vec::new(), next_at });
    }
    store
        .write(move |db| {
            let heads = outbox::heads(db, &key.channel, &key.account, limit)?;
            let (mut claimed, next_at) = machine::due(heads, now);
            for row in &mut claimed {
                let claim = machine::claim(row);
                outbox::change(db, &row.id, &[SendState::Pending], &claim, now)?;
                row.attempts = claim.attempts;
            }
            Ok(Looked { claimed, next_at })
        })
        .await
}

/// Sends one part and stores what came of it, however long the store takes.
async fn send(args: AccountArgs, row: OutboxRow) {
    let (AccountArgs { context, adapter, .. }, started) = (args, tokio::time::Instant::now());
    // One message that makes the adapter panic is no trouble of the others.
    let sending = AssertUnwindSafe(adapter.send(context.config.load(), row.clone())).catch_unwind();
    let unclear = |error: String| Attempt::Unclear { error };
    let attempt = match tokio::time::timeout(SEND_LIMIT, sending).await {
        Ok(Ok(attempt)) => attempt,
        Ok(Err(panic)) => unclear(format!("the adapter panicked: {}", task::panic_message(panic.as_ref()))),
        Err(_) => unclear(format!("no answer within {} s", SEND_LIMIT.as_secs())),
    };
    let now = now_ms();
    let change = machine::after(&attempt, &row, adapter.repeatable(), now);
    metrics::delivery(adapter.id(), change.state, started.elapsed());
    tell(&context, &row, &attempt, &change);
    let id = row.id.clone();
    loop {
        let (row, change) = (row.clone(), change.clone());
        match context.store.write(move |db| settle(db, &row, &change, now)).await {
            Ok(()) => return context.channels.part_settled(&id),
            Err(error) => tracing::warn!(%error, "what became of a message could not be stored yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// A message without one of its parts makes no sense: those after it are given up with it.
fn settle(db: &rusqlite::Connection, row: &OutboxRow, change: &Change, now: i64) -> Result<(), StoreError> {
    let changed = outbox::change(db, &row.id, &[SendState::Sending], change, now)?;
    if changed && change.state.is_dead() {
        outbox::fail_rest(db, row, "a part before it did not arrive", now)?;
    }
    Ok(())
}

/// The lines that operators look for, and an event when somebody may be waiting in vain.
fn tell(context: &Context, row: &OutboxRow, attempt: &Attempt, change: &Change) {
    let (id, channel) = (&row.id, &row.channel);
    let error = change.error.as_deref().unwrap_or_default();
    match (change.state, attempt) {
        (SendState::Sent, _) if row.attempts > 1 => {
            tracing::info!(target: "delivery", "Recovered delivery {id} on {channel}")
        }
        (SendState::Sent, _) => tracing::debug!(target: "delivery", "Delivered {id} on {channel}"),
        (SendState::Pending, _) => tracing::warn!(target: "delivery", "Retry failed for delivery {id}: {error}"),
        (SendState::Unknown, _) => {
            tracing::error!(target: "delivery", "Delivery {id} may or may not have arrived, and is not repeated: {error}");
        }
        (_, Attempt::Refused { .. }) => {
            tracing::error!(target: "delivery", "Delivery {id} hit permanent error — moving to failed/: {error}");
        }
        _ => {
            let max = RETRIES.len();
            tracing::error!(target: "delivery", "Delivery {id} exceeded max retries ({max}/{max}) — moving to failed/: {error}");
        }
    }
    if change.state.is_dead() {
        let payload = json!({ "ts": now_ms(), "id": id, "channel": channel, "accountId": row.account,
                              "sessionKey": row.session_key, "state": change.state.as_str(), "error": error });
        if let Err(error) = context.events.try_send(EventsMsg::Publish(Event::broadcast("delivery", &payload))) {
            tracing::debug!(%error, "clients were not told of a message that did not arrive; status shows it");
        }
    }
}
