//! The least scope that a method needs, as the official command line asks for it.
//!
//! Invariant: a method that is not listed asks for `operator.admin`, which is also what the gateway requires of such a method.
//! Source: wire specification §8 and the scope column of §13.

use openclaw_actors::protocol::scope::Scope;
use serde_json::Value;

const READ: &[&str] = &[
    "health",
    "status",
    "system-presence",
    "last-heartbeat",
    "logs.tail",
    "config.get",
    "config.schema.lookup",
    "channels.status",
    "models.list",
    "models.authStatus",
    "agents.list",
    "agents.files.list",
    "agents.files.get",
    "agent.identity.get",
    "skills.status",
    "commands.list",
    "tools.catalog",
    "tools.effective",
    "chat.history",
    "sessions.list",
    "sessions.describe",
    "sessions.preview",
    "sessions.resolve",
    "sessions.get",
    "sessions.subscribe",
    "sessions.unsubscribe",
    "sessions.messages.subscribe",
    "sessions.messages.unsubscribe",
    "sessions.usage",
    "sessions.usage.timeseries",
    "sessions.usage.logs",
    "sessions.compaction.list",
    "sessions.compaction.get",
    "cron.list",
    "cron.get",
    "cron.status",
    "cron.runs",
    "usage.status",
    "usage.cost",
    "diagnostics.stability",
    "diagnostics.metrics",
    "doctor.memory.status",
    "gateway.identity.get",
    "gateway.restart.preflight",
    "node.list",
    "node.describe",
    "system.tree",
    "inbox.list",
    "inbox.get",
    "outbox.list",
    "outbox.get",
    "spool.list",
    "spool.get",
    "tasks.list",
    "tasks.get",
];

const WRITE: &[&str] = &[
    "agent",
    "agent.wait",
    "chat.send",
    "chat.abort",
    "sessions.create",
    "sessions.send",
    "sessions.steer",
    "sessions.abort",
    "sessions.compaction.branch",
    "wake",
    "send",
    "poll",
    "message.action",
    "node.invoke",
    "browser.request",
    "tasks.cancel",
];

/// The scopes to ask for before calling `method` with `params`.
pub fn needed(method: &str, params: &Value) -> Vec<Scope> {
    if READ.contains(&method) {
        return vec![Scope::Read];
    }
    if method == "agent" && ["model", "provider"].iter().any(|key| params.get(key).is_some()) {
        return vec![Scope::Admin]; // choosing the model of a run is the owner's
    }
    if WRITE.contains(&method) {
        return vec![Scope::Write];
    }
    match method {
        _ if method.starts_with("device.pair.") || method.starts_with("device.token.") => vec![Scope::Pairing],
        _ if method.starts_with("channels.pairing.") => vec![Scope::Pairing],
        _ if method.starts_with("node.pair.") => vec![Scope::Pairing, Scope::Read],
        _ if method.starts_with("exec.approval.") || method.starts_with("plugin.approval.") => vec![Scope::Approvals],
        _ => vec![Scope::Admin],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_method_asks_for_its_least_scope() {
        let cases = [
            ("health", json!({}), vec![Scope::Read]),
            ("agent", json!({ "message": "hi" }), vec![Scope::Write]),
            ("agent", json!({ "model": "a/b" }), vec![Scope::Admin]),
            ("device.pair.list", json!({}), vec![Scope::Pairing]),
            ("exec.approval.resolve", json!({}), vec![Scope::Approvals]),
            ("exec.approvals.set", json!({}), vec![Scope::Admin]),
            ("config.patch", json!({}), vec![Scope::Admin]),
            ("something.new", json!({}), vec![Scope::Admin]),
        ];
        for (method, params, expected) in cases {
            assert_eq!(needed(method, &params), expected, "{method} {params}");
        }
    }

    #[test]
    fn no_method_is_in_two_lists() {
        assert!(READ.iter().all(|method| !WRITE.contains(method)));
    }
}
