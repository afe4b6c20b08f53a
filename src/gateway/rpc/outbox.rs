//! `outbox.*`: everything that is to be said in chats, and what became of it.
//!
//! A part is *dead* when it was given up (`failed`), or may have arrived and is therefore not repeated (`unknown`). It is kept
//! and shown, and sent again when an operator says so.

use jiff::Timestamp;
use openclaw_actors::metrics;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::store::outbox::{self, Filter, OutboxRow, SendState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rows::{self, One, SHOWN_CHARS};
use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;

const READ: Access = Access::Operator(Scope::Read);
const ADMIN: Access = Access::Operator(Scope::Admin);

pub const METHODS: &[Method] = &[
    Method::new("outbox.list", READ, |call| Box::pin(list(call))),
    Method::new("outbox.get", READ, |call| Box::pin(get(call))),
    Method::new("outbox.retry", ADMIN, |call| Box::pin(retry(call))),
    Method::new("outbox.drop", ADMIN, |call| Box::pin(drop_item(call))),
];

#[derive(Deserialize)]
struct List {
    state: Option<String>,
    channel: Option<String>,
    limit: Option<u64>,
}

impl Params for List {
    fn check(&self) -> Result<(), String> {
        rows::check_limit(self.limit)
    }
}

/// `{items, counts}`, newest first.
async fn list(call: Call) -> Result<Reply, ErrorShape> {
    let List { state, channel, limit } = call.params()?;
    let state = rows::state(&call, state.as_deref(), SendState::parse, &SendState::ALL.map(SendState::as_str))?;
    let (filter, limit) = (Filter { state, channel }, rows::limit(limit));
    let read = move |db: &_| Ok((outbox::list(db, &filter, limit)?, outbox::counts(db)?));
    let (found, counts) = call.services.context.store.read(read).await.map_err(store_failed)?;
    Ok(rows::page(found.iter().map(|row| item(row, Some(SHOWN_CHARS))).collect(), counts))
}

/// `{item}` with the whole text.
async fn get(call: Call) -> Result<Reply, ErrorShape> {
    let row = one(&call).await?;
    Ok(Reply::Value(json!({ "item": item(&row, None) })))
}

/// Sends a dead part again, with the parts of its message that were given up with it: `{ok, ids}`.
async fn retry(call: Call) -> Result<Reply, ErrorShape> {
    let row = one(&call).await?;
    if !row.state.is_dead() {
        let state = row.state.as_str();
        return Err(ErrorShape::invalid(format!(
            "{} is {state}; only what failed, or may not have arrived, can be sent again",
            row.id
        )));
    }
    let (id, now) = (row.id, Timestamp::now().as_millisecond());
    let revived = call.services.context.store.write(move |db| outbox::revive(db, &id, now)).await;
    let revived = revived.map_err(store_failed)?;
    if revived.iter().any(|row| row.doubt) {
        metrics::delivery_duplicate_risk();
    }
    call.services.context.channels.message_stored(&revived);
    let ids: Vec<&str> = revived.iter().map(|row| row.id.as_str()).collect();
    Ok(Reply::Value(json!({ "ok": true, "ids": ids })))
}

/// Takes a part that waits or is dead off the list, with those of its message after it: `{ok, dropped}`.
async fn drop_item(call: Call) -> Result<Reply, ErrorShape> {
    let row = one(&call).await?;
    if !matches!(row.state, SendState::Pending | SendState::Failed | SendState::Unknown) {
        let state = row.state.as_str();
        return Err(ErrorShape::invalid(format!("{} is {state}; only what waits or is dead can be dropped", row.id)));
    }
    let now = Timestamp::now().as_millisecond();
    let dropped = call.services.context.store.write(move |db| outbox::discard(db, &row, now)).await;
    Ok(Reply::Value(json!({ "ok": true, "dropped": dropped.map_err(store_failed)? })))
}

async fn one(call: &Call) -> Result<OutboxRow, ErrorShape> {
    let One { id } = call.params()?;
    let wanted = id.clone();
    let found = call.services.context.store.read(move |db| outbox::get(db, &wanted)).await.map_err(store_failed)?;
    found.ok_or_else(|| rows::unknown("outbox", &id))
}

/// A row; `chars` bounds the text.
fn item(row: &OutboxRow, chars: Option<usize>) -> Value {
    let body: Value = serde_json::from_str(&row.body).unwrap_or_default();
    let receipt: Value = row.receipt.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let text = body["text"].as_str().map(|text| rows::cut(text, chars));
    json!({
        "id": row.id, "channel": row.channel, "accountId": row.account, "to": row.target, "threadId": row.thread,
        "replyToId": row.reply_to, "sessionKey": row.session_key, "runId": row.run_id, "state": row.state.as_str(),
        "attempts": row.attempts, "mayHaveArrived": row.doubt, "queuedAt": row.queued_at,
        "nextAt": row.state.is_open().then_some(row.next_at), "endedAt": row.ended_at, "messageId": receipt["messageId"],
        "error": row.error, "text": text,
    })
}
