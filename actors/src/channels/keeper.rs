//! The keeper: has exactly those accounts running that the configuration wants, as it wants them.
//!
//! parent: channels, after the accounts (rest for one: it starts again with them) · children: the task of one round ·
//! restart: permanent

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::account::AccountKey;
use crate::run::context::Context;
use crate::store::{outbox, spool};
use crate::supervision::task::{self, Task, TaskEnd, Timer};
use crate::supervision::{Branch, Child, ChildSpec, Mail};

/// How long an account may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Pause before an account that did not start is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// What the keeper can be told.
#[derive(Debug)]
pub enum KeeperMsg {
    /// The configuration may want something else now.
    Look,
    /// Whether something is to be tried again.
    Looked(TaskEnd<bool>),
}

struct KeeperActor;

struct KeeperState {
    context: Arc<Context>,
    looking: Option<Task>,
    again: bool,
    next_look: Option<Timer>,
}

type Me = ActorRef<Mail<KeeperMsg>>;

/// The keeper as a child of the channels' supervisor.
pub fn child(context: Arc<Context>, spec: ChildSpec) -> Child {
    Child::leaf(spec, context.channels.keeper.clone(), context, || KeeperActor)
}

impl Actor for KeeperActor {
    type Msg = Mail<KeeperMsg>;
    type State = KeeperState;
    type Arguments = Arc<Context>;

    async fn pre_start(&self, me: Me, context: Arc<Context>) -> Result<KeeperState, ActorProcessingErr> {
        let mut state = KeeperState { context, looking: None, again: false, next_look: None };
        state.look(&me);
        Ok(state)
    }

    async fn handle(&self, me: Me, mail: Self::Msg, state: &mut KeeperState) -> Result<(), ActorProcessingErr> {
        match mail.open().await? {
            Some(KeeperMsg::Look) => state.look(&me),
            Some(KeeperMsg::Looked(TaskEnd::Panicked(message))) => return Err(message.into()),
            Some(KeeperMsg::Looked(TaskEnd::Done(unfinished))) => {
                state.looking = None;
                if std::mem::take(&mut state.again) {
                    state.look(&me);
                } else if unfinished {
                    let due = me.send_after(RETRY, || Mail::own(KeeperMsg::Look));
                    state.next_look = Some(Timer::of(&due));
                }
            }
            None => {}
        }
        Ok(())
    }
}

impl KeeperState {
    fn look(&mut self, me: &Me) {
        if self.looking.is_some() {
            self.again = true;
            return;
        }
        self.next_look = None;
        let (context, me) = (Arc::clone(&self.context), me.clone());
        self.looking = Some(task::spawn_reporting("channel-keeper", round(context), move |end| {
            let _ = me.send_message(Mail::own(KeeperMsg::Looked(end))); // gone only when the task was aborted
        }));
    }
}

/// Accounts, with the identity of each.
type Identities = BTreeMap<AccountKey, String>;

/// Messages of an account that the configuration does not want any more wait for it, and somebody should know.
async fn tell_of_orphans(context: &Context, wanted: &Identities) {
    let read = |db: &rusqlite::Connection| Ok((spool::pending_accounts(db)?, outbox::open_accounts(db)?));
    let Ok((heard, unsaid)) = context.store.read(read).await else { return };
    for (channel, account) in heard.into_iter().chain(unsaid) {
        let key = AccountKey { channel, account };
        if !wanted.contains_key(&key) {
            tracing::error!(account = %key, "messages wait for an account that does not run; `openclaw channels status` says why");
        }
    }
}

/// What the configuration wants, by account, with the identity of each.
fn wanted(context: &Context) -> Identities {
    let snapshot = context.config.load();
    let of = |adapter: &Arc<dyn super::Channel>| {
        let channel = adapter.id();
        let accounts = adapter.accounts(&snapshot).into_iter();
        let fit = accounts.filter(|account| account.problem.is_none());
        fit.map(move |account| (AccountKey::new(channel, &account.id), account.identity)).collect::<Vec<_>>()
    };
    context.channels.all().iter().flat_map(of).collect()
}

/// Stops what is not wanted, or not like this, and starts what is; `true` when something has to be tried again. What there
/// is says the accounts' group, so a keeper that was restarted knows as much as the one before. In safe mode accounts wait
/// for its end.
async fn round(context: Arc<Context>) -> bool {
    context.safe_mode.lifted().await;
    let wanted = wanted(&context);
    let accounts = &context.channels.accounts;
    let Ok(rows) = accounts.children().await else { return true };
    let mut settled: Vec<AccountKey> = Vec::new();
    for row in rows {
        let Some(key) = AccountKey::of_name(&row.name) else { continue };
        let as_wanted = wanted.get(&key).is_some_and(|identity| context.channels.has_identity(&key, identity));
        let by_hand = row.node.state == "stopped" && wanted.contains_key(&key);
        if as_wanted || by_hand {
            settled.push(key); // who was stopped by hand is started by hand
            continue;
        }
        let in_time = accounts.remove(key.clone(), STOP_LIMIT).await;
        tracing::info!(account = %key, in_time, "channel account stopped");
    }
    tell_of_orphans(&context, &wanted).await;
    let mut unfinished = false;
    for key in wanted.into_keys().filter(|key| !settled.contains(key)) {
        match accounts.get_or_start(key.clone()).await {
            Ok(_) => tracing::info!(account = %key, "channel account started"),
            Err(error) => {
                tracing::error!(account = %key, error, "channel account did not start");
                unfinished = true;
            }
        }
    }
    unfinished
}
