//! Rules between keys that hold for every file: what no single key's type can say.
//!
//! Runs on the canonical spelling; `load.rs` names the authored places. What only a start refuses is in `start_rules.rs`.
//! Sources: security reference of 2026.5.12, sandbox; configuration reference, cross-field rules and our additions.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::issue::{Issue, IssueCode};
use super::redact::SENTINEL;
use super::tree;

/// Every rule that `value` breaks.
pub fn broken(value: &Value) -> Vec<Issue> {
    let mut out = Vec::new();
    duplicate_agents(value, &mut out);
    for holder in agent_holders(value) {
        loop_thresholds(value, &holder, &mut out);
        sandbox(value, &holder, &mut out);
    }
    open_direct_messages(value, &mut out);
    placeholders(value, &mut out);
    out
}

fn report(out: &mut Vec<Issue>, keys: &[String], message: impl Into<String>) {
    out.push(Issue::new(IssueCode::Rule, keys, message));
}

/// `base` with `keys` appended; dots separate keys.
fn below(base: &[String], keys: &str) -> Vec<String> {
    base.iter().cloned().chain(keys.split('.').map(str::to_owned)).collect()
}

/// Where agent settings live: the root (`tools` of all agents), the defaults, every list entry.
fn agent_holders(value: &Value) -> Vec<Vec<String>> {
    let count = tree::get(value, &["agents", "list"]).and_then(Value::as_array).map_or(0, Vec::len);
    let entries = (0..count).map(|index| below(&[], &format!("agents.list.{index}")));
    [Vec::new(), below(&[], "agents.defaults")].into_iter().chain(entries).collect()
}

fn duplicate_agents(value: &Value, out: &mut Vec<Issue>) {
    let mut seen = BTreeSet::new();
    let list = tree::get(value, &["agents", "list"]).and_then(Value::as_array);
    for (index, agent) in list.into_iter().flatten().enumerate() {
        if let Some(id) = agent.get("id").and_then(Value::as_str)
            && !seen.insert(id)
        {
            report(out, &below(&[], &format!("agents.list.{index}.id")), format!("duplicate agent id: {id}"));
        }
    }
}

fn loop_thresholds(value: &Value, holder: &[String], out: &mut Vec<Issue>) {
    let at = below(holder, "tools.loopDetection");
    let threshold = |name: &str| tree::get(value, &below(&at, name)).and_then(Value::as_f64);
    for (low, high) in
        [("warningThreshold", "criticalThreshold"), ("criticalThreshold", "globalCircuitBreakerThreshold")]
    {
        if let (Some(a), Some(b)) = (threshold(low), threshold(high))
            && a >= b
        {
            report(out, &below(&at, high), format!("tools.loopDetection.{low} must be lower than {high}."));
        }
    }
}

fn sandbox(value: &Value, holder: &[String], out: &mut Vec<Issue>) {
    let docker = below(holder, "sandbox.docker");
    let text = |name: &str| tree::text(value, &below(&docker, name));
    let allowed = |name: &str| tree::get(value, &below(&docker, name)) == Some(&Value::Bool(true));
    let network = text("network").map(|n| n.trim().to_ascii_lowercase()).unwrap_or_default();
    if network == "host" {
        let message = "Sandbox security: network mode \"host\" is blocked. Use \"bridge\" or \"none\" instead.";
        report(out, &below(&docker, "network"), message);
    }
    if network.starts_with("container:") && !allowed("dangerouslyAllowContainerNamespaceJoin") {
        let message = format!("Sandbox security: network mode \"{network}\" joins another container and is blocked.");
        report(out, &below(&docker, "network"), message);
    }
    for profile in ["seccompProfile", "apparmorProfile"] {
        if text(profile).is_some_and(|p| p.trim().eq_ignore_ascii_case("unconfined")) {
            report(out, &below(&docker, profile), format!("Sandbox security: {profile} \"unconfined\" is blocked."));
        }
    }
    let reserved = allowed("dangerouslyAllowReservedContainerTargets");
    for list in ["docker.binds", "browser.binds"] {
        let binds = below(holder, &format!("sandbox.{list}"));
        for (index, bind) in tree::get(value, &binds).and_then(Value::as_array).into_iter().flatten().enumerate() {
            let problem = bind.as_str().and_then(|bind| bind_problem(bind, reserved));
            out.extend(problem.map(|m| Issue::new(IssueCode::Rule, &below(&binds, &index.to_string()), m)));
        }
    }
}

