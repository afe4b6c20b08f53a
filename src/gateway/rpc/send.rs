//! `send` and `message.action`: a message to a chat that no turn says. It goes through the outbox like every answer, and is
//! answered when the platform has taken it; the same key again tells what became of the first.

use std::time::Duration;

use jiff::Timestamp;
use openclaw_actors::delivery::{Message, Route};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::{Params, invalid};
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::store::outbox::{self, OutboxRow, SendState};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;

const WRITE: Access = Access::Operator(Scope::Write);
/// How long a caller waits for the platform; the message itself waits longer.
const WAIT_LIMIT: Duration = Duration::from_secs(25);

pub const METHODS: &[Method] = &[
    Method::new("send", WRITE, |call| Box::pin(send(call))),
    Method::new("message.action", WRITE, |call| Box::pin(action(call))),
];

/// What is sent where. Keys of the method that this release does not have are refused, not dropped.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sending {
    #[serde(alias = "target")]
    to: String,
    #[serde(default, alias = "text")]
    message: String,
    channel: Option<String>,
    account_id: Option<String>,
    reply_to_id: Option<String>,
    thread_id: Option<String>,
    session_key: Option<String>,
    idempotency_key: String,
    media_url: Option<String>,
    #[serde(default)]
    media_urls: Vec<String>,
}

impl Params for Sending {
    fn check(&self) -> Result<(), String> {
        if self.media_url.is_some() || !self.media_urls.is_empty() {
            return Err("media cannot be sent in this release".to_owned());
        }
        if self.message.trim().is_empty() {
            return Err("text or media is required".to_owned());
        }
        if self.to.trim().is_empty() || self.idempotency_key.trim().is_empty() {
            return Err("to and idempotencyKey must not be empty".to_owned());
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    channel: String,
    action: String,
    #[serde(default)]
    params: serde_json::Map<String, Value>,
    account_id: Option<String>,
    session_key: Option<String>,
    idempotency_key: String,
}

impl Params for Action {}

/// `{runId, messageId, channel, conversationId}`
async fn send(call: Call) -> Result<Reply, ErrorShape> {
    let sending: Sending = call.params()?;
    let row = deliver(&call, &sending).await?;
    Ok(Reply::Value(json!({
        "runId": sending.idempotency_key, "messageId": message_id(&row), "channel": row.channel,
        "conversationId": row.target,
    })))
}

/// The result of the action; of this release there is one, `send`: `{channel, to, via, mediaUrl, result}`.
async fn action(call: Call) -> Result<Reply, ErrorShape> {
    let asked: Action = call.params()?;
    if asked.action != "send" {
        let text = format!("action {} is not in this release; `send` is", asked.action);
        return Err(invalid(call.method, &text));
    }
    let mut params = asked.params;
    params.insert("channel".into(), json!(asked.channel));
    params.insert("idempotencyKey".into(), json!(asked.idempotency_key));
    for (key, value) in [("accountId", asked.account_id), ("sessionKey", asked.session_key)] {
        params.extend(value.map(|value| (key.to_owned(), json!(value))));
    }
    let sending: Sending =
        serde_json::from_value(params.into()).map_err(|error| invalid(call.method, &format!("at /params: {error}")))?;
    sending.check().map_err(|problem| invalid(call.method, &problem))?;
    let row = deliver(&call, &sending).await?;
    Ok(Reply::Value(json!({
        "channel": row.channel, "to": row.target, "via": "direct", "mediaUrl": null,
        "result": { "messageId": message_id(&row), "runId": sending.idempotency_key },
    })))
}

/// Queues the message and waits for its end: its last part, as it was sent.
async fn deliver(call: &Call, sending: &Sending) -> Result<OutboxRow, ErrorShape> {
    let context = &call.services.context;
    let route = route(call, sending)?;
    let source = format!("send:{}", sending.idempotency_key);
    let message = Message { source: &source, route: &route, session_key: sending.session_key.as_deref(), run_id: None };
    let now = Timestamp::now().as_millisecond();
    let rows = context.channels.rows(message, &sending.message, &call.services.config.load(), now);
    let last =
        rows.last().map(|row| row.id.clone()).ok_or_else(|| invalid(call.method, "text or media is required"))?;
    let settled = context.channels.settled();
    let stored = rows.clone();
    let write = move |db: &_| stored.iter().try_for_each(|row| outbox::add(db, row).map(drop));
    context.store.write(write).await.map_err(store_failed)?;
    context.channels.message_stored(&rows);
    let ended = tokio::time::timeout(WAIT_LIMIT, wait(call, &last, settled)).await;
    let row = ended.unwrap_or_else(|_| {
        let text = format!("{last} is still on its way; the same idempotencyKey again tells what became of it");
        Err(ErrorShape::retry_after(text, 5_000))
    })?;
    match row.state {
        SendState::Sent => Ok(row),
        state => {
            let error = row.error.as_deref().unwrap_or_default();
            Err(ErrorShape::unavailable(format!(
                "not delivered ({}): {error}; {} in `openclaw outbox`",
                state.as_str(),
                row.id
            )))
        }
    }
}

/// Until the part has come to an end, which it may have already. Whoever misses news looks again.
async fn wait(call: &Call, id: &str, mut settled: Receiver<String>) -> Result<OutboxRow, ErrorShape> {
    loop {
        let wanted = id.to_owned();
        let row = call.services.context.store.read(move |db| outbox::get(db, &wanted)).await.map_err(store_failed)?;
        if let Some(row) = row.filter(|row| !row.state.is_open()) {
            return Ok(row);
        }
        loop {
            match settled.recv().await {
                Ok(news) if news != id => {}
                Ok(_) | Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Err(ErrorShape::unavailable("the gateway goes down")),
            }
        }
    }
}

/// Where it goes: the channel that is named, or the only one there is.
fn route(call: &Call, sending: &Sending) -> Result<Route, ErrorShape> {
    let (channels, snapshot) = (&call.services.context.channels, call.services.config.load());
    let runs = |channel: &str| {
        let accounts = channels.get(channel).map(|adapter| adapter.accounts(&snapshot)).unwrap_or_default();
        accounts.iter().any(|account| account.problem.is_none())
    };
    let id = match &sending.channel {
        Some(id) if id == "webchat" => {
            return Err(invalid(call.method, "unsupported channel: webchat (internal-only). Use chat.send"));
        }
        Some(id) => id.clone(),
        None => {
            let mut ready = channels.all().iter().map(|adapter| adapter.id()).filter(|id| runs(id));
            match (ready.next(), ready.next()) {
                (Some(only), None) => only.to_owned(),
                (None, _) => return Err(invalid(call.method, "no channel is configured")),
                (Some(_), Some(_)) => return Err(invalid(call.method, "channel is required: several are configured")),
            }
        }
    };
    let route = channels.route(&snapshot, &id, sending.account_id.as_deref(), &sending.to);
    let route = route.map_err(|problem| invalid(call.method, &problem))?;
    Ok(Route { thread: sending.thread_id.clone(), reply_to: sending.reply_to_id.clone(), ..route })
}

fn message_id(row: &OutboxRow) -> Value {
    let receipt: Value = row.receipt.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    receipt["messageId"].clone()
}
