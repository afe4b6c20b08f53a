//! `heartbeat`: its keys, and what they mean for each agent.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::hours::{Hours, HoursKeys};
use crate::config::duration;
use crate::config::handle::Snapshot;
use crate::run::context::{agents, default_agent};
use crate::session::AgentId;

/// From one beat to the next when nothing else is said.
const EVERY: Duration = Duration::from_secs(30 * 60);
/// A bare number counts these.
const MINUTE: Duration = Duration::from_secs(60);
/// Nobody is woken more often by the clock.
const EVERY_MIN: Duration = Duration::from_secs(1);
/// Characters beside the token that are no alert.
const ACK_MAX: usize = 300;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Keys {
    every: Option<String>,
    target: Option<String>,
    to: Option<String>,
    account_id: Option<String>,
    prompt: Option<String>,
    ack_max_chars: Option<usize>,
    active_hours: Option<HoursKeys>,
    isolated_session: bool,
    session: Option<String>,
    direct_policy: DirectPolicy,
    model: Option<String>,
    timeout_seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DirectPolicy {
    #[default]
    Allow,
    Block,
}

/// Who hears of what a heartbeat finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Nobody,
    /// Whoever wrote last.
    Last,
    Channel(String),
}

impl Target {
    /// As in the configuration.
    pub fn word(&self) -> &str {
        match self {
            Self::Nobody => "none",
            Self::Last => "last",
            Self::Channel(channel) => channel,
        }
    }
}

/// How one agent beats.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    pub agent: AgentId,
    /// `None`: the clock does not wake it; events and people still do.
    pub every: Option<Duration>,
    pub target: Target,
    /// Chat of the platform.
    pub to: Option<String>,
    pub account: Option<String>,
    /// Instead of the built-in one.
    pub prompt: Option<String>,
    pub ack_max: usize,
    pub hours: Option<Hours>,
    /// A new conversation each time.
    pub isolated: bool,
    /// Key of the conversation; absent means the agent's main one.
    pub session: Option<String>,
    /// Nothing is said to single persons.
    pub block_direct: bool,
    pub model: Option<String>,
    pub timeout_seconds: Option<u64>,
}

/// Every agent that beats. A block of its own makes an agent beat, and then only those with one; a block of the defaults makes
/// all of them beat; without any block it is the default agent alone.
pub fn beats(snapshot: &Snapshot, user: &TimeZone) -> Vec<Beat> {
    let value = &snapshot.value["agents"];
    let defaults = value["defaults"]["heartbeat"].as_object();
    let own = |agent: &AgentId| {
        let list = value["list"].as_array()?;
        let is_it = |entry: &&Value| entry["id"].as_str().is_some_and(|id| AgentId::slug(id) == *agent);
        list.iter().find(is_it)?["heartbeat"].as_object()
    };
    let all = agents(&snapshot.settings);
    let beating: Vec<AgentId> = if all.iter().any(|agent| own(agent).is_some()) {
        all.into_iter().filter(|agent| own(agent).is_some()).collect()
    } else if defaults.is_some() {
        all
    } else {
        vec![default_agent(&snapshot.settings)]
    };
    beating.into_iter().map(|agent| beat(merged(defaults, own(&agent)), agent, user)).collect()
}

/// The agent's own keys over those of the defaults.
fn merged(defaults: Option<&Map<String, Value>>, own: Option<&Map<String, Value>>) -> Keys {
    let all = defaults.into_iter().chain(own).flatten().map(|(key, value)| (key.clone(), value.clone()));
    serde_json::from_value(Value::Object(all.collect())).unwrap_or_default() // the schema has refused what cannot be read
}

fn beat(keys: Keys, agent: AgentId, user: &TimeZone) -> Beat {
    let every = match &keys.every {
        None => Some(EVERY),
        Some(text) => duration::parse(text, MINUTE, false),
    };
    let hours = keys.active_hours.as_ref().and_then(|written| {
        let hours = Hours::read(written, user);
        if hours.is_none() {
            tracing::warn!(%agent, "heartbeat.activeHours cannot be read (use HH:MM): the agent is always active");
        }
        hours
    });
    Beat {
        agent,
        every: every.filter(|every| !every.is_zero()).map(|every| every.max(EVERY_MIN)),
        target: match keys.target.as_deref() {
            None | Some("none") => Target::Nobody,
            Some("last") => Target::Last,
            Some(channel) => Target::Channel(channel.to_owned()),
        },
        to: keys.to,
        account: keys.account_id,
        prompt: keys.prompt.filter(|prompt| !prompt.trim().is_empty()),
        ack_max: keys.ack_max_chars.unwrap_or(ACK_MAX),
        hours,
        isolated: keys.isolated_session,
        session: keys.session.filter(|session| session != "main"),
        block_direct: keys.direct_policy == DirectPolicy::Block,
        model: keys.model,
        timeout_seconds: keys.timeout_seconds,
    }
}