/// Host paths that no container may see, nor a directory that contains them.
const BLOCKED: [&str; 11] = [
    "/etc",
    "/proc",
    "/sys",
    "/dev",
    "/root",
    "/boot",
    "/run",
    "/var/run",
    "/private/etc",
    "/private/var/run",
    "/private/var/db",
];
const SOCKETS: [&str; 4] = ["docker.sock", "containerd.sock", "podman.sock", "crio.sock"];
const RESERVED: [&str; 2] = ["/workspace", "/agent"];

/// What is wrong with a bind mount `source:target[:options]`. Symlinks are judged again when a container is made.
pub fn bind_problem(bind: &str, reserved_targets_allowed: bool) -> Option<String> {
    let mut parts = bind.split(':');
    let (source, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let refused = |what: String| Some(format!("Sandbox security: bind mount \"{bind}\" {what}"));
    if !source.starts_with('/') {
        return refused(format!("uses a non-absolute source path \"{source}\"."));
    }
    let source = normal(source);
    if let Some(blocked) = BLOCKED.iter().find(|b| source.starts_with(b)) {
        return refused(format!("targets blocked path \"{blocked}\"."));
    }
    if let Some(blocked) = BLOCKED.iter().find(|b| Path::new(b).starts_with(&source)) {
        return refused(format!("covers blocked path \"{blocked}\"."));
    }
    if source.file_name().is_some_and(|name| SOCKETS.iter().any(|socket| name == *socket)) {
        return refused("exposes a container runtime socket.".to_owned());
    }
    if !target.starts_with('/') {
        return refused(format!("uses a non-absolute target path \"{target}\"."));
    }
    let target = normal(target);
    match RESERVED.iter().find(|r| target.starts_with(r) && !reserved_targets_allowed) {
        Some(reserved) => refused(format!("targets reserved container path \"{reserved}\".")),
        None => None,
    }
}

fn normal(path: &str) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => out.push(part),
            Component::ParentDir => drop(out.pop()),
            _ => {}
        }
    }
    out
}

/// An open door must be written down twice: policy and list. An account inherits from its channel.
fn open_direct_messages(value: &Value, out: &mut Vec<Issue>) {
    for (id, channel) in value.get("channels").and_then(Value::as_object).into_iter().flatten() {
        let at = below(&[], &format!("channels.{id}"));
        open_without_star(&at, channel, None, out);
        for (account, block) in channel.get("accounts").and_then(Value::as_object).into_iter().flatten() {
            let at: Vec<String> = at.iter().cloned().chain(["accounts".to_owned(), account.clone()]).collect();
            open_without_star(&at, block, Some(channel), out);
        }
    }
}

fn open_without_star(at: &[String], block: &Value, parent: Option<&Value>, out: &mut Vec<Issue>) {
    if block.get("dmPolicy").and_then(Value::as_str) != Some("open") {
        return;
    }
    let list = block.get("allowFrom").or_else(|| parent?.get("allowFrom")).and_then(Value::as_array);
    if !list.is_some_and(|list| list.iter().any(|entry| entry == "*")) {
        report(out, &below(at, "allowFrom"), "dmPolicy \"open\" requires \"*\" in allowFrom");
    }
}

