//! The document of `openclaw status --json`; the page is made from it.
//!
//! Invariant: the keys are there whether the gateway answers or not; what only it knows is empty then.

use openclaw_actors::config::settings::Settings;
use serde_json::{Value, json};

use crate::cli::VERSION;
use crate::cli::context::Context;
use crate::cli::gateway::reach::Reach;
use crate::cli::keys::GatewayKeys;
use crate::cli::setup::{default_agent, workspace_of};
use crate::cli::text::{list, number, string};
use crate::cli::workspace;
use crate::client::{Endpoint, UrlSource};

/// What was found out.
pub struct Facts<'a> {
    pub keys: &'a GatewayKeys,
    /// `None`: the configuration is invalid.
    pub settings: Option<&'a Settings>,
    /// `None`: no gateway could be named.
    pub endpoint: Option<&'a Endpoint>,
    pub reach: &'a Reach,
    /// Process of the local gateway.
    pub pid: Option<u32>,
    pub now_ms: u64,
}

pub fn make(context: &Context, facts: &Facts<'_>) -> Value {
    let nothing = json!({});
    let status = facts.reach.answer("status").unwrap_or(&nothing);
    let of = |key: &str, absent: Value| status.get(key).cloned().unwrap_or(absent);
    let mut document = json!({
        "runtimeVersion": of("runtimeVersion", json!(VERSION)),
        "heartbeat": of("heartbeat", json!({ "defaultAgentId": agent_id(facts), "agents": [] })),
        "channelSummary": of("channelSummary", json!([])),
        "queuedSystemEvents": of("queuedSystemEvents", json!([])),
        "tasks": of("tasks", json!({ "total": 0, "active": 0, "terminal": 0, "failures": 0, "byStatus": {}, "byRuntime": {} })),
        "taskAudit": of("taskAudit", json!({ "total": 0, "warnings": 0, "errors": 0, "byCode": {} })),
        "sessions": sessions(status, facts),
        "os": os(),
        "update": { "available": null },
        "updateChannel": "stable",
        "updateChannelSource": "default",
        "memory": null,
        "gateway": gateway(facts),
        "gatewayService": service(facts),
        "nodeService": { "label": "none", "installed": false, "loaded": false },
        "agents": agents(context, facts),
        "secretDiagnostics": secret_diagnostics(context),
        "eventLoop": status.get("eventLoop").or_else(|| facts.reach.answer("health").and_then(|health| health.get("eventLoop"))),
        "configReload": of("configReload", Value::Null),
        "supervision": of("supervision", Value::Null),
        "safeMode": of("safeMode", Value::Null),
        "disk": of("disk", Value::Null),
        "inbox": of("inbox", Value::Null),
        "outbox": of("outbox", Value::Null),
        "spool": of("spool", Value::Null),
        "uptimeMs": facts.reach.hello.as_ref().and_then(|hello| number(hello, "/snapshot/uptimeMs")),
    });
    for (key, method) in [("health", "health"), ("channels", "channels.status"), ("lastHeartbeat", "last-heartbeat")] {
        if let Some(answer) = facts.reach.answer(method) {
            document[key] = answer.clone();
        }
    }
    document
}

fn agent_id<'a>(facts: &'a Facts<'_>) -> &'a str {
    facts.settings.map_or("main", default_agent)
}

/// What the gateway says, with the newest rows of `sessions.list`.
fn sessions(status: &Value, facts: &Facts<'_>) -> Value {
    let mut sessions = status.get("sessions").cloned().unwrap_or_else(|| {
        json!({ "paths": [], "count": 0, "defaults": { "model": null, "contextTokens": null }, "recent": [], "byAgent": [] })
    });
    if let Some(listed) = facts.reach.answer("sessions.list") {
        sessions["recent"] = listed.get("sessions").cloned().unwrap_or_else(|| json!([]));
        if let Some(total) = number(listed, "/totalCount") {
            sessions["count"] = json!(total);
        }
    }
    sessions
}

