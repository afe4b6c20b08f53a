//! The ingress of one account: takes events from the spool, decides who may write, and hands messages to their sessions.
//!
//! Events of one lane (one conversation) are taken up in order, those of different lanes side by side. An event is settled
//! when its message is in its session's queue on disk; until then it stays in the spool, and is taken up again after a crash
//! under the same run id: what the last try got done, a turn or a command, has a row of that id and is not done again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::account::AccountArgs;
use super::channel::Inbound;
use super::pairing::{self, Asked};
use super::policy::{self, Chat, DmPolicy, Verdict};
use super::turn;
use crate::run::context::default_agent;
use crate::run::message::Turn;
use crate::run::stream::now_ms;
use crate::session::submit::{self, SubmitError, Submitted};
use crate::session::{Admission, SessionError, SessionKey, reply, step};
use crate::store::spool::{self, EventState, SpoolRow};
use crate::store::{self, StoreError, runs};
use crate::supervision::task::{self, Task, TaskEnd, Timer};
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// Conversations that are taken up at once.
const WIDTH: usize = 32;
/// The spool is looked at so often even if nobody says that there is something.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Pause before something that could not be done is tried again; doubles up to a minute.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// An event that fails this often is put aside.
const TRIES_MAX: u32 = 5;
/// Tries after which a message that neither runs nor is on disk counts as lost with whoever had it.
const PATIENCE: u32 = 3;

const STOPPED: &str = "⚙️ Agent was aborted.";

/// What an ingress can be told.
#[derive(Debug)]
pub enum IngressMsg {
    /// There may be something in the spool.
    Look,
    Looked(TaskEnd<Result<Vec<SpoolRow>, StoreError>>),
    /// The first event of this lane is settled, or has failed once more.
    Done(String),
}

struct IngressActor;

struct IngressState {
    args: AccountArgs,
    looking: Option<Task>,
    again: bool,
    lanes: HashMap<String, Task>,
    next_look: Option<Timer>,
}

type Me = ActorRef<Mail<IngressMsg>>;

/// The ingress as a child of its account.
pub fn child(of: AccountArgs, address: Address<IngressMsg>, spec: ChildSpec) -> Child {
    Child::leaf(spec, address, of, || IngressActor)
}

impl Actor for IngressActor {
    type Msg = Mail<IngressMsg>;
    type State = IngressState;
    type Arguments = AccountArgs;

    async fn pre_start(&self, me: Me, args: AccountArgs) -> Result<IngressState, ActorProcessingErr> {
        let mut state = IngressState { args, looking: None, again: false, lanes: HashMap::new(), next_look: None };
        state.look(&me);
        Ok(state)
    }

    async fn handle(&self, me: Me, mail: Self::Msg, state: &mut IngressState) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(IngressMsg::Look) => state.look(&me),
            Some(IngressMsg::Looked(TaskEnd::Done(Ok(rows)))) => state.looked(&me, rows),
            Some(IngressMsg::Looked(TaskEnd::Done(Err(error)))) => {
                tracing::warn!(account = %state.args.key, %error, "the spool cannot be read yet");
                state.looking = None;
                state.look_later(&me, RETRY);
            }
            Some(IngressMsg::Looked(TaskEnd::Panicked(message))) => return Err(message.into()),
            Some(IngressMsg::Done(lane)) => {
                state.lanes.remove(&lane);
                state.look(&me);
            }
            None => {}
        }
        Ok(())
    }
}

impl IngressState {
    fn look(&mut self, me: &Me) {
        if self.looking.is_some() {
            self.again = true;
            return;
        }
        self.next_look = None;
        let (store, key, me) = (self.args.context.store.clone(), self.args.key.clone(), me.clone());
        // Those that are being taken up are among them.
        let limit = u32::try_from(WIDTH + self.lanes.len()).unwrap_or(u32::MAX);
        let read = async move { store.read(move |db| spool::heads(db, &key.channel, &key.account, limit)).await };
        self.looking = Some(task::spawn_reporting("spool-look", read, move |end| {
            let _ = me.send_message(Mail::own(IngressMsg::Looked(end))); // gone only when the task was aborted
        }));
    }

    fn looked(&mut self, me: &Me, rows: Vec<SpoolRow>) {
        self.looking = None;
        for row in rows {
            if self.lanes.len() >= WIDTH {
                break; // whoever is done first looks again
            }
            if !self.lanes.contains_key(&row.lane) {
                self.take_up(me, row);
            }
        }
        if std::mem::take(&mut self.again) {
            return self.look(me);
        }
        self.look_later(me, LOOK_EVERY);
    }