fn placeholders(value: &Value, out: &mut Vec<Issue>) {
    tree::each_text(value, &mut Vec::new(), &mut |at, text| {
        if text == SENTINEL {
            report(out, at, "redacted placeholder is not a value");
        }
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: Value, expected: &[&str]) {
        let got: Vec<String> = broken(&value).iter().map(Issue::to_string).collect();
        assert_eq!(got, expected, "{value}");
    }

    #[test]
    fn agents_have_different_ids() {
        check(json!({ "agents": { "list": [{ "id": "a" }, { "id": "b" }] } }), &[]);
        check(
            json!({ "agents": { "list": [{ "id": "a" }, { "id": "a" }] } }),
            &["agents.list.1.id: duplicate agent id: a"],
        );
    }

    #[test]
    fn loop_thresholds_rise() {
        let text = "tools.loopDetection.criticalThreshold: \
                    tools.loopDetection.warningThreshold must be lower than criticalThreshold.";
        check(json!({ "tools": { "loopDetection": { "warningThreshold": 20, "criticalThreshold": 10 } } }), &[text]);
        let of_agent =
            json!({ "tools": { "loopDetection": { "criticalThreshold": 9, "globalCircuitBreakerThreshold": 9 } } });
        check(
            json!({ "agents": { "list": [of_agent] } }),
            &["agents.list.0.tools.loopDetection.globalCircuitBreakerThreshold: \
             tools.loopDetection.criticalThreshold must be lower than globalCircuitBreakerThreshold."],
        );
        check(json!({ "tools": { "loopDetection": { "warningThreshold": 20 } } }), &[]);
    }

    #[test]
    fn containers_do_not_share_the_network_or_run_unconfined() {
        let docker = |docker: Value| json!({ "agents": { "defaults": { "sandbox": { "docker": docker } } } });
        check(
            docker(json!({ "network": "host" })),
            &["agents.defaults.sandbox.docker.network: \
             Sandbox security: network mode \"host\" is blocked. Use \"bridge\" or \"none\" instead."],
        );
        assert_eq!(broken(&docker(json!({ "network": "container:x" }))).len(), 1);
        check(docker(json!({ "network": "container:x", "dangerouslyAllowContainerNamespaceJoin": true })), &[]);
        assert_eq!(broken(&docker(json!({ "seccompProfile": "Unconfined" }))).len(), 1);
        assert_eq!(
            broken(&docker(json!({ "binds": ["/ok:/ok", "etc:/etc"] })))[0].path,
            "agents.defaults.sandbox.docker.binds.1"
        );
    }

    #[test]
    fn bind_mounts_stay_away_from_the_host() {
        for fine in ["/home/u/source:/source:ro", "/var/data:/data", "/etcetera:/x", "/opt/../srv:/srv"] {
            assert_eq!(bind_problem(fine, false), None, "{fine}");
        }
        for (bad, what) in [
            ("etc:/etc", "uses a non-absolute source path \"etc\"."),
            ("/etc:/x", "targets blocked path \"/etc\"."),
            ("/opt/../proc/1:/x", "targets blocked path \"/proc\"."),
            ("/:/x", "covers blocked path \"/etc\"."),
            ("/var:/x", "covers blocked path \"/var/run\"."),
            ("/srv/docker.sock:/s", "exposes a container runtime socket."),
            ("/srv", "uses a non-absolute target path \"\"."),
            ("/srv:/workspace/x", "targets reserved container path \"/workspace\"."),
        ] {
            assert_eq!(bind_problem(bad, false).unwrap(), format!("Sandbox security: bind mount \"{bad}\" {what}"));
        }
        assert_eq!(bind_problem("/srv:/workspace", true), None);
    }

    #[test]
    fn an_open_door_needs_the_star() {
        let text = "channels.telegram.allowFrom: dmPolicy \"open\" requires \"*\" in allowFrom";
        check(json!({ "channels": { "telegram": { "dmPolicy": "open", "allowFrom": ["1"] } } }), &[text]);
        check(json!({ "channels": { "telegram": { "dmPolicy": "open", "allowFrom": ["*"] } } }), &[]);
        let inherited = json!({ "allowFrom": ["*"], "accounts": { "a": { "dmPolicy": "open" } } });
        check(json!({ "channels": { "telegram": inherited } }), &[]);
        let own = json!({ "allowFrom": ["*"], "accounts": { "a": { "dmPolicy": "open", "allowFrom": [1] } } });
        check(
            json!({ "channels": { "telegram": own } }),
            &["channels.telegram.accounts.a.allowFrom: dmPolicy \"open\" requires \"*\" in allowFrom"],
        );
    }

    #[test]
    fn a_redacted_value_is_not_a_value() {
        check(
            json!({ "gateway": { "auth": { "token": SENTINEL } } }),
            &["gateway.auth.token: redacted placeholder is not a value"],
        );
    }
}
