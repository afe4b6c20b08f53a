//! The gateway itself: health, who is here, events of machines, its identity, what happened lately.

use std::sync::Arc;

use jiff::Timestamp;
use openclaw_actors::devices::DeviceIdentity;
use openclaw_actors::memory;
use openclaw_actors::presence::{PresenceEntry, PresenceMsg, note};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::params::Params;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::store::journal;
use openclaw_actors::supervision::task;
use serde::Deserialize;
use serde_json::json;

use super::heartbeat;
use super::stability::{self, StabilityParams};
use super::{Access, Call, Method, Reply};
use crate::gateway::services::{ASK_LIMIT, store_failed, unavailable};

const READ: Access = Access::Operator(Scope::Read);

pub const METHODS: &[Method] = &[
    Method::new("health", Access::Anyone, |call| Box::pin(health(call))),
    Method::new("system-presence", READ, |call| Box::pin(system_presence(call))),
    Method::new("system-event", Access::Operator(Scope::Admin), |call| Box::pin(system_event(call))),
    Method::new("gateway.identity.get", READ, |call| Box::pin(identity(call))),
    Method::new("diagnostics.stability", READ, |call| Box::pin(stability(call))),
    Method::new("gateway.resume", Access::Operator(Scope::Admin), |call| Box::pin(resume(call))),
];

#[derive(Deserialize)]
struct HealthParams {
    /// Build the payload anew.
    #[serde(default)]
    probe: bool,
}

impl Params for HealthParams {}

async fn health(call: Call) -> Result<Reply, ErrorShape> {
    let params: HealthParams = call.params()?;
    let report = call.services.health.get(params.probe).await?;
    Ok(Reply::Text(Arc::clone(&report.text)))
}

/// The array itself is the answer.
async fn system_presence(call: Call) -> Result<Reply, ErrorShape> {
    let list = call.services.presence.ask(ASK_LIMIT, PresenceMsg::List).await.map_err(unavailable)?;
    Reply::of(&list)
}

/// Takes the gateway out of safe mode: `{lifted}`.
async fn resume(call: Call) -> Result<Reply, ErrorShape> {
    let lifted = call.services.context.safe_mode.lift();
    if lifted {
        tracing::info!(target: "gateway", "safe mode lifted by an operator");
    }
    Ok(Reply::Value(json!({ "lifted": lifted })))
}

#[derive(Deserialize)]
#[serde(transparent)]
struct SystemEvent(PresenceEntry);

impl Params for SystemEvent {}

/// Reports a machine, or hands in a text for the main session.
///
/// The text is on disk before the answer, and waits there for the next turn of that session. `status` lists what waits.
async fn system_event(call: Call) -> Result<Reply, ErrorShape> {
    let SystemEvent(given) = call.params()?;
    let now = Timestamp::now().as_millisecond();
    let Some(reported) = Reported::read(given, now) else { return Err(ErrorShape::invalid("text required")) };
    if reported.is_news {
        let session = call.services.context.key_rules().main_key();
        heartbeat::tell(&call.services, &session, reported.entry.text.clone().unwrap_or_default()).await?;
    }
    let changed = PresenceMsg::Changed { key: reported.key, entry: reported.entry };
    call.services.presence.try_send(changed).map_err(unavailable)?;
    Ok(Reply::Value(json!({ "ok": true })))
}

/// A system event as it is understood.
struct Reported {
    /// Whose presence it is.
    key: String,
    entry: PresenceEntry,
    /// For the main session too, not only a sign of life.
    is_news: bool,
}

impl Reported {
    /// Fields that were given win over those in the text. `None` without a text.
    fn read(given: PresenceEntry, now: i64) -> Option<Self> {
        let text = given.text.as_deref().map(str::trim).filter(|text| !text.is_empty())?.to_owned();
        let machine = note::parse(&text);
        let is_machine = machine.is_some();
        let parsed = machine.unwrap_or_default();
        let entry = PresenceEntry {
            host: given.host.or(parsed.host),
            ip: given.ip.or(parsed.ip),
            version: given.version.or(parsed.version),
            mode: given.mode.or(parsed.mode),
            last_input_seconds: given.last_input_seconds.or(parsed.last_input_seconds),
            reason: given.reason.or(parsed.reason),
            text: Some(text.clone()),
            ts: now,
            ..given
        };
        let named = [&entry.device_id, &entry.instance_id, &entry.host, &entry.ip];
        let key = named.into_iter().flatten().find(|name| !name.is_empty()).cloned();
        let is_news = !is_machine || note::is_news(entry.reason.as_deref());
        Some(Self { key: key.unwrap_or_else(|| text.chars().take(64).collect()), entry, is_news })
    }
}

/// The key of this machine, which its own client commands share.
async fn identity(call: Call) -> Result<Reply, ErrorShape> {
    let state_dir = call.services.state_dir.clone();
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
    let load = move || DeviceIdentity::load_or_create(&state_dir, now, rand::random);
    let loaded = task::blocking(load).await.map_err(ErrorShape::unavailable)?;
    let identity = loaded.map_err(|error| ErrorShape::unavailable(error.to_string()))?;
    Ok(Reply::Value(json!({ "deviceId": identity.device_id(), "publicKey": identity.public_key() })))
}

async fn stability(call: Call) -> Result<Reply, ErrorShape> {
    let params: StabilityParams = call.params()?;
    let read = |db: &_| journal::list(db, 0, None, stability::CAPACITY);
    let entries = call.services.context.store.read(read).await.map_err(store_failed)?;
    let usage = task::blocking(memory::usage_now).await.ok().flatten();
    let memory = usage.map(|usage| (usage, call.services.context.pressure.count()));
    Ok(Reply::Value(stability::answer(&entries, &params, memory, Timestamp::now())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(params: serde_json::Value) -> Option<Reported> {
        Reported::read(serde_json::from_value(params).unwrap(), 7)
    }

    #[test]
    fn a_text_is_needed() {
        assert!(read(json!({})).is_none() && read(json!({ "text": "  ", "host": "h" })).is_none());
    }

    #[test]
    fn a_machine_report_is_news_unless_it_only_says_that_it_is_alive() {
        let text = "Node: study (10.0.0.7) · app 1.2 · last input 5s ago · mode local · reason periodic";
        let periodic = read(json!({ "text": text, "deviceId": "d", "mode": "ui" })).unwrap();
        assert_eq!((periodic.key.as_str(), periodic.is_news), ("d", false));
        let entry = periodic.entry;
        assert_eq!((entry.host.as_deref(), entry.mode.as_deref(), entry.ts), (Some("study"), Some("ui"), 7));
        assert_eq!(entry.text.as_deref(), Some(text));
        assert!(read(json!({ "text": text, "reason": "launch" })).unwrap().is_news);
        assert_eq!(read(json!({ "text": text })).unwrap().key, "study");
    }

    #[test]
    fn any_other_text_is_news_and_names_itself() {
        let plain = read(json!({ "text": " check the oven ", "ts": 99 })).unwrap();
        assert_eq!((plain.key.as_str(), plain.is_news, plain.entry.ts), ("check the oven", true, 7));
    }
}
