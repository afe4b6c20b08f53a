//! `outbox.*`: everything that is to be said in chats, and what became of it.
//!
//! A part is *dead* when it was given up (`failed`), or may have arrived and is therefore not repeated (`unknown`). It is kept
//! and shown, and sent again when an operator says so.

use jiff::Timestamp;
use openclaw_actors::metrics;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::{self, Params, invalid};
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::store::outbox::{self, Filter, OutboxRow, SendState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;

/// Rows of one list.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 500;
/// Characters of a message that a list shows.
const SHOWN_CHARS: usize = 120;

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
        params::range("limit", self.limit, 1, LIMIT_MAX)
    }
}

#[derive(Deserialize)]
struct One {
    id: String,
}

impl Params for One {}

/// `{items, counts}`, newest first.
async fn list(call: Call) -> Result<Reply, ErrorShape> {
    let List { state, channel, limit } = call.params()?;
    let words = || SendState::ALL.map(SendState::as_str).join(", ");
    let state = match state.as_deref() {
        None => None,
        Some(word) => Some(
            SendState::parse(word)
                .ok_or_else(|| invalid(call.method, &format!("at /state: must be one of {}", words())))?,
        ),
    };
    let limit = u32::try_from(limit.unwrap_or(LIMIT)).unwrap_or(u32::MAX);
    let filter = Filter { state, channel };
    let read = move |db: &_| Ok((outbox::list(db, &filter, limit)?, outbox::counts(db)?));
    let (rows, counts) = call.services.context.store.read(read).await.map_err(store_failed)?;
    let items: Vec<Value> = rows.iter().map(|row| item(row, Some(SHOWN_CHARS))).collect();
    let counts: serde_json::Map<String, Value> =
        counts.into_iter().map(|(state, count)| (state, json!(count))).collect();
    Ok(Reply::Value(json!({ "items": items, "counts": counts })))
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
    found.ok_or_else(|| {
        ErrorShape::invalid(format!("unknown outbox item {id}; `openclaw outbox list` shows what there is"))
    })
}

/// A row; `chars` bounds the text.
fn item(row: &OutboxRow, chars: Option<usize>) -> Value {
    let body: Value = serde_json::from_str(&row.body).unwrap_or_default();
    let receipt: Value = row.receipt.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let text = body["text"].as_str().map(|text| match chars {
        Some(chars) if text.chars().count() > chars => text.chars().take(chars).chain(['…']).collect(),
        _ => text.to_owned(),
    });
    json!({
        "id": row.id, "channel": row.channel, "accountId": row.account, "to": row.target, "threadId": row.thread,
        "replyToId": row.reply_to, "sessionKey": row.session_key, "runId": row.run_id, "state": row.state.as_str(),
        "attempts": row.attempts, "mayHaveArrived": row.doubt, "queuedAt": row.queued_at,
        "nextAt": row.state.is_open().then_some(row.next_at), "endedAt": row.ended_at, "messageId": receipt["messageId"],
        "error": row.error, "text": text,
    })
}
