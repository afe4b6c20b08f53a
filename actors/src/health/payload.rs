//! The `health` payload: facts in, JSON out.
//!
//! Says only what this release does: no plugins. Source: `health` of 2026.5.12, and
//! `configReload` of 2026.9.6, whose shape is closed: how the latest edit was received is in `status`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::event_loop::EventLoop;
use super::sessions::AgentSessions;
use crate::config::duration;
use crate::config::handle::Snapshot;
use crate::config::settings::ReloadMode;
use crate::heartbeat::{Beat, prompt};
use crate::run::context::{agent_entry, default_agent};
use crate::session::AgentId;
use crate::store::sessions::SessionRecord;

/// Everything that a payload is made of.
pub struct Facts<'a> {
    pub snapshot: &'a Snapshot,
    /// The database, which holds the sessions of all agents.
    pub store: &'a Path,
    pub sessions: &'a [AgentSessions],
    pub event_loop: &'a EventLoop,
    /// As `channels.status` has them.
    pub channels: Map<String, Value>,
    /// Every agent that is woken by the clock.
    pub beats: &'a [Beat],
    /// Milliseconds since the epoch.
    pub now: i64,
    pub duration_ms: u64,
}

/// Builds the payload.
pub fn build(facts: &Facts<'_>) -> Value {
    let default = default_agent(&facts.snapshot.settings);
    let agents: Vec<Value> = facts.sessions.iter().map(|sessions| agent(facts, sessions, &default)).collect();
    let of_default = facts.sessions.iter().find(|sessions| sessions.agent == default);
    json!({
        "ok": true,
        "ts": facts.now,
        "durationMs": facts.duration_ms,
        "eventLoop": facts.event_loop,
        "plugins": { "loaded": [], "errors": [] },
        "modelPricing": { "state": "ok", "sources": [] },
        "channels": facts.channels.get("channels"),
        "channelOrder": facts.channels.get("channelOrder"),
        "channelLabels": facts.channels.get("channelLabels"),
        "heartbeatSeconds": heartbeat_seconds(facts.beats, &default),
        "defaultAgentId": default.as_str(),
        "agents": agents,
        "sessions": of_default.map(|sessions| session_summary(facts, sessions)),
        "configReload": { "hotReloadStatus": hot_reload(facts.snapshot.settings.gateway.reload.mode) },
    })
}

/// Is an edit of the configuration file taken up while the gateway runs?
fn hot_reload(mode: ReloadMode) -> &'static str {
    if mode == ReloadMode::Off { "disabled" } else { "active" }
}

fn agent(facts: &Facts<'_>, sessions: &AgentSessions, default: &AgentId) -> Value {
    let mut agent = json!({ "agentId": sessions.agent.as_str() });
    let entry = agent_entry(&facts.snapshot.settings, &sessions.agent);
    if let Some(name) = entry.and_then(|entry| entry.name.as_deref()) {
        agent["name"] = json!(name);
    }
    agent["isDefault"] = json!(sessions.agent == *default);
    agent["heartbeat"] = heartbeat_of(facts.beats, &sessions.agent);
    agent["sessions"] = session_summary(facts, sessions);
    agent
}

/// Interval of an agent's heartbeat; 0: the clock does not wake it.
fn heartbeat_seconds(beats: &[Beat], agent: &AgentId) -> u64 {
    beats.iter().find(|beat| beat.agent == *agent).and_then(|beat| beat.every).map_or(0, |every| every.as_secs())
}

/// How an agent beats: `{enabled, every, everyMs, prompt, target, ackMaxChars}`.
pub fn heartbeat_of(beats: &[Beat], agent: &AgentId) -> Value {
    let Some(beat) = beats.iter().find(|beat| beat.agent == *agent) else {
        return json!({ "enabled": false, "every": "disabled", "everyMs": null, "prompt": "", "target": "none",
                       "ackMaxChars": 300 });
    };
    let every = beat.every.map_or_else(|| "disabled".to_owned(), duration::shown);
    json!({
        "enabled": beat.every.is_some(), "every": every, "everyMs": beat.every.map(|every| every.as_millis()),
        "prompt": prompt::question(beat.prompt.as_deref()), "target": beat.target.word(), "ackMaxChars": beat.ack_max,
    })
}

fn session_summary(facts: &Facts<'_>, sessions: &AgentSessions) -> Value {
    let recent = |record: &SessionRecord| json!({ "key": record.key, "updatedAt": record.updated_at, "age": (facts.now - record.updated_at).max(0) });
    json!({
        "path": facts.store.display().to_string(),
        "count": sessions.count,
        "recent": sessions.recent.iter().map(recent).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::event_loop;
    use super::*;
    use crate::config::handle::testing::snapshot;
    use crate::heartbeat::beats;

    #[test]
    fn the_payload_lists_every_agent_with_its_own_sessions() {
        let snapshot =
            snapshot(&json!({ "agents": { "list": [{ "id": "a" }, { "id": "b", "name": "Bee", "default": true }] } }));
        let record = SessionRecord {
            key: "agent:b:main".into(),
            agent_id: "b".into(),
            session_id: "s".into(),
            updated_at: 700,
            label: None,
            entry: "{}".into(),
        };
        let sessions = [
            AgentSessions { agent: AgentId::slug("a"), count: 0, recent: Vec::new() },
            AgentSessions { agent: AgentId::slug("b"), count: 3, recent: vec![record] },
        ];
        let payload = build(&Facts {
            beats: &beats(&snapshot, &jiff::tz::TimeZone::UTC),
            snapshot: &snapshot,
            store: Path::new("/s/db"),
            sessions: &sessions,
            event_loop: &event_loop(),
            channels: crate::channels::status::to_json(&[]),
            now: 1_000,
            duration_ms: 4,
        });
        assert_eq!(payload["defaultAgentId"], "b");
        assert_eq!((&payload["channels"], &payload["channelOrder"]), (&json!({}), &json!([])));
        assert_eq!((&payload["agents"][0]["name"], &payload["agents"][1]["name"]), (&Value::Null, &json!("Bee")));
        let recent = json!({ "path": "/s/db", "count": 3,
            "recent": [{ "key": "agent:b:main", "updatedAt": 700, "age": 300 }] });
        assert_eq!((&payload["sessions"], &payload["agents"][1]["sessions"]), (&recent, &recent));
        assert_eq!(payload["configReload"], json!({ "hotReloadStatus": "active" }));
        assert_eq!(payload["agents"][0]["heartbeat"]["enabled"], false, "the default agent alone is woken");
        assert_eq!(payload["agents"][1]["heartbeat"]["every"], "30m");
        assert_eq!(payload["heartbeatSeconds"], 1800);
    }

    #[test]
    fn only_the_mode_off_disables_reloading() {
        let modes = [ReloadMode::Off, ReloadMode::Restart, ReloadMode::Hot, ReloadMode::Hybrid];
        assert_eq!(modes.map(hot_reload), ["disabled", "active", "active", "active"]);
    }
}
