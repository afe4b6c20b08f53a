//! Where the result of a run goes, and what is said there.

use super::job::{Delivery, DeliveryMode, DeliveryStatus, Destination, Job};
use crate::channels::Channels;
use crate::config::handle::Snapshot;
use crate::delivery::Route;
use crate::run::context::Context;
use crate::session::{AgentId, SessionEntry, lookup};

const NOT_SPOKEN_TO: &str = "nobody has spoken to the agent's main session in a chat yet; name a chat with delivery.channel and \
                             delivery.to, or set delivery.mode to none";

/// What becomes of the result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    NotRequested,
    /// It is said there.
    Say(Route),
    /// It cannot be said. `fails`: then the run is an error.
    Nowhere {
        error: String,
        fails: bool,
    },
}

impl Plan {
    pub fn status(&self) -> DeliveryStatus {
        match self {
            Self::NotRequested => DeliveryStatus::NotRequested,
            Self::Say(_) => DeliveryStatus::Delivered,
            Self::Nowhere { .. } => DeliveryStatus::NotDelivered,
        }
    }
}

/// The agent that a job belongs to.
pub fn agent(context: &Context, job: &Job) -> AgentId {
    let default = || crate::run::context::default_agent(&context.config.load().settings);
    job.agent_id.as_deref().map_or_else(default, AgentId::slug)
}

/// Where somebody spoke to the agent's main session last.
pub async fn last_route(context: &Context, agent: &AgentId) -> Option<Route> {
    let key = context.key_rules().main_key_of(agent);
    let entry = context.store.read(move |db| lookup::entry(db, &key)).await;
    let entry = entry.inspect_err(|error| tracing::warn!(%error, "the last chat cannot be read")).ok()??;
    route_of(&entry)
}

fn route_of(entry: &SessionEntry) -> Option<Route> {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(Route {
        channel: entry.last_channel.clone()?,
        account: entry.last_account_id.clone().unwrap_or_else(|| "default".to_owned()),
        target: entry.last_to.clone()?,
        thread: entry.last_thread_id.as_ref().map(text),
        reply_to: None,
    })
}

/// What becomes of the answer of this job.
pub fn plan(delivery: Option<&Delivery>, channels: &Channels, snapshot: &Snapshot, last: Option<&Route>) -> Plan {
    let Some(delivery) = delivery.filter(|delivery| delivery.mode == DeliveryMode::Announce) else {
        return Plan::NotRequested;
    };
    let to = Destination {
        channel: delivery.channel.clone(),
        to: delivery.to.clone(),
        account_id: delivery.account_id.clone(),
        mode: None,
    };
    match destination(&to, channels, snapshot, last) {
        Ok(route) => {
            let thread = delivery.thread_id.as_ref().map(ToString::to_string);
            Plan::Say(Route { thread: thread.or(route.thread), ..route })
        }
        Err(error) => Plan::Nowhere { error, fails: delivery.best_effort != Some(true) },
    }
}

/// The chat of a destination. The error says what is missing.
pub fn destination(
    to: &Destination,
    channels: &Channels,
    snapshot: &Snapshot,
    last: Option<&Route>,
) -> Result<Route, String> {
    let named = to.channel.as_deref().filter(|channel| *channel != "last");
    // `webhook:room` names its channel itself.
    let prefixed =
        to.to.as_deref().and_then(|to| to.split_once(':')).filter(|(channel, _)| channels.get(channel).is_some());
    let (channel, target) = match (named, prefixed) {
        (Some(channel), Some((prefix, target))) if prefix == channel => (Some(channel), Some(target)),
        (None, Some((prefix, target))) => (Some(prefix), Some(target)),
        (channel, _) => (channel, to.to.as_deref()),
    };
    let last = last.filter(|last| channel.is_none_or(|channel| channel == last.channel));
    match (channel.or(last.map(|last| last.channel.as_str())), target, last) {
        (Some(channel), Some(target), _) => channels.route(snapshot, channel, to.account_id.as_deref(), target),
        (_, None, Some(last)) => Ok(last.clone()),
        (Some(channel), None, None) => Err(format!("delivery.to: name the chat of {channel}")),
        (None, ..) => Err(NOT_SPOKEN_TO.to_owned()),
    }
}

