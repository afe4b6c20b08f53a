//! `status`, the overview for operators.
//!
//! `status.configReload` is an addition: `health` has a closed key of this name that has no room for it.

use jiff::Timestamp;
use openclaw_actors::config::actor::ReloadStatus;
use openclaw_actors::config::issue::Issue;
use openclaw_actors::health::sessions::{self, AgentSessions};
use openclaw_actors::health::{EventLoop, heartbeat_of};
use openclaw_actors::heartbeat::beats;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::scope::Scope;
use openclaw_actors::protocol::session::SessionDefaults;
use openclaw_actors::run::context;
use openclaw_actors::session::{SessionEntry, SessionKey};
use openclaw_actors::store::sessions::SessionRecord;
use openclaw_actors::store::system_events::{self, SystemEvent};
use openclaw_actors::store::{outbox, runs, spool};
use serde_json::{Value, json};

use super::{Access, Call, Method, Reply};
use crate::gateway::services::store_failed;

/// Sessions that are listed, of each agent and of all.
const RECENT: usize = 10;

const READ: Access = Access::Operator(Scope::Read);

pub const METHODS: &[Method] = &[Method::new("status", READ, |call| Box::pin(status(call)))];

/// Without admin the sessions are counted but not shown.
async fn status(call: Call) -> Result<Reply, ErrorShape> {
    let services = &call.services;
    let snapshot = services.config.load();
    let (agents, default) = (context::agents(&snapshot.settings), context::default_agent(&snapshot.settings));
    let store = &services.context.store;
    let by_agent = sessions::by_agent(store, agents.clone(), RECENT).await.map_err(store_failed)?;
    let main = services.context.key_rules().main_key().as_str().to_owned();
    let read =
        move |db: &_| Ok((system_events::list(db, &main)?, runs::dead(db)?, outbox::counts(db)?, spool::counts(db)?));
    let (events, dead, outbox, spool) = store.read(read).await.map_err(store_failed)?;
    let defaults = services.context.session_defaults(&services.context.key_rules().main_key());
    let mut sessions = Overview {
        path: store.path().display().to_string(),
        defaults,
        by_agent,
        now: Timestamp::now().as_millisecond(),
    }
    .to_json();
    if !call.client.is_admin() {
        redact(&mut sessions);
    }
    let beats = beats(&services.context.config.load(), &services.context.zone());
    let heartbeats: Vec<Value> = agents
        .iter()
        .map(|agent| {
            let heartbeat = heartbeat_of(&beats, agent);
            json!({ "agentId": agent.as_str(), "enabled": heartbeat["enabled"], "every": heartbeat["every"],
                    "everyMs": heartbeat["everyMs"] })
        })
        .collect();
    Ok(Reply::Value(json!({
        "runtimeVersion": services.version,
        "heartbeat": { "defaultAgentId": default.as_str(), "agents": heartbeats },
        "channelSummary": [],
        "queuedSystemEvents": texts(&events),
        "tasks": no_tasks(),
        "taskAudit": clean_audit(),
        "sessions": sessions,
        "eventLoop": event_loop(&call).await?,
        "configReload": config_reload(&services.config_status.load()),
        "inbox": { "dead": dead },
        "outbox": counts(&["pending", "sending", "failed", "unknown"], outbox),
        "spool": counts(&["pending", "failed"], spool),
        "disk": services.context.disk.room().word(),
        "safeMode": services.context.safe_mode.reason(),
        "supervision": super::tree::summary(&services.context.overview).await,
    })))
}

/// How many messages to chats are in each state that matters.
fn counts(states: &[&str], counts: Vec<(String, i64)>) -> Value {
    let mut all: serde_json::Map<String, Value> = states.iter().map(|state| ((*state).to_owned(), json!(0))).collect();
    all.extend(counts.into_iter().map(|(state, count)| (state, json!(count))));
    Value::Object(all)
}

/// How the latest edit of the configuration file was received, why it is not in force, which of its paths wait for a
/// restart, and why the gateway does not make it itself.
fn config_reload(reload: &ReloadStatus) -> Value {
    let issues: Vec<Value> = reload.issues.iter().map(Issue::to_json).collect();
    json!({ "status": reload.word(), "issues": issues, "pending": reload.pending, "held": reload.held })
}

/// As of the last minute.
async fn event_loop(call: &Call) -> Result<EventLoop, ErrorShape> {
    Ok(call.services.health.get(false).await?.event_loop.clone())
}

fn texts(events: &[SystemEvent]) -> Vec<&str> {
    events.iter().map(|event| event.text.as_str()).collect()
}

/// Background tasks belong to a later release: there are none to count.
fn no_tasks() -> Value {
    json!({
        "total": 0, "active": 0, "terminal": 0, "failures": 0,
        "byStatus": { "queued": 0, "running": 0, "succeeded": 0, "failed": 0, "timed_out": 0, "cancelled": 0, "lost": 0 },
        "byRuntime": { "subagent": 0, "acp": 0, "cli": 0, "cron": 0 },
    })
}

fn clean_audit() -> Value {
    json!({
        "total": 0, "warnings": 0, "errors": 0,
        "byCode": { "stale_queued": 0, "stale_running": 0, "lost": 0, "delivery_failed": 0, "missing_cleanup": 0,
                    "inconsistent_timestamps": 0 },
    })
}

/// What `status` says about sessions.
struct Overview {
    /// The database, which holds those of all agents.
    path: String,
    defaults: SessionDefaults,
    by_agent: Vec<AgentSessions>,
    /// Milliseconds since the epoch.
    now: i64,
}

