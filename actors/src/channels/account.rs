//! One account of a chat platform: a supervisor of what listens, what takes in and what sends, so that none takes the others along,
//! and no account another one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ractor::ActorCell;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::channel::Channel;
use super::{ingress, sender, transport};
use crate::config::handle::Snapshot;
use crate::run::context::Context;
use crate::supervision::group::{BelowFn, SpawnFn};
use crate::supervision::view::join;
use crate::supervision::{
    Address, ChildSpec, GroupSpec, Intensity, Observer, Restart, Strategy, Supervisor, SupervisorArgs, SupervisorMsg,
    spawn_linked,
};

/// Where the accounts' group stands.
pub const PATH: &str = "channels/accounts";
/// Accounts that run at once.
const ACCOUNTS_MAX: usize = 1024;
/// Its children are given up one by one; only a supervisor that cannot start them fails.
const INTENSITY: Intensity = Intensity::new(3, Duration::from_secs(60));

/// The problem of an account that the configuration switches off; why may stand behind it.
pub const DISABLED: &str = "disabled";

/// Which account: `channel:account`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey {
    pub channel: String,
    pub account: String,
}

impl AccountKey {
    pub fn new(channel: &str, account: &str) -> Self {
        Self { channel: channel.to_owned(), account: account.to_owned() }
    }

    /// The key that is displayed like this.
    pub fn of_name(name: &str) -> Option<Self> {
        name.split_once(':').map(|(channel, account)| Self::new(channel, account))
    }
}

impl Account {
    pub fn is_enabled(&self) -> bool {
        !self.problem.as_deref().is_some_and(|problem| problem.starts_with(DISABLED))
    }

    pub fn is_configured(&self) -> bool {
        self.problem.is_none() || !self.is_enabled()
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.channel, self.account)
    }
}

/// An account as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    /// Why it does not run: it begins with [`DISABLED`], or says what is wrong with its keys.
    pub problem: Option<String>,
    /// Changes when the account has to connect anew. Never shown: it may hold a secret.
    pub identity: String,
}

/// The keys of one account: those of the channel, with the account's own over them.
pub fn resolve<T: DeserializeOwned>(snapshot: &Snapshot, channel: &str, account: &str) -> Option<T> {
    let block = snapshot.value.get("channels")?.get(channel)?.as_object()?;
    let own = block.get("accounts").and_then(|accounts| accounts.get(account)).and_then(Value::as_object);
    let base = block.iter().filter(|(key, _)| *key != "accounts");
    let all = base.chain(own.into_iter().flatten());
    let merged: Map<String, Value> = all.map(|(key, value)| (key.clone(), value.clone())).collect();
    serde_json::from_value(Value::Object(merged)).ok()
}

/// The accounts that a channel's block names.
pub fn named(snapshot: &Snapshot, channel: &str) -> Vec<String> {
    let block = snapshot.value.get("channels").and_then(|channels| channels.get(channel));
    let accounts = block.and_then(|block| block.get("accounts")).and_then(Value::as_object);
    accounts.map(|accounts| accounts.keys().cloned().collect()).unwrap_or_default()
}

/// How accounts are started below their group.
pub fn group_spec(context: &Arc<Context>, observer: &Observer) -> GroupSpec<AccountKey, SupervisorMsg> {
    let (shared, seen) = (Arc::clone(context), Arc::clone(observer));
    let spawn: SpawnFn<AccountKey, SupervisorMsg> = Arc::new(move |key, group: ActorCell| {
        let (context, observer) = (Arc::clone(&shared), Arc::clone(&seen));
        Box::pin(async move {
            let failed = |why: String| ractor::SpawnErr::StartupFailed(why.into());
            let adapter = context.channels.get(&key.channel).cloned();
            let adapter = adapter.ok_or_else(|| failed(format!("this release has no channel {}", key.channel)))?;
            let account = configured(&context, &adapter, &key).map_err(failed)?;
            context.channels.starts_as(&key, account.identity);
            let of = AccountArgs { context, key, adapter };
            spawn_linked("account", Supervisor, supervisor(&of, observer), group).await
        })
    });
    let below: BelowFn<SupervisorMsg> = |address| Arc::new(address.clone());
    GroupSpec {
        path: PATH.to_owned(),
        child: crate::supervision::group::member_spec("account", Restart::Transient).shutdown(Duration::from_secs(10)),
        mailbox_cap: 64,
        members_max: ACCOUNTS_MAX,
        spawn: Some(spawn),
        observer: Arc::clone(observer),
        below: Some(below),
    }
}

/// The account as the configuration wants it now.
fn configured(context: &Context, adapter: &Arc<dyn Channel>, key: &AccountKey) -> Result<Account, String> {
    let accounts = adapter.accounts(&context.config.load());
    let account = accounts.into_iter().find(|account| account.id == key.account);
    let account = account.ok_or_else(|| format!("the configuration has no account {key}"))?;
    match &account.problem {
        Some(problem) => Err(format!("the account does not run: {problem}")),
        None => Ok(account),
    }
}

/// What the children of an account are started with.
#[derive(Clone)]
pub struct AccountArgs {
    pub context: Arc<Context>,
    pub key: AccountKey,
    pub adapter: Arc<dyn Channel>,
}

fn supervisor(of: &AccountArgs, observer: Observer) -> SupervisorArgs {
    let channels = &of.context.channels;
    let ingress_address =
        channels.ingresses.entry(of.key.clone()).or_insert_with(|| Address::new("ingress", 1)).clone();
    let sender_address = channels.senders.entry(of.key.clone()).or_insert_with(|| Address::new("sender", 1)).clone();
    let permanent = |kind| ChildSpec::new(kind, Restart::Permanent);
    // What is to be said can be said, and what is heard taken up, as soon as there is something.
    let mut children = vec![
        sender::child(of.clone(), sender_address, permanent("sender")),
        ingress::child(of.clone(), ingress_address, permanent("ingress")),
    ];
    if let Some(transport) = of.adapter.transport() {
        children.push(transport::child(of.clone(), transport, permanent("transport")));
    }
    let path = join(PATH, &of.key.to_string());
    SupervisorArgs { path, strategy: Strategy::OneForOne, intensity: INTENSITY, children, observer }
}