/// Where failures of this job are told of.
pub fn failures(
    job: &Job,
    fallback: &Destination,
    channels: &Channels,
    snapshot: &Snapshot,
    last: Option<&Route>,
) -> Plan {
    let own = job.delivery.as_ref().and_then(|delivery| delivery.failure_destination.as_ref());
    let named = own.or(Some(fallback).filter(|fallback| fallback.channel.is_some() || fallback.to.is_some()));
    match named {
        Some(named) if named.mode == Some(DeliveryMode::Webhook) => {
            let error = "failureDestination.mode: webhook is not in this release".to_owned();
            Plan::Nowhere { error, fails: false }
        }
        Some(named) => match destination(named, channels, snapshot, last) {
            Ok(route) => Plan::Say(route),
            Err(error) => Plan::Nowhere { error, fails: false },
        },
        None => plan(job.delivery.as_ref(), channels, snapshot, last),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::env::Env;
    use crate::config::load;
    use crate::config::paths::{self, PathInputs};

    fn snapshot(channels: &Value) -> Snapshot {
        let env = Env::from_iter([("HOME", "/home/u")]);
        let inputs = PathInputs { cwd: "/".into(), ..PathInputs::default() };
        let paths = paths::resolve(&inputs, &env).unwrap();
        let text = json!({ "gateway": { "mode": "local" }, "channels": channels }).to_string();
        load::from_text(Some(text), &Default::default(), &paths, &env).unwrap()
    }

    fn last() -> Route {
        Route { channel: "webhook".into(), account: "front".into(), target: "direct:ada".into(), ..Route::default() }
    }

    #[test]
    fn a_result_goes_where_it_is_said_or_where_somebody_spoke_last() {
        let channels = Channels::default();
        let account = json!({ "secret": "s", "callbackUrl": "http://127.0.0.1:1/in" });
        let snapshot = snapshot(&json!({ "webhook": { "accounts": { "front": account } } }));
        for (delivery, last, expected) in [
            (json!({ "mode": "none" }), Some(last()), Ok(None)),
            (json!({ "mode": "announce" }), Some(last()), Ok(Some("direct:ada"))),
            (json!({ "mode": "announce", "channel": "last" }), Some(last()), Ok(Some("direct:ada"))),
            (json!({ "mode": "announce", "to": "bob" }), Some(last()), Ok(Some("direct:bob"))),
            (json!({ "mode": "announce", "to": "webhook:bob" }), None, Ok(Some("direct:bob"))),
            (json!({ "mode": "announce", "channel": "webhook", "to": "bob" }), None, Ok(Some("direct:bob"))),
            (json!({ "mode": "announce", "channel": "webhook" }), Some(last()), Ok(Some("direct:ada"))),
            (json!({ "mode": "announce", "channel": "webhook" }), None, Err("delivery.to: name the chat of webhook")),
            (json!({ "mode": "announce" }), None, Err(NOT_SPOKEN_TO)),
            (json!({ "mode": "announce", "channel": "discord", "to": "x" }), None, Err("unsupported channel: discord")),
        ] {
            let read: Delivery = serde_json::from_value(delivery.clone()).unwrap();
            let found = match plan(Some(&read), &channels, &snapshot, last.as_ref()) {
                Plan::NotRequested => Ok(None),
                Plan::Say(route) => Ok(Some(route.target)),
                Plan::Nowhere { error, fails } => {
                    assert!(fails);
                    Err(error)
                }
            };
            assert_eq!(found, expected.map(|to| to.map(str::to_owned)).map_err(str::to_owned), "{delivery}");
        }
        let job: Job = serde_json::from_value(json!({
            "id": "j", "name": "n", "enabled": true, "createdAtMs": 0, "updatedAtMs": 0, "sessionTarget": "isolated",
            "schedule": { "kind": "every", "everyMs": 1 }, "wakeMode": "now", "delivery": { "mode": "none" },
            "payload": { "kind": "agentTurn", "message": "m" }
        }))
        .unwrap();
        let told = |job: &Job, fallback: Value| {
            let fallback: Destination = serde_json::from_value(fallback).unwrap();
            match failures(job, &fallback, &channels, &snapshot, Some(&last())) {
                Plan::Say(route) => Some(route.target),
                Plan::NotRequested | Plan::Nowhere { .. } => None,
            }
        };
        assert_eq!(told(&job, json!({})), None, "its results go nowhere, and so do its failures");
        assert_eq!(told(&job, json!({ "to": "ops" })).as_deref(), Some("direct:ops"));
        assert_eq!(told(&job, json!({ "to": "ops", "mode": "webhook" })), None);
        let own = json!({ "mode": "none", "failureDestination": { "channel": "webhook", "to": "carol" } });
        let own = Job { delivery: serde_json::from_value(own).unwrap(), ..job };
        assert_eq!(told(&own, json!({ "to": "ops" })).as_deref(), Some("direct:carol"));
        let effort: Delivery = serde_json::from_value(json!({ "mode": "announce", "bestEffort": true })).unwrap();
        assert!(matches!(plan(Some(&effort), &channels, &snapshot, None), Plan::Nowhere { fails: false, .. }));
    }
}