/// What people see of heartbeats in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visibility {
    /// That all is well is said, too.
    pub ok: bool,
    pub alerts: bool,
    /// Clients show how the last one went.
    pub indicator: bool,
}

impl Visibility {
    /// Nothing of it would be seen.
    pub fn is_none(self) -> bool {
        !self.ok && !self.alerts && !self.indicator
    }
}

/// The most specific word counts: the account's, the channel's, that of all channels.
pub fn visibility(snapshot: &Snapshot, place: Option<(&str, &str)>) -> Visibility {
    let channels = &snapshot.value["channels"];
    let levels = [
        place.map(|(channel, account)| &channels[channel]["accounts"][account]["heartbeat"]),
        place.map(|(channel, _)| &channels[channel]["heartbeat"]),
        Some(&channels["defaults"]["heartbeat"]),
    ];
    let word =
        |key: &str, default: bool| levels.iter().flatten().find_map(|level| level[key].as_bool()).unwrap_or(default);
    Visibility { ok: word("showOk", false), alerts: word("showAlerts", true), indicator: word("useIndicator", true) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::handle::testing::snapshot;

    fn of(config: Value) -> Vec<Beat> {
        beats(&snapshot(&config), &TimeZone::UTC)
    }

    fn names(beats: &[Beat]) -> Vec<&str> {
        beats.iter().map(|beat| beat.agent.as_str()).collect()
    }

    #[test]
    fn who_beats_follows_from_where_the_blocks_stand() {
        let list = json!([{ "id": "main", "default": true }, { "id": "ops" }]);
        assert_eq!(names(&of(json!({}))), ["main"]);
        assert_eq!(names(&of(json!({ "agents": { "list": list } }))), ["main"]);
        let all = json!({ "agents": { "list": list, "defaults": { "heartbeat": {} } } });
        assert_eq!(names(&of(all)), ["main", "ops"]);
        let own = json!([{ "id": "main", "default": true }, { "id": "ops", "heartbeat": { "every": "1h" } }]);
        let only =
            of(json!({ "agents": { "list": own, "defaults": { "heartbeat": { "every": "5m", "target": "last" } } } }));
        assert_eq!(names(&only), ["ops"]);
        assert_eq!((only[0].every, &only[0].target), (Some(Duration::from_secs(3600)), &Target::Last));
    }

    #[test]
    fn an_interval_is_minutes_unless_it_says_more_and_zero_is_none() {
        for (every, expected) in [
            (json!("30m"), Some(1800)),
            (json!("45"), Some(2700)),
            (json!("0m"), None),
            (json!("0"), None),
            (json!("5ms"), Some(1)),
        ] {
            let beats = of(json!({ "agents": { "defaults": { "heartbeat": { "every": every } } } }));
            assert_eq!(beats[0].every, expected.map(Duration::from_secs), "{every}");
        }
        assert_eq!(of(json!({}))[0].every, Some(EVERY));
    }

    #[test]
    fn the_most_specific_level_says_what_is_seen() {
        let config = snapshot(&json!({ "channels": {
            "defaults": { "heartbeat": { "showOk": true, "useIndicator": false } },
            "webhook": { "heartbeat": { "showOk": false },
                         "accounts": { "front": { "secret": "s-1234567890", "heartbeat": { "showAlerts": false } } } },
        } }));
        let seen = |ok, alerts, indicator| Visibility { ok, alerts, indicator };
        assert_eq!(visibility(&config, None), seen(true, true, false));
        assert_eq!(visibility(&config, Some(("telegram", "default"))), seen(true, true, false));
        assert_eq!(visibility(&config, Some(("webhook", "front"))), seen(false, false, false));
        assert!(visibility(&config, Some(("webhook", "front"))).is_none());
    }
}
