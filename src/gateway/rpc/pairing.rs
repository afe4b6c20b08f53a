//! `channels.pairing.*`: strangers who have written, and letting them in.

use jiff::Timestamp;
use openclaw_actors::channels::pairing::{self, TTL_MS, WAITING_MAX};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::store::pairing::PairingRow;
use openclaw_actors::store::{self, outbox};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;

const PAIRING: Access = Access::Operator(Scope::Pairing);

pub const METHODS: &[Method] = &[
    Method::new("channels.pairing.list", PAIRING, |call| Box::pin(list(call))),
    Method::new("channels.pairing.approve", PAIRING, |call| Box::pin(approve(call))),
    Method::new("channels.pairing.dismiss", PAIRING, |call| Box::pin(dismiss(call))),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    channel: Option<String>,
    account_id: Option<String>,
}

impl Params for List {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    channel: Option<String>,
    account_id: Option<String>,
    code: String,
    #[serde(default)]
    notify: bool,
}

impl Params for One {
    fn check(&self) -> Result<(), String> {
        if self.code.trim().is_empty() { Err("code must not be empty".to_owned()) } else { Ok(()) }
    }
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// `{accounts, requests, commandOwnerConfigured, limits}`, the first request first.
async fn list(call: Call) -> Result<Reply, ErrorShape> {
    let List { channel, account_id } = call.params()?;
    let (context, now) = (&call.services.context, now_ms());
    let rows = context.store.read(move |db| pairing::waiting(db, now)).await.map_err(store_failed)?;
    let is_asked = |row: &&PairingRow| {
        channel.as_ref().is_none_or(|name| *name == row.channel)
            && account_id.as_ref().is_none_or(|id| *id == row.account)
    };
    let requests: Vec<Value> = rows.iter().filter(is_asked).map(|row| request(&call, row)).collect();
    let snapshot = call.services.config.load();
    let accounts = context.channels.all().iter().flat_map(|adapter| {
        let ids = adapter.accounts(&snapshot).into_iter();
        ids.map(|account| json!({ "channel": adapter.id(), "accountId": account.id })).collect::<Vec<_>>()
    });
    let owners = snapshot.value["commands"]["ownerAllowFrom"].as_array().is_some_and(|owners| !owners.is_empty());
    Ok(Reply::Value(json!({
        "accounts": accounts.collect::<Vec<_>>(), "requests": requests, "commandOwnerConfigured": owners,
        "limits": { "pendingPerAccount": WAITING_MAX, "ttlMs": TTL_MS },
    })))
}

fn request(call: &Call, row: &PairingRow) -> Value {
    let adapter = call.services.context.channels.get(&row.channel);
    json!({
        "requestId": row.code, "code": row.code, "channel": row.channel,
        "channelLabel": adapter.map_or(row.channel.as_str(), |adapter| adapter.about().label),
        "accountId": row.account, "senderId": row.sender, "senderLabel": row.label, "createdAt": row.created_at,
        "lastSeenAt": row.last_seen_at, "expiresAt": row.created_at + TTL_MS, "notifySupported": true,
    })
}

/// `{ok, channel, accountId, senderId}`. `notify`: the stranger is told.
async fn approve(call: Call) -> Result<Reply, ErrorShape> {
    let One { channel, account_id, code, notify } = call.params()?;
    let (context, snapshot, now) = (&call.services.context, call.services.config.load(), now_ms());
    let (channels, wanted, of) = (context.channels.clone(), code.clone(), (channel.clone(), account_id));
    let write = move |db: &store::Connection| {
        let Some(row) = pairing::approve(db, of.0.as_deref(), of.1.as_deref(), &wanted, now)? else {
            return Ok(None);
        };
        let told = if notify { pairing::welcome(&channels, &snapshot, &row, now) } else { Vec::new() };
        told.iter().try_for_each(|row| outbox::add(db, row).map(drop))?;
        Ok(Some((row, told)))
    };
    let approved = context.store.write(write).await.map_err(store_failed)?;
    let (row, told) = approved.ok_or_else(|| unknown(&code, channel.as_deref()))?;
    context.channels.message_stored(&told);
    tracing::info!(channel = %row.channel, account = %row.account, sender = %row.sender, "pairing approved");
    Ok(Reply::Value(json!({ "ok": true, "channel": row.channel, "accountId": row.account, "senderId": row.sender })))
}

/// Forgets a request: `{ok}`. The stranger may ask again.
async fn dismiss(call: Call) -> Result<Reply, ErrorShape> {
    let One { channel, account_id, code, .. } = call.params()?;
    let (wanted, of, now) = (code.clone(), (channel.clone(), account_id), now_ms());
    let write = move |db: &store::Connection| match pairing::find(db, of.0.as_deref(), of.1.as_deref(), &wanted, now)? {
        Some(row) => store::pairing::remove(db, &row),
        None => Ok(false),
    };
    match call.services.context.store.write(write).await.map_err(store_failed)? {
        true => Ok(Reply::Value(json!({ "ok": true }))),
        false => Err(unknown(&code, channel.as_deref())),
    }
}

fn unknown(code: &str, channel: Option<&str>) -> ErrorShape {
    let of = channel.map(|channel| format!(" --channel {channel}")).unwrap_or_default();
    ErrorShape::invalid(format!(
        "No pending pairing request found for code \"{code}\". Run openclaw pairing list{of} to list pending requests."
    ))
}
