//! `spool.*`: every event that a chat platform has handed over, and what was made of it.
//!
//! An event is *failed* when nobody could make sense of it. It is kept, with everything that the platform said, and taken up
//! again when an operator says so: what its earlier tries got done, a turn or a command, is not done again.

use openclaw_actors::channels::AccountKey;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::store::spool::{self, EventState, Filter, SpoolRow};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rows::{self, One, SHOWN_CHARS};
use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;

const READ: Access = Access::Operator(Scope::Read);
const ADMIN: Access = Access::Operator(Scope::Admin);

pub const METHODS: &[Method] = &[
    Method::new("spool.list", READ, |call| Box::pin(list(call))),
    Method::new("spool.get", READ, |call| Box::pin(get(call))),
    Method::new("spool.retry", ADMIN, |call| Box::pin(retry(call))),
    Method::new("spool.drop", ADMIN, |call| Box::pin(drop_item(call))),
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
    let state = rows::state(&call, state.as_deref(), EventState::parse, &EventState::ALL.map(EventState::as_str))?;
    let (filter, limit) = (Filter { state, channel }, rows::limit(limit));
    let read = move |db: &_| Ok((spool::list(db, &filter, limit)?, spool::counts(db)?));
    let (found, counts) = call.services.context.store.read(read).await.map_err(store_failed)?;
    Ok(rows::page(found.iter().map(|row| item(row, Some(SHOWN_CHARS))).collect(), counts))
}

/// `{item}` with everything that the platform said, as far as it is kept.
async fn get(call: Call) -> Result<Reply, ErrorShape> {
    let row = one(&call).await?;
    Ok(Reply::Value(json!({ "item": item(&row, None) })))
}

/// Has a failed event taken up again: `{ok}`.
async fn retry(call: Call) -> Result<Reply, ErrorShape> {
    let row = one(&call).await?;
    if row.state != EventState::Failed {
        let (id, state) = (row.id(), row.state.as_str());
        return Err(ErrorShape::invalid(format!("{id} is {state}; only a failed one can be tried again")));
    }
    let account = AccountKey::new(&row.channel, &row.account);
    let revived = call.services.context.store.write(move |db| spool::revive(db, &row)).await.map_err(store_failed)?;
    call.services.context.channels.event_stored(&account);
    Ok(Reply::Value(json!({ "ok": revived })))
}

/// Gives up an event that waits or has failed: `{ok, dropped}`.
async fn drop_item(call: Call) -> Result<Reply, ErrorShape> {
    let row = one(&call).await?;
    if row.state == EventState::Done {
        return Err(ErrorShape::invalid(format!("{} is done; there is nothing to drop", row.id())));
    }
    let dropped = call.services.context.store.write(move |db| spool::discard(db, &row)).await.map_err(store_failed)?;
    Ok(Reply::Value(json!({ "ok": true, "dropped": dropped })))
}

async fn one(call: &Call) -> Result<SpoolRow, ErrorShape> {
    let One { id } = call.params()?;
    let wanted = id.clone();
    let found = call.services.context.store.read(move |db| spool::find(db, &wanted)).await.map_err(store_failed)?;
    found.ok_or_else(|| rows::unknown("spool", &id))
}

/// A row; `chars` bounds what the platform said.
fn item(row: &SpoolRow, chars: Option<usize>) -> Value {
    json!({
        "id": row.id(), "channel": row.channel, "accountId": row.account, "lane": row.lane, "state": row.state.as_str(),
        "receivedAt": row.received_at, "attempts": row.attempts, "outcome": row.outcome, "raw": rows::cut(&row.raw, chars),
    })
}
