//! Chat platforms: what comes from them, who may write, what is sent to them.
//!
//! parent: root · children: the accounts' group and the keeper, which says what accounts there are · restart: permanent
//!
//! Each configured account is a supervisor of its own, so one that keeps failing stays alone: `transport` listens where the
//! platform does not call, `ingress` takes up what was heard, `sender` says what is in the outbox. An adapter (a folder here) only knows its platform: what an event
//! means, how a text is cut, how one part is sent. Everything else is here once.
//!
//! * `access` – the keys that say who may write
//! * `channel` – what an adapter is, and what it gives and gets
//! * `account` – the supervisor of one account; where it is configured
//! * `keeper` – starts and stops accounts as the configuration says
//! * `transport` – listens to a platform that does not call by itself; `line` is what it holds
//! * `ingress` – from the spool to the session; `turn` makes the turn
//! * `policy` – who may write: one function; `pairing` – how a stranger is let in
//! * `sender` – from the outbox to the platform
//! * `text` – Markdown as plain text with marks, cut into parts
//! * `status` – how all accounts stand

pub mod access;
pub mod account;
pub mod channel;
mod ingress;
mod keeper;
pub mod line;
pub mod pairing;
pub mod policy;
mod sender;
pub mod status;
pub mod telegram;
mod text;
mod transport;
mod turn;
pub mod webhook;

use std::fmt;
use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::broadcast;

pub use account::AccountKey;
pub use channel::Channel;
pub use keeper::child as keeper_child;
use line::Facts;

use crate::config::handle::Snapshot;
use crate::delivery::{self, Message};
use crate::store::outbox::OutboxRow;
use crate::supervision::{Address, Group, SupervisorMsg};
use ingress::IngressMsg;
use keeper::KeeperMsg;
use sender::SenderMsg;

/// Every account that runs.
pub type Accounts = Group<AccountKey, SupervisorMsg>;

/// What everybody may ask of the chat platforms; cheap to clone.
#[derive(Clone)]
pub struct Channels {
    adapters: Arc<[Arc<dyn Channel>]>,
    pub accounts: Accounts,
    keeper: Address<KeeperMsg>,
    senders: Arc<DashMap<AccountKey, Address<SenderMsg>>>,
    ingresses: Arc<DashMap<AccountKey, Address<IngressMsg>>>,
    /// What each account was started with; of one that ended, what it was started with last.
    identities: Arc<DashMap<AccountKey, String>>,
    /// How the lines of those stand that listen by themselves.
    lines: Arc<DashMap<AccountKey, Facts>>,
    settled: broadcast::Sender<String>,
}

/// News of parts that have come to an end; whoever is slower looks into the outbox.
const NEWS: usize = 256;

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.adapters.iter().map(|adapter| adapter.id())).finish()
    }
}

impl Default for Channels {
    fn default() -> Self {
        Self::new(vec![Arc::new(webhook::Webhook::default()), Arc::new(telegram::Telegram::default())])
    }
}

impl Channels {
    pub fn new(adapters: Vec<Arc<dyn Channel>>) -> Self {
        Self {
            adapters: adapters.into(),
            accounts: Accounts::new("accounts"),
            keeper: Address::new("channel-keeper", 1),
            senders: Arc::default(),
            ingresses: Arc::default(),
            identities: Arc::default(),
            lines: Arc::default(),
            settled: broadcast::Sender::new(NEWS),
        }
    }

    /// The adapter of a platform.
    pub fn get(&self, channel: &str) -> Option<&Arc<dyn Channel>> {
        self.adapters.iter().find(|adapter| adapter.id() == channel)
    }

    pub fn all(&self) -> &[Arc<dyn Channel>] {
        &self.adapters
    }

    /// The configuration has changed: accounts may come, go, or have to start again.
    pub fn configuration_changed(&self) {
        let _ = self.keeper.try_send(KeeperMsg::Look); // full: it looks anyway; restarting: it looks when it is back
    }

    /// There is an event in the spool of this account.
    pub fn event_stored(&self, account: &AccountKey) {
        if let Some(ingress) = self.ingresses.get(account) {
            let _ = ingress.try_send(IngressMsg::Look); // as above
        }
    }

    /// There is something in the outbox of these accounts.
    pub fn message_stored(&self, rows: &[OutboxRow]) {
        for row in rows {
            if let Some(sender) = self.senders.get(&AccountKey::new(&row.channel, &row.account)) {
                let _ = sender.try_send(SenderMsg::Look); // as above
            }
        }
    }

    /// Ids of parts that come to an end from now on.
    pub fn settled(&self) -> broadcast::Receiver<String> {
        self.settled.subscribe()
    }

    fn starts_as(&self, account: &AccountKey, identity: String) {
        self.identities.insert(account.clone(), identity);
    }

    fn has_identity(&self, account: &AccountKey, identity: &str) -> bool {
        self.identities.get(account).is_some_and(|own| *own == identity)
    }

    fn part_settled(&self, id: &str) {
        let _ = self.settled.send(id.to_owned()); // nobody may be waiting
    }

    /// The chat of this name, through the account of this name or, if none is named, the usual one. The error says what does
    /// not fit.
    pub fn route(
        &self,
        snapshot: &Snapshot,
        channel: &str,
        account: Option<&str>,
        to: &str,
    ) -> Result<delivery::Route, String> {
        let adapter = self.get(channel).ok_or_else(|| format!("unsupported channel: {channel}"))?;
        let accounts = adapter.accounts(snapshot);
        let mut fit = accounts.iter().filter(|found| found.problem.is_none());
        let found = match account {
            Some(wanted) => fit.find(|found| found.id == wanted),
            None => fit.clone().find(|found| found.id == "default").or_else(|| fit.next()),
        };
        let found = found.ok_or_else(|| {
            let key = AccountKey::new(channel, account.unwrap_or("default"));
            format!("{key} does not run; `openclaw channels status` says why")
        })?;
        let target = adapter.target(to)?;
        let (channel, account) = (channel.to_owned(), found.id.clone());
        Ok(delivery::Route { channel, account, target, thread: None, reply_to: None })
    }

    /// What a text becomes on its way to a chat. A platform that this release does not have takes nothing.
    pub fn rows(&self, message: Message<'_>, text: &str, snapshot: &Snapshot, now: i64) -> Vec<OutboxRow> {
        let Some(adapter) = self.get(&message.route.channel) else { return Vec::new() };
        let text = text.trim();
        if text.is_empty() {
            return Vec::new();
        }
        delivery::rows(message, adapter.render(text, snapshot, &message.route.account), now)
    }
}