impl Overview {
    fn to_json(&self) -> Value {
        let rows =
            |records: &[&SessionRecord]| -> Vec<Value> { records.iter().map(|record| self.row(record)).collect() };
        let by_agent: Vec<Value> = self
            .by_agent
            .iter()
            .map(|of| {
                let recent = rows(&of.recent.iter().collect::<Vec<_>>());
                json!({ "agentId": of.agent.as_str(), "path": self.path, "count": of.count, "recent": recent })
            })
            .collect();
        let mut recent: Vec<&SessionRecord> = self.by_agent.iter().flat_map(|of| &of.recent).collect();
        recent.sort_by_key(|record| std::cmp::Reverse(record.updated_at));
        recent.truncate(RECENT);
        json!({
            "paths": [self.path],
            "count": self.by_agent.iter().map(|of| of.count).sum::<usize>(),
            "defaults": { "model": self.defaults.model, "contextTokens": self.defaults.context_tokens },
            "recent": rows(&recent),
            "byAgent": by_agent,
        })
    }

    fn row(&self, record: &SessionRecord) -> Value {
        let stored = serde_json::from_str(&record.entry).ok().and_then(SessionEntry::from_value);
        let entry = stored.unwrap_or_else(|| SessionEntry::new(&record.session_id, record.updated_at));
        let window = entry.context_tokens.unwrap_or(self.defaults.context_tokens);
        let mut row = json!({
            "agentId": record.agent_id,
            "key": record.key,
            "kind": SessionKey::from_stored(record.key.clone()).row_kind(),
            "sessionId": record.session_id,
            "updatedAt": record.updated_at,
            "age": (self.now - record.updated_at).max(0),
            "model": entry.model.as_deref().unwrap_or(&self.defaults.model),
            "contextTokens": window,
            "totalTokens": entry.total_tokens,
            "totalTokensFresh": entry.total_tokens.is_some() && entry.total_tokens_fresh.unwrap_or(true),
            "remainingTokens": entry.total_tokens.map(|total| window.saturating_sub(total)),
            "percentUsed": entry.total_tokens.filter(|_| window > 0).map(|total| (total * 100 / window).min(999)),
            "flags": [],
        });
        let optional = [
            ("thinkingLevel", entry.thinking_level.map(Value::from)),
            ("inputTokens", entry.input_tokens.map(Value::from)),
            ("outputTokens", entry.output_tokens.map(Value::from)),
            ("systemSent", entry.system_sent.map(Value::from)),
            ("abortedLastRun", entry.aborted_last_run.map(Value::from)),
        ];
        for (key, value) in optional.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            row[key] = value;
        }
        row
    }
}

/// Leaves the counts.
fn redact(sessions: &mut Value) {
    sessions["paths"] = json!([]);
    sessions["defaults"] = json!({ "model": null, "contextTokens": null });
    sessions["recent"] = json!([]);
    for agent in sessions["byAgent"].as_array_mut().into_iter().flatten() {
        agent["path"] = json!("[redacted]");
        agent["recent"] = json!([]);
    }
}

#[cfg(test)]
mod tests {
    use openclaw_actors::session::AgentId;

    use super::*;

    fn record(agent: &str, updated_at: i64, entry: Value) -> SessionRecord {
        SessionRecord {
            key: format!("agent:{agent}:main"),
            agent_id: agent.into(),
            session_id: "s".into(),
            updated_at,
            label: None,
            entry: entry.to_string(),
        }
    }

    fn overview() -> Value {
        let entry = json!({ "sessionId": "s", "model": "m2", "contextTokens": 1000, "totalTokens": 250 });
        Overview {
            path: "/s/db".into(),
            defaults: SessionDefaults {
                model_provider: "p".into(),
                model: "m".into(),
                context_tokens: 200,
                thinking_levels: Vec::new(),
                thinking_options: Vec::new(),
                thinking_default: "off".into(),
            },
            by_agent: vec![
                AgentSessions { agent: AgentId::slug("a"), count: 1, recent: vec![record("a", 10, json!({}))] },
                AgentSessions { agent: AgentId::slug("b"), count: 4, recent: vec![record("b", 30, entry)] },
            ],
            now: 100,
        }
        .to_json()
    }

    #[test]
    fn the_newest_sessions_of_all_agents_come_first_with_their_fill() {
        let sessions = overview();
        assert_eq!(sessions["count"], 5);
        let newest = &sessions["recent"][0];
        assert_eq!(
            (&newest["key"], &newest["age"], &newest["model"]),
            (&json!("agent:b:main"), &json!(70), &json!("m2"))
        );
        assert_eq!((&newest["percentUsed"], &newest["remainingTokens"]), (&json!(25), &json!(750)));
        let other = &sessions["recent"][1];
        assert_eq!((&other["model"], &other["contextTokens"]), (&json!("m"), &json!(200)));
        assert_eq!((&other["totalTokens"], &other["totalTokensFresh"]), (&Value::Null, &json!(false)));
        assert_eq!(sessions["byAgent"][1]["recent"][0], *newest);
    }

    #[test]
    fn without_admin_only_counts_are_left() {
        let mut sessions = overview();
        redact(&mut sessions);
        assert_eq!(
            sessions,
            json!({
                "paths": [], "count": 5, "defaults": { "model": null, "contextTokens": null }, "recent": [],
                "byAgent": [
                    { "agentId": "a", "path": "[redacted]", "count": 1, "recent": [] },
                    { "agentId": "b", "path": "[redacted]", "count": 4, "recent": [] },
                ],
            })
        );
    }
}