    fn look_later(&mut self, me: &Me, delay: Duration) {
        let due = me.send_after(delay, || Mail::own(IngressMsg::Look));
        self.next_look = Some(Timer::of(&due));
    }

    /// A panic of the task is a failure of this one event.
    fn take_up(&mut self, me: &Me, row: SpoolRow) {
        let (args, me, lane) = (self.args.clone(), me.clone(), row.lane.clone());
        let done = lane.clone();
        let task = task::spawn("ingress", async move {
            let work = task::spawn_reporting("event", settle(args.clone(), row.clone()), |_| {});
            work.ended().await;
            count_a_failure(&args, &row).await;
            let _ = me.send_message(Mail::own(IngressMsg::Done(done))); // as above
        });
        self.lanes.insert(lane, task);
    }
}

/// An event that is still pending after its task has ended has made it fail.
async fn count_a_failure(args: &AccountArgs, row: &SpoolRow) {
    let (wanted, tries) = (row.clone(), row.attempts + 1);
    let write = move |db: &rusqlite::Connection| {
        let now = spool::get(db, &wanted.channel, &wanted.account, &wanted.event_key)?;
        if !now.is_some_and(|row| row.state == EventState::Pending) {
            return Ok(false);
        }
        let error = "the gateway failed on it";
        match tries >= TRIES_MAX {
            true => spool::settle(db, &wanted, EventState::Failed, error)?,
            false => spool::note_attempt(db, &wanted, error)?,
        }
        Ok(true)
    };
    match args.context.store.write(write).await {
        Ok(false) => {}
        Ok(true) => {
            tracing::error!(account = %args.key, event = %row.event_key, tries, "an event makes the gateway fail");
            tokio::time::sleep(RETRY).await;
        }
        Err(error) => {
            tracing::warn!(account = %args.key, %error, "an event could not be settled yet");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Decides about one event, and stays with it until that is on disk.
async fn settle(args: AccountArgs, row: SpoolRow) {
    let mut pause = RETRY;
    for tries in 0.. {
        let outcome = match decide(&args, &row, tries).await {
            Ok(outcome) => store(&args, &row, outcome).await,
            Err(again) => Err(again),
        };
        let Err(error) = outcome else { return };
        tracing::warn!(account = %args.key, event = %row.event_key, error, "an event waits");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

async fn store(args: &AccountArgs, row: &SpoolRow, (state, word): (EventState, String)) -> Result<(), String> {
    let row = row.clone();
    let write = move |db: &rusqlite::Connection| spool::settle(db, &row, state, &word);
    args.context.store.write(write).await.map_err(|error| error.to_string())
}

/// What becomes of an event, in a word. The error passes: it is tried again.
async fn decide(args: &AccountArgs, row: &SpoolRow, tries: u32) -> Result<(EventState, String), String> {
    let done = |word: &str| Ok((EventState::Done, word.to_owned()));
    let inbound = match args.adapter.normalize(&row.raw) {
        Ok(Some(inbound)) => inbound,
        Ok(None) => return done("ignored"),
        Err(error) => {
            tracing::error!(account = %args.key, event = %row.event_key, error, "an event cannot be read");
            return Ok((EventState::Failed, error));
        }
    };
    let snapshot = args.context.config.load();
    let access = args.adapter.access(&snapshot, &args.key.account);
    let paired = paired(args, &access, &inbound).await?;
    let by_name = match policy::decide(&access, &inbound.chat, &inbound.sender.id, inbound.mentioned, &paired) {
        Verdict::Allow { by_name, .. } => by_name,
        Verdict::Block { reason } => return done(&refused(args, &inbound, &access, reason)),
        Verdict::Pair => return pair(args, row, &inbound, &access).await,
        Verdict::NotMentioned => {
            tracing::info!(event = "unmentioned", "{}: drop group message (mention required)", args.key.channel);
            return done("mention required");
        }
    };
    if inbound.text.trim().is_empty() {
        return done("empty");
    }
    hand_over(args, row, &inbound, by_name, tries).await
}

/// Senders whom an operator has let in. Groups are not theirs.
async fn paired(args: &AccountArgs, access: &policy::Access, inbound: &Inbound) -> Result<Vec<String>, String> {
    if access.dm_policy != DmPolicy::Pairing || inbound.chat != Chat::Direct {
        return Ok(Vec::new());
    }
    let key = args.key.clone();
    let read = move |db: &_| store::pairing::approved(db, &key.channel, &key.account);
    args.context.store.read(read).await.map_err(|error| error.to_string())
}

/// What a stranger says is not kept: he is told once how to be let in.
async fn pair(
    args: &AccountArgs,
    row: &SpoolRow,
    inbound: &Inbound,
    access: &policy::Access,
) -> Result<(EventState, String), String> {
    let (context, key, stranger) = (Arc::clone(&args.context), args.key.clone(), inbound.clone());
    let (snapshot, source) = (context.config.load(), turn::run_id(&args.key, &row.event_key));
    let write = move |db: &rusqlite::Connection| {
        pairing::ask(db, (&context.channels, &snapshot), (&key, &source), &stranger, now_ms(), rand::random)
    };
    let asked = args.context.store.write(write).await.map_err(|error| error.to_string())?;
    let (channel, sender) = (&args.key.channel, &inbound.sender.id);
    match &asked {
        Asked::Told(rows) => {
            tracing::info!(event = "pairing", "{channel} pairing request sender={sender} account={}", args.key.account);
            args.context.channels.message_stored(rows);
        }
        Asked::Again => tracing::debug!("{channel} pairing request sender={sender}: seen again"),
        Asked::Full => tracing::info!(event = "pairing", "{channel} pairing request sender={sender}: too many wait"),
    }
    Ok((EventState::Done, refused(args, inbound, access, "dm_policy_pairing_required")))
}

/// One line for each refusal, with the words that operators search for.
fn refused(args: &AccountArgs, inbound: &Inbound, access: &policy::Access, reason: &'static str) -> String {
    let (channel, sender) = (&args.key.channel, &inbound.sender.id);
    match &inbound.chat {
        Chat::Direct => tracing::info!(
            event = "blocked",
            reason,
            "Blocked unauthorized {channel} sender {sender} (dmPolicy={})",
            access.dm_policy.as_str()
        ),
        Chat::Group { id } => {
            tracing::info!(event = "blocked", reason, "Blocked {channel} group {id} message from {sender} ({reason})");
        }
    }
    format!("blocked: {reason}")
}

/// Gives the message to its session. Known already: the last try got further than it could say.
async fn hand_over(
    args: &AccountArgs,
    row: &SpoolRow,
    inbound: &Inbound,
    by_name: bool,
    tries: u32,
) -> Result<(EventState, String), String> {
    let context = &args.context;
    let snapshot = context.config.load();
    let agent = default_agent(&snapshot.settings);
    let key = turn::session_key(&args.key, inbound, &agent, &snapshot.settings);
    let access = args.adapter.access(&snapshot, &args.key.account);
    let named = policy::authority(&access, &snapshot.value["commands"], &inbound.sender.id);
    let authority = named.unwrap_or_else(|| turn::authority(inbound, by_name, &snapshot.settings));
    let turn = turn::turn(&args.key, &row.event_key, inbound, authority, now_ms());
    // A try before this one got as far as the session's rows: nothing of it is done twice, no command and no turn.
    let id = turn.run_id.clone();
    let known = context.store.read(move |db| runs::get(db, &id)).await.map_err(|error| error.to_string())?;
    if known.is_some() {
        return Ok((EventState::Done, "accepted".to_owned()));
    }
    match submit::submit(context, &key, turn.clone(), None).await {
        Ok(Submitted::Repeated(_)) => {
            // It is on its way to disk, or whoever had it went down with it: in a moment it is known, or free again.
            if tries >= PATIENCE {
                context.directory.forget(&turn.run_id);
            }
            Err("its message is on its way to disk".to_owned())
        }
        Ok(Submitted::Admitted { admission: Admission::Stopped(_), .. }) => {
            say(args, &key, &turn, STOPPED).await?;
            Ok((EventState::Done, "accepted".to_owned()))
        }
        Ok(Submitted::Admitted { .. }) => Ok((EventState::Done, "accepted".to_owned())),
        Err(SubmitError::Session(SessionError::Refused(error))) => Ok((EventState::Failed, error)),
        Err(error) => Err(error.to_string()),
    }
}

/// Says something in the chat that no turn says.
async fn say(args: &AccountArgs, key: &SessionKey, turn: &Turn, text: &str) -> Result<(), String> {
    let now = now_ms();
    let rows = reply::of_text(&args.context, key, turn, text, now);
    let (stored, answered) = (rows.clone(), step::answered(key, turn, now));
    let write = move |db: &rusqlite::Connection| {
        runs::accept(db, &answered)?;
        step::say(db, &stored)
    };
    args.context.store.write(write).await.map_err(|error| error.to_string())?;
    args.context.channels.message_stored(&rows);
    Ok(())
}
