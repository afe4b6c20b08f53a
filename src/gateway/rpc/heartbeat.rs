//! `last-heartbeat`, `set-heartbeats`, `wake`: how the last heartbeat went, whether there are any, and one more.

use jiff::Timestamp;
use openclaw_actors::heartbeat::Source;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::session::SessionKey;
use openclaw_actors::store::heartbeats;
use openclaw_actors::store::system_events::{self, SystemEvent};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Access, Call, Method, Reply};
use crate::gateway::services::{Services, store_failed, unavailable};

pub const METHODS: &[Method] = &[
    Method::new("last-heartbeat", Access::Operator(Scope::Read), |call| Box::pin(last(call))),
    Method::new("set-heartbeats", Access::Operator(Scope::Admin), |call| Box::pin(switch(call))),
    Method::new("wake", Access::Operator(Scope::Write), |call| Box::pin(wake(call))),
];

/// `null` before the first one.
async fn last(call: Call) -> Result<Reply, ErrorShape> {
    let record = call.services.context.store.read(heartbeats::last).await.map_err(store_failed)?;
    Ok(Reply::Value(record.unwrap_or(Value::Null)))
}

#[derive(Deserialize)]
struct Switch {
    enabled: Option<Value>,
}

impl Params for Switch {
    fn check(&self) -> Result<(), String> {
        match self.enabled {
            Some(Value::Bool(_)) => Ok(()),
            _ => Err("enabled (boolean) required".to_owned()),
        }
    }
}

/// For as long as the gateway runs: `{ok, enabled}`.
async fn switch(call: Call) -> Result<Reply, ErrorShape> {
    let Switch { enabled } = call.params()?;
    let enabled = enabled == Some(Value::Bool(true));
    call.services.context.heartbeat.switch(enabled);
    tracing::info!(target: "gateway", enabled, "heartbeats switched by an operator");
    Ok(Reply::Value(json!({ "ok": true, "enabled": enabled })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wake {
    text: String,
    mode: String,
    session_key: Option<String>,
}

impl Params for Wake {
    fn check(&self) -> Result<(), String> {
        match self.mode.as_str() {
            "now" | "next-heartbeat" => Ok(()),
            _ => Err("at /mode: must be equal to constant; at /mode: must match a schema in anyOf".to_owned()),
        }
    }
}

/// Tells a conversation something, and wakes its agent now or leaves that to the clock: `{ok}`.
///
/// The text is on disk before the answer. With a conversation named, its agent is woken there at once: the clock only knows the
/// usual one.
async fn wake(call: Call) -> Result<Reply, ErrorShape> {
    let Wake { text, mode, session_key } = call.params()?;
    if text.trim().is_empty() {
        return Err(ErrorShape::invalid("text required"));
    }
    let context = &call.services.context;
    let named = session_key.as_deref().map(|key| call.services.key(call.method, key)).transpose()?;
    let key = named.clone().unwrap_or_else(|| context.key_rules().main_key());
    tell(&call.services, &key, text.trim().to_owned()).await?;
    if mode == "now" || named.is_some() {
        let source = if mode == "now" { Source::Manual } else { Source::Event };
        context.heartbeat.wake(context.agent_of(&key), named.as_ref(), source).map_err(unavailable)?;
    }
    Ok(Reply::Value(json!({ "ok": true })))
}

/// Keeps a line for the next turn of a conversation.
pub async fn tell(services: &Services, key: &SessionKey, text: String) -> Result<(), ErrorShape> {
    let ts = Timestamp::now().as_millisecond();
    let event = SystemEvent { session_key: key.as_str().to_owned(), text, ts, about: None, trusted: true };
    services.context.store.write(move |db| system_events::add(db, &event).map(drop)).await.map_err(store_failed)
}
