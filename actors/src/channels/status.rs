//! How the accounts stand, as `channels.status` and `health` tell it. Everything is read where it is true: the configuration,
//! the tree, the spool and the outbox.

use serde_json::{Map, Value, json};

use super::account::{Account, AccountKey};
use super::line::Facts;
use super::{Channel, Channels};
use crate::config::handle::Snapshot;
use crate::store::{Store, StoreError, outbox, spool};
use crate::supervision::Branch;

/// One account.
#[derive(Debug, Clone)]
pub struct AccountStatus {
    pub account: Account,
    pub running: bool,
    /// Somebody stopped it by hand.
    pub stopped: bool,
    /// Milliseconds since the epoch.
    pub last_inbound_at: Option<i64>,
    pub last_outbound_at: Option<i64>,
    /// Who may write to it.
    pub dm_policy: &'static str,
    pub allow_from: Vec<String>,
    pub mode: &'static str,
    /// Of one that listens by itself and has been started.
    pub line: Option<Facts>,
}

impl AccountStatus {
    /// `healthy`, `disconnected`, `gave-up`, `not-running`, or nothing for one that is not to run.
    fn health(&self) -> Option<&'static str> {
        match (&self.account.problem, self.running) {
            (Some(_), _) => None,
            (None, true) => Some(self.line.as_ref().map_or("healthy", Facts::health)),
            (None, false) => Some("not-running"),
        }
    }

    /// Whoever does not listen by itself is connected while it runs.
    fn is_connected(&self) -> bool {
        self.running && self.line.as_ref().is_none_or(|line| line.connected)
    }

    fn last_error(&self) -> Option<&str> {
        match &self.account.problem {
            Some(problem) => Some(problem),
            None if self.stopped => Some("stopped by an operator"),
            None => self.line.as_ref().and_then(|line| line.last_error.as_deref()),
        }
    }

    fn to_json(&self) -> Value {
        let mut json = json!({
            "accountId": self.account.id, "enabled": self.account.is_enabled(), "configured": self.account.is_configured(),
            "running": self.running, "connected": self.is_connected(), "lastError": self.last_error(),
            "lastInboundAt": self.last_inbound_at, "lastOutboundAt": self.last_outbound_at, "mode": self.mode,
            "dmPolicy": self.dm_policy, "allowFrom": self.allow_from, "healthState": self.health(),
        });
        if let (Some(json), Some(Value::Object(line))) = (json.as_object_mut(), self.line.as_ref().map(Facts::to_json))
        {
            json.extend(line);
        }
        json
    }
}

impl Channels {
    /// Every account of every platform that the configuration names.
    pub async fn status(
        &self,
        store: &Store,
        snapshot: &Snapshot,
    ) -> Result<Vec<(&dyn Channel, Vec<AccountStatus>)>, StoreError> {
        // A group that does not answer has nothing to say: its accounts then count as not running.
        let rows = self.accounts.children().await.unwrap_or_default();
        let state = |key: &AccountKey| {
            let name = key.to_string();
            rows.iter().find(|row| *row.name == *name).map_or("", |row| row.node.state)
        };
        let mut all = Vec::new();
        for adapter in self.all() {
            let channel = adapter.id();
            let mut accounts = Vec::new();
            for account in adapter.accounts(snapshot) {
                let key = AccountKey::new(channel, &account.id);
                let of = key.clone();
                let read = move |db: &_| {
                    let inbound = spool::last_received(db, &of.channel, &of.account)?;
                    Ok((inbound, outbox::last_sent(db, &of.channel, &of.account)?))
                };
                let (last_inbound_at, last_outbound_at) = store.read(read).await?;
                let access = adapter.access(snapshot, &account.id);
                accounts.push(AccountStatus {
                    running: state(&key) == "running",
                    stopped: state(&key) == "stopped",
                    last_inbound_at,
                    last_outbound_at,
                    dm_policy: access.dm_policy.as_str(),
                    allow_from: access.allow_from,
                    mode: adapter.mode(snapshot, &account.id),
                    line: self.lines.get(&key).map(|line| line.clone()).filter(|_| account.problem.is_none()),
                    account,
                });
            }
            if !accounts.is_empty() {
                all.push((&**adapter, accounts));
            }
        }
        Ok(all)
    }
}

/// The payload of `channels.status`, without its time and event loop.
pub fn to_json(status: &[(&dyn Channel, Vec<AccountStatus>)]) -> Map<String, Value> {
    let by_id = |value: &dyn Fn(&dyn Channel, &[AccountStatus]) -> Value| -> Value {
        status.iter().map(|(adapter, accounts)| (adapter.id().to_owned(), value(*adapter, accounts))).collect()
    };
    let meta = |adapter: &dyn Channel| {
        let about = adapter.about();
        json!({ "id": adapter.id(), "label": about.label, "detailLabel": about.detail, "systemImage": about.image })
    };
    Map::from_iter([
        ("channelOrder".to_owned(), status.iter().map(|(adapter, _)| json!(adapter.id())).collect()),
        ("channelLabels".to_owned(), by_id(&|adapter, _| json!(adapter.about().label))),
        ("channelDetailLabels".to_owned(), by_id(&|adapter, _| json!(adapter.about().detail))),
        ("channelSystemImages".to_owned(), by_id(&|adapter, _| json!(adapter.about().image))),
        ("channelMeta".to_owned(), status.iter().map(|(adapter, _)| meta(*adapter)).collect()),
        ("channels".to_owned(), by_id(&|_, accounts| summary(accounts))),
        ("channelAccounts".to_owned(), by_id(&|_, accounts| accounts.iter().map(AccountStatus::to_json).collect())),
        (
            "channelDefaultAccountId".to_owned(),
            by_id(&|_, accounts| json!(accounts.first().map(|first| &first.account.id))),
        ),
    ])
}

/// A platform in one row: it runs if one of its accounts does.
fn summary(accounts: &[AccountStatus]) -> Value {
    let any = |is: fn(&AccountStatus) -> bool| accounts.iter().any(is);
    json!({
        "enabled": any(|status| status.account.is_enabled()), "configured": any(|status| status.account.is_configured()),
        "running": any(|status| status.running), "connected": any(AccountStatus::is_connected),
        "lastError": accounts.iter().find_map(AccountStatus::last_error), "mode": accounts.first().map(|first| first.mode),
    })
}
