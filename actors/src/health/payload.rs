//! The `health` payload: facts in, JSON out.
//!
//! Says only what this release does: no channels, no plugins, no price lists, heartbeats off. Source: `health` of 2026.5.12,
//! `configReload` of 2026.9.6, whose published schema is closed: what we add to it is there only while something is wrong.

use std::path::Path;

use serde_json::{Value, json};

use super::event_loop::EventLoop;
use super::sessions::AgentSessions;
use crate::config::handle::Snapshot;
use crate::config::issue::Issue;
use crate::config::settings::ReloadMode;
use crate::run::context::{agent_entry, default_agent};
use crate::session::AgentId;
use crate::store::sessions::SessionRecord;

/// The word for a file that is in force.
const OK: &str = "ok";

/// How the latest change of the configuration file was received.
#[derive(Debug, Clone, Default)]
pub struct ConfigReload {
    /// `ok`, `invalid` or `restart-pending`.
    pub status: String,
    /// Why it is not in force.
    pub issues: Vec<Issue>,
}

/// Everything that a payload is made of.
pub struct Facts<'a> {
    pub snapshot: &'a Snapshot,
    /// The database, which holds the sessions of all agents.
    pub store: &'a Path,
    pub sessions: &'a [AgentSessions],
    pub event_loop: &'a EventLoop,
    pub reload: &'a ConfigReload,
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
        "modelPricing": { "state": "disabled", "sources": [] },
        "channels": {},
        "channelOrder": [],
        "channelLabels": {},
        "heartbeatSeconds": 0,
        "defaultAgentId": default.as_str(),
        "agents": agents,
        "sessions": of_default.map(|sessions| session_summary(facts, sessions)),
        "configReload": config_reload(facts),
    })
}

fn config_reload(facts: &Facts<'_>) -> Value {
    let mode = facts.snapshot.settings.gateway.reload.mode;
    let mut reload = json!({ "hotReloadStatus": if mode == ReloadMode::Off { "disabled" } else { "active" } });
    if facts.reload.status != OK {
        reload["status"] = json!(facts.reload.status);
        reload["issues"] = facts.reload.issues.iter().map(Issue::to_json).collect();
    }
    reload
}

fn agent(facts: &Facts<'_>, sessions: &AgentSessions, default: &AgentId) -> Value {
    let mut agent = json!({ "agentId": sessions.agent.as_str() });
    let entry = agent_entry(&facts.snapshot.settings, &sessions.agent);
    if let Some(name) = entry.and_then(|entry| entry.name.as_deref()) {
        agent["name"] = json!(name);
    }
    agent["isDefault"] = json!(sessions.agent == *default);
    agent["heartbeat"] = heartbeat_of(&sessions.agent);
    agent["sessions"] = session_summary(facts, sessions);
    agent
}

/// The heartbeat of an agent: off for every agent, whatever the configuration says, because this release has none.
pub fn heartbeat_of(_: &AgentId) -> Value {
    json!({ "enabled": false, "every": "disabled", "everyMs": null, "prompt": "", "target": "none", "ackMaxChars": 300 })
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
    use std::path::PathBuf;

    use super::super::report::tests::event_loop;
    use super::*;
    use crate::config::env::Env;
    use crate::config::issue::IssueCode;
    use crate::config::load;
    use crate::config::paths::{self, PathInputs};

    fn snapshot(text: &str) -> Snapshot {
        let env = Env::from_iter([("HOME", "/home/u")]);
        let inputs = PathInputs { cwd: PathBuf::from("/"), ..PathInputs::default() };
        let paths = paths::resolve(&inputs, &env).unwrap();
        load::from_text(Some(text.to_owned()), &Default::default(), &paths, &env).unwrap()
    }

    fn payload(snapshot: &Snapshot, sessions: &[AgentSessions], reload: &ConfigReload) -> Value {
        build(&Facts {
            snapshot,
            store: Path::new("/s/db"),
            sessions,
            event_loop: &event_loop(),
            reload,
            now: 1_000,
            duration_ms: 4,
        })
    }

    #[test]
    fn the_payload_lists_every_agent_with_its_own_sessions() {
        let snapshot = snapshot("{ agents: { list: [{ id: 'a' }, { id: 'b', name: 'Bee', default: true }] } }");
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
        let payload = payload(&snapshot, &sessions, &ConfigReload { status: OK.into(), issues: Vec::new() });
        assert_eq!(payload["defaultAgentId"], "b");
        assert_eq!((&payload["agents"][0]["name"], &payload["agents"][1]["name"]), (&Value::Null, &json!("Bee")));
        let recent = json!({ "path": "/s/db", "count": 3,
            "recent": [{ "key": "agent:b:main", "updatedAt": 700, "age": 300 }] });
        assert_eq!((&payload["sessions"], &payload["agents"][1]["sessions"]), (&recent, &recent));
        assert_eq!(payload["agents"][0]["heartbeat"]["enabled"], false);
    }

    #[test]
    fn a_file_that_is_not_in_force_is_told_with_its_issues() {
        let reload_of =
            |text: &str, reload: &ConfigReload| payload(&snapshot(text), &[], reload)["configReload"].clone();
        let ok = ConfigReload { status: OK.into(), issues: Vec::new() };
        assert_eq!(reload_of("{}", &ok), json!({ "hotReloadStatus": "active" }));
        assert_eq!(
            reload_of("{ gateway: { reload: { mode: 'off' } } }", &ok),
            json!({ "hotReloadStatus": "disabled" })
        );
        let issue = Issue::at(IssueCode::Invalid, "gateway.port", "expected number");
        let broken = reload_of("{}", &ConfigReload { status: "invalid".into(), issues: vec![issue] });
        assert_eq!(
            broken,
            json!({ "hotReloadStatus": "active", "status": "invalid",
                    "issues": [{ "path": "gateway.port", "message": "expected number" }] })
        );
    }
}