fn os() -> Value {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (platform, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let release = release.trim();
    json!({ "platform": platform, "arch": arch, "release": release, "label": format!("{platform} {release} ({arch})") })
}

fn gateway(facts: &Facts<'_>) -> Value {
    let reach = facts.reach;
    json!({
        "mode": if facts.keys.remote_mode { "remote" } else { "local" },
        "url": facts.endpoint.map(|endpoint| endpoint.url.as_str()),
        "urlSource": facts.endpoint.map(|endpoint| endpoint.source.as_str()),
        "misconfigured": facts.endpoint.is_none(),
        "reachable": reach.connected(),
        "connectLatencyMs": reach.latency_ms,
        "authMode": facts.keys.auth_mode_effective(),
        "capability": reach.capability().json(),
        "version": reach.server_version(),
        "self": reach.gateway_itself(),
        "error": reach.error,
        "authWarning": null,
    })
}

fn service(facts: &Facts<'_>) -> Value {
    let local = facts.endpoint.is_some_and(|endpoint| endpoint.source == UrlSource::Loopback);
    let (status, detail) = match facts.pid {
        Some(_) => ("running", "unmanaged"),
        None if facts.reach.connected() && local => {
            ("unknown", "something answers, but left no note in the state directory")
        }
        None => ("stopped", "no gateway of this state directory"),
    };
    json!({
        "label": "none",
        "installed": false,
        "loaded": false,
        "managedByOpenClaw": false,
        "externallyManaged": false,
        "loadedText": "no service manager",
        "runtime": { "status": status, "pid": facts.pid, "detail": detail },
        "runtimeShort": match facts.pid {
            Some(pid) => format!("running (pid {pid}, unmanaged)"),
            None => status.to_owned(),
        },
    })
}

fn agents(context: &Context, facts: &Facts<'_>) -> Value {
    let Some(settings) = facts.settings else {
        return json!({ "defaultId": "main", "agents": [], "totalSessions": 0 });
    };
    let default = default_agent(settings);
    let mut ids: Vec<&str> = settings.agents.list.iter().map(|agent| agent.id.as_str()).collect();
    if ids.is_empty() {
        ids.push(default);
    }
    let agents: Vec<Value> = ids.iter().map(|id| agent(context, facts, settings, id)).collect();
    let total: u64 = agents.iter().filter_map(|agent| number(agent, "/sessionsCount")).sum();
    let pending = agents.iter().filter(|agent| agent["bootstrapPending"] == json!(true)).count();
    json!({ "defaultId": default, "agents": agents, "totalSessions": total, "bootstrapPendingCount": pending })
}

fn agent(context: &Context, facts: &Facts<'_>, settings: &Settings, id: &str) -> Value {
    let mut alone = settings.clone();
    alone.agents.list.retain(|agent| agent.id == id);
    let workspace = workspace_of(&alone, &context.paths.home, &context.paths.workspace_default);
    let health = facts.reach.answer("health");
    let told =
        health.and_then(|health| list(health, "/agents").iter().find(|agent| string(agent, "/agentId") == Some(id)));
    let newest = told.and_then(|agent| number(agent, "/sessions/recent/0/updatedAt"));
    json!({
        "id": id,
        "workspaceDir": workspace,
        "bootstrapPending": workspace.join("BOOTSTRAP.md").exists(),
        "bootstrapFiles": workspace::files_present(&workspace),
        "sessionsPath": told.and_then(|agent| string(agent, "/sessions/path")),
        "sessionsCount": told.and_then(|agent| number(agent, "/sessions/count")).unwrap_or(0),
        "lastUpdatedAt": newest,
        "lastActiveAgeMs": newest.map(|at| facts.now_ms.saturating_sub(at)),
    })
}

/// Secrets that a start would miss.
fn secret_diagnostics(context: &Context) -> Vec<String> {
    match context.loaded() {
        Ok(snapshot) => snapshot.secrets.failures().iter().map(ToString::to_string).collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(keys: &'a GatewayKeys, reach: &'a Reach, pid: Option<u32>) -> Facts<'a> {
        Facts { keys, settings: None, endpoint: None, reach, pid, now_ms: 0 }
    }

    #[test]
    fn a_gateway_that_is_down_is_an_answer() {
        let keys = GatewayKeys::default();
        let reach = Reach { error: Some("connect ECONNREFUSED 127.0.0.1:1".into()), ..Reach::default() };
        let gateway = gateway(&facts(&keys, &reach, None));
        assert_eq!(gateway["reachable"], json!(false));
        assert_eq!(gateway["error"], "connect ECONNREFUSED 127.0.0.1:1");
        assert_eq!(gateway["self"], Value::Null);
    }

    #[test]
    fn the_process_is_named_when_its_note_lives() {
        let (keys, reach) = (GatewayKeys::default(), Reach::default());
        assert_eq!(service(&facts(&keys, &reach, Some(42)))["runtimeShort"], "running (pid 42, unmanaged)");
        assert_eq!(service(&facts(&keys, &reach, None))["runtimeShort"], "stopped");
    }

    #[test]
    fn the_newest_sessions_come_from_the_list() {
        let keys = GatewayKeys::default();
        let listed = json!({ "totalCount": 7, "sessions": [{ "key": "k" }] });
        let reach = Reach { reads: vec![("sessions.list", Ok(listed))], ..Reach::default() };
        let sessions = sessions(&json!({}), &facts(&keys, &reach, None));
        assert_eq!(sessions["count"], json!(7));
        assert_eq!(sessions["recent"][0]["key"], "k");
    }
}
