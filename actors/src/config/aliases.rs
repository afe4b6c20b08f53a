//! Other spellings of keys, turned into the canonical ones: what everybody reads has one spelling.
//!
//! A canonical key that is set too wins, with a warning when the two differ. Runs on a validated configuration, so types are known.
//! Source: configuration reference, alternate and old keys K-01…K-16; the file itself is rewritten by doctor only.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::issue::{Issue, IssueCode, KeyPath, dotted};
use super::tree;

/// A configuration in canonical spelling and what was said on the way.
#[derive(Debug, Clone, Default)]
pub struct Normalised {
    pub value: Value,
    /// Spellings that cannot be honoured; the configuration is refused.
    pub errors: Vec<Issue>,
    pub warnings: Vec<Issue>,
    pub notes: Vec<Issue>,
    /// From where to where values moved, for naming the authored place in later messages.
    pub moves: Vec<(KeyPath, KeyPath)>,
}

/// Turns every known spelling into the canonical one.
pub fn normalise(authored: Value) -> Normalised {
    let mut n = Normalised { value: authored, ..Normalised::default() };
    agent_tools(&mut n);
    agent_models(&mut n);
    n.rename("agent", "agents.defaults");
    identity(&mut n);
    routing_rules(&mut n);
    routing_default(&mut n);
    gateway_address(&mut n);
    gateway_token(&mut n);
    gateway_limits(&mut n);
    session(&mut n);
    n.rename("performance.concurrency", "agents.defaults.maxConcurrent");
    logging_format(&mut n);
    redis(&mut n);
    n.rename("security.accessToken", "gateway.auth.token");
    https(&mut n);
    jwt(&mut n);
    direct_messages(&mut n);
    n
}

impl Normalised {
    /// The authored place of a canonical one.
    pub fn authored(&self, keys: &[String]) -> KeyPath {
        let moved = self.moves.iter().filter(|(_, to)| keys.starts_with(to)).max_by_key(|(_, to)| to.len());
        match moved {
            Some((from, to)) => from.iter().chain(&keys[to.len()..]).cloned().collect(),
            None => keys.to_vec(),
        }
    }

    fn take(&mut self, path: &str) -> Option<Value> {
        tree::remove(&mut self.value, &path.split('.').collect::<Vec<_>>())
    }

    fn get(&self, path: &str) -> Option<&Value> {
        tree::get(&self.value, &path.split('.').collect::<Vec<_>>())
    }

    fn warn(&mut self, path: &str, message: impl Into<String>) {
        self.warnings.push(Issue::at(IssueCode::Warning, path, message));
    }

    fn shadowed(&mut self, path: &str, message: String) {
        self.warnings.push(Issue::at(IssueCode::AliasShadowed, path, message));
    }

    fn note(&mut self, code: IssueCode, path: &str, message: impl Into<String>) {
        self.notes.push(Issue::at(code, path, message));
    }

    /// Moves a value, if it is there.
    fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.take(from) {
            self.put(from, to, value);
        }
    }

    /// Stores a value that was authored at `from`.
    fn put(&mut self, from: &str, to: &str, value: Value) {
        let keys = |path: &str| path.split('.').map(str::to_owned).collect::<KeyPath>();
        self.merge(keys(from), keys(to), value);
    }

    fn merge(&mut self, from: KeyPath, to: KeyPath, value: Value) {
        match (tree::get(&self.value, &to), value) {
            (None, value) => {
                tree::set(&mut self.value, &to, value); // every parent is an object: the file passed the key tree
                self.moves.push((from, to));
            }
            (Some(Value::Object(_)), Value::Object(object)) => {
                for (key, value) in object {
                    let below = |keys: &KeyPath| keys.iter().cloned().chain([key.clone()]).collect();
                    self.merge(below(&from), below(&to), value);
                }
            }
            (Some(canonical), value) if *canonical != value => {
                let message = format!("ignored because {} is set", dotted(&to));
                self.warnings.push(Issue::new(IssueCode::AliasShadowed, &from, message));
            }
            _ => {}
        }
    }
}

/// K-01, the oldest spellings: tool settings below `agent`.
fn agent_tools(n: &mut Normalised) {
    n.rename("agent.tools", "tools");
    n.rename("agent.elevated", "tools.elevated");
    n.rename("agent.bash", "tools.exec");
    n.rename("agent.exec", "tools.exec");
    n.rename("agent.subagents.tools", "tools.subagents.tools");
}

/// K-01, the oldest spellings: flat lists of models below `agent`.
fn agent_models(n: &mut Normalised) {
    for model in list(n.take("agent.allowedModels")) {
        let to = ["agents", "defaults", "models"].iter().map(|k| (*k).to_owned()).chain([model]).collect();
        n.merge(vec!["agent".into(), "allowedModels".into()], to, json!({}));
    }
    for (alias, model) in object(n.take("agent.modelAliases")) {
        let model = model.as_str().unwrap_or_default().to_owned();
        let to = ["agents", "defaults", "models", &model, "alias"].iter().map(|k| (*k).to_owned()).collect();
        n.merge(vec!["agent".into(), "modelAliases".into(), alias.clone()], to, Value::String(alias));
    }
    for (from, model) in [("modelFallbacks", "model"), ("imageModelFallbacks", "imageModel")] {
        let from = format!("agent.{from}");
        let Some(fallbacks) = n.take(&from) else { continue };
        for holder in [format!("agent.{model}"), format!("agents.defaults.{model}")] {
            if let Some(Value::String(primary)) = n.get(&holder).cloned() {
                tree::set(&mut n.value, &holder.split('.').collect::<Vec<_>>(), json!({ "primary": primary }));
            }
        }
        n.put(&from, &format!("agents.defaults.{model}.fallbacks"), fallbacks);
    }
}

/// K-02: root `identity` belongs to the default agent, which is made if no agent is listed.
fn identity(n: &mut Normalised) {
    let Some(identity) = n.take("identity") else { return };
    if agents(&n.value).is_empty() {
        tree::set(&mut n.value, &["agents", "list"], json!([{ "id": MAIN, "default": true }]));
    }
    let index = default_index(&n.value);
    n.put("identity", &format!("agents.list.{index}.identity"), identity);
}

/// Id of the agent that exists when none is listed.
const MAIN: &str = "main";

fn agents(value: &Value) -> &[Value] {
    tree::get(value, &["agents", "list"]).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn default_index(value: &Value) -> usize {
    agents(value).iter().position(|agent| agent.get("default") == Some(&Value::Bool(true))).unwrap_or(0)
}

fn is_known_agent(value: &Value, id: &str) -> bool {
    let agents = agents(value);
    agents.iter().any(|agent| agent.get("id").and_then(Value::as_str) == Some(id)) || (agents.is_empty() && id == MAIN)
}

/// K-03: rules become bindings after the authored ones.
fn routing_rules(n: &mut Normalised) {
    let rules = match n.take("routing.rules") {
        Some(Value::Array(rules)) => rules,
        _ => return,
    };
    let mut bindings = match n.take("bindings") {
        Some(Value::Array(bindings)) => bindings,
        _ => Vec::new(),
    };
    for (index, rule) in rules.iter().enumerate() {
        let agent = tree::text(rule, &["target", "agentId"]).unwrap_or_default();
        if !is_known_agent(&n.value, agent) {
            n.warn(
                &format!("routing.rules.{index}.target.agentId"),
                format!("agent \"{agent}\" is not in agents.list; the default agent answers"),
            );
        }
        let keys = |path: String| path.split('.').map(str::to_owned).collect::<KeyPath>();
        n.moves.push((keys(format!("routing.rules.{index}")), keys(format!("bindings.{}", bindings.len()))));
        bindings.push(binding(rule, agent));
    }
    tree::set(&mut n.value, &["bindings"], Value::Array(bindings));
}

fn binding(rule: &Value, agent: &str) -> Value {
    let mut matched = Map::new();
    for (key, value) in object(rule.get("match").cloned()) {
        let text = || Value::String(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let (key, value) = match key.as_str() {
            "userId" => ("peer", json!({ "kind": "direct", "id": text() })),
            "groupId" if matched.contains_key("peer") => continue, // one user in one group: the user decides
            "groupId" => ("peer", json!({ "kind": "group", "id": text() })),
            "serverId" => ("guildId", text()),
            "teamId" => ("teamId", text()),
            other => (other, value.clone()),
        };
        matched.insert(key.to_owned(), value);
    }
    json!({ "agentId": agent, "match": matched })
}

/// K-03: the agent for everything else.
fn routing_default(n: &mut Normalised) {
    let Some(Value::String(agent)) = n.take("routing.default").and_then(|mut d| d.get_mut("agentId").map(Value::take))
    else {
        return;
    };
    let from = "routing.default.agentId";
    if !is_known_agent(&n.value, &agent) {
        n.warn(from, format!("agent \"{agent}\" is not in agents.list; the default agent answers"));
        return;
    }
    let Some(index) = agents(&n.value).iter().position(|a| a.get("id").and_then(Value::as_str) == Some(&agent)) else {
        return; // the implied main agent
    };
    let authored = agents(&n.value).iter().position(|a| a.get("default") == Some(&Value::Bool(true)));
    if authored.is_some_and(|authored| authored != index) {
        let message = format!("ignored because agents.list.{}.default is set", default_index(&n.value));
        n.shadowed(from, message);
    } else {
        n.put(from, &format!("agents.list.{index}.default"), Value::Bool(true));
    }
}

/// Which bind mode an address means, and the host that `custom` then needs. `None` for names.
pub fn bind_of_address(text: &str) -> Option<(&'static str, Option<&str>)> {
    if text.eq_ignore_ascii_case("localhost") {
        return Some(("loopback", None));
    }
    match text.parse::<IpAddr>().ok()? {
        ip if ip.is_loopback() => Some(("loopback", None)),
        ip if ip.is_unspecified() => Some(("lan", None)),
        IpAddr::V4(_) => Some(("custom", Some(text))),
        IpAddr::V6(_) => None,
    }
}

/// K-05: `gateway.host`, and an address given as `gateway.bind`.
fn gateway_address(n: &mut Normalised) {
    if let Some(Value::String(text)) = n.get("gateway.bind").cloned()
        && let Some((mode, host)) = bind_of_address(&text)
    {
        n.note(IssueCode::Alias, "gateway.bind", format!("\"{text}\" means \"{mode}\""));
        n.take("gateway.bind");
        put_bind(n, "gateway.bind", mode, host);
    }
    let Some(Value::String(text)) = n.take("gateway.host") else { return };
    match bind_of_address(&text) {
        Some((mode, host)) => put_bind(n, "gateway.host", mode, host),
        None => {
            let message = format!("\"{text}\" is neither an IPv4 address nor localhost; names are not resolved");
            n.errors.push(Issue::at(IssueCode::Invalid, "gateway.host", message));
        }
    }
}

fn put_bind(n: &mut Normalised, from: &str, mode: &str, host: Option<&str>) {
    n.put(from, "gateway.bind", Value::String(mode.to_owned()));
    if let Some(host) = host
        && n.get("gateway.bind").and_then(Value::as_str) == Some("custom")
    {
        n.put(from, "gateway.customBindHost", Value::String(host.to_owned()));
    }
}

/// K-13: refused, because the old key protected something else than the new one.
fn gateway_token(n: &mut Normalised) {
    if n.take("gateway.token").is_some() {
        let message = "Found \"gateway.token\" in config. Use \"gateway.auth.token\" instead.";
        n.errors.push(Issue::at(IssueCode::Invalid, "gateway.token", message));
    }
}

/// K-06
fn gateway_limits(n: &mut Normalised) {
    if let Some(level) = n.take("gateway.logLevel") {
        n.put("gateway.logLevel", "logging.level", level.clone());
        if n.get("logging.consoleLevel").is_none() {
            n.put("gateway.logLevel", "logging.consoleLevel", level);
        }
    }
    n.rename("gateway.timeout", "gateway.requestTimeoutMs");
}

/// K-07
fn session(n: &mut Normalised) {
    if let Some(ttl) = n.take("session.ttl").and_then(|ttl| ttl.as_u64()) {
        let reset = json!({ "mode": "idle", "idleMinutes": ttl.div_ceil(60_000) });
        if n.get("session.reset").is_some_and(|canonical| *canonical != reset) {
            n.shadowed("session.ttl", "ignored because session.reset is set".to_owned());
        } else {
            n.put("session.ttl", "session.reset", reset);
        }
    }
    n.rename("session.maxSessions", "session.maintenance.maxEntries");
    if n.take("session.persistInterval").is_some() {
        n.note(
            IssueCode::NotInEffect,
            "session.persistInterval",
            "every change is written at once; the interval is an upper bound",
        );
    }
    let mut storage = n.take("session.storage").unwrap_or_default();
    match (storage["type"].take(), storage["path"].take()) {
        (Value::String(kind), _) if kind == "memory" => {
            n.warn("session.storage.type", "sessions are always kept in the database of the state directory");
        }
        (_, Value::String(path)) => {
            let store = format!("{}/{{agentId}}/sessions.json", path.trim_end_matches('/'));
            n.put("session.storage.path", "session.store", Value::String(store));
        }
        _ => {}
    }
}

/// K-09
fn logging_format(n: &mut Normalised) {
    if let Some(format) = n.take("logging.format") {
        let style = if format == "text" { json!("pretty") } else { format };
        n.put("logging.format", "logging.consoleStyle", style);
    }
}

/// K-10: accepted, served by what is built in.
fn redis(n: &mut Normalised) {
    for path in ["cache.type", "queue.type"] {
        if n.get(path).and_then(Value::as_str) == Some("redis") {
            n.note(IssueCode::NotInEffect, path, "built-in cache and durable queue are used");
        }
    }
}

/// K-12
fn https(n: &mut Normalised) {
    for (from, to) in [("enabled", "enabled"), ("cert", "certPath"), ("key", "keyPath"), ("port", "port")] {
        n.rename(&format!("https.{from}"), &format!("gateway.tls.{to}"));
    }
    n.take("https");
}

/// Shortest secret that HS256 may have, bytes.
const JWT_SECRET_MIN: usize = 32;

/// K-14
fn jwt(n: &mut Normalised) {
    n.take("auth.type");
    if n.get("auth.secret").and_then(Value::as_str).is_some_and(|secret| secret.len() < JWT_SECRET_MIN) {
        n.warn("auth.secret", format!("shorter than {JWT_SECRET_MIN} bytes; it cannot be the only credential"));
    }
    n.rename("auth.secret", "gateway.auth.jwt.secret");
    n.rename("auth.expiresIn", "gateway.auth.jwt.expiresIn");
}

/// K-16
fn direct_messages(n: &mut Normalised) {
    for channel in ["discord", "slack"] {
        let accounts = object(n.get(&format!("channels.{channel}.accounts")).cloned());
        let places =
            accounts.iter().map(|(id, _)| vec!["channels".to_owned(), channel.into(), "accounts".into(), id.clone()]);
        for place in places.chain([vec!["channels".to_owned(), channel.into()]]).collect::<Vec<_>>() {
            for (old, new) in [("policy", "dmPolicy"), ("allowFrom", "allowFrom")] {
                let from: KeyPath = place.iter().cloned().chain(["dm".to_owned(), old.to_owned()]).collect();
                let to: KeyPath = place.iter().cloned().chain([new.to_owned()]).collect();
                if let Some(value) = tree::remove(&mut n.value, &from) {
                    n.merge(from, to, value);
                }
            }
        }
    }
}

fn list(value: Option<Value>) -> Vec<String> {
    let items = value.and_then(|mut v| v.as_array_mut().map(std::mem::take)).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `authored` must mean the same as `canonical`, apart from containers that became empty.
    fn check(authored: Value, canonical: Value) -> Normalised {
        let mut n = normalise(authored.clone());
        prune(&mut n.value);
        assert_eq!(n.value, canonical, "{authored}");
        n
    }

    fn prune(value: &mut Value) {
        if let Value::Object(object) = value {
            object.values_mut().for_each(prune);
            object.retain(|_, v| v.as_object().is_none_or(|o| !o.is_empty()));
        }
    }

    fn texts(issues: &[Issue]) -> Vec<String> {
        issues.iter().map(Issue::to_string).collect()
    }

    #[test]
    fn agent_is_the_defaults_of_all_agents() {
        check(
            json!({ "agent": { "workspace": "~/w", "model": { "primary": "a/b" } }, "agents": { "defaults": { "maxConcurrent": 2 } } }),
            json!({ "agents": { "defaults": { "maxConcurrent": 2, "workspace": "~/w", "model": { "primary": "a/b" } } } }),
        );
        let both = json!({ "agent": { "workspace": "x" }, "agents": { "defaults": { "workspace": "y" } } });
        let n = check(both, json!({ "agents": { "defaults": { "workspace": "y" } } }));
        assert_eq!(texts(&n.warnings), ["agent.workspace: ignored because agents.defaults.workspace is set"]);
        assert_eq!(n.warnings[0].code, IssueCode::AliasShadowed);
    }

    #[test]
    fn the_oldest_agent_keys_find_their_places() {
        check(
            json!({ "agent": {
                "tools": { "allow": ["read"] }, "elevated": { "enabled": false }, "bash": { "timeoutSec": 5 },
                "subagents": { "tools": { "deny": ["x"] } },
                "model": "a/b", "modelFallbacks": ["c/d"], "allowedModels": ["a/b"], "modelAliases": { "fast": "c/d.e" },
            } }),
            json!({
                "tools": {
                    "allow": ["read"], "elevated": { "enabled": false }, "exec": { "timeoutSec": 5 },
                    "subagents": { "tools": { "deny": ["x"] } },
                },
                "agents": { "defaults": {
                    "model": { "primary": "a/b", "fallbacks": ["c/d"] }, "models": { "c/d.e": { "alias": "fast" } },
                } },
            }),
        );
    }

    #[test]
    fn the_root_identity_is_that_of_the_default_agent() {
        let identity = json!({ "name": "Clawd", "emoji": "" });
        check(
            json!({ "identity": identity }),
            json!({ "agents": { "list": [{ "id": "main", "default": true, "identity": identity }] } }),
        );
        check(
            json!({ "identity": { "name": "N" }, "agents": { "list": [{ "id": "a" }, { "id": "b", "default": true }] } }),
            json!({ "agents": { "list": [{ "id": "a" }, { "id": "b", "default": true, "identity": { "name": "N" } }] } }),
        );
    }

    #[test]
    fn routing_rules_follow_the_bindings() {
        let n = check(
            json!({
                "bindings": [{ "agentId": "main", "match": { "channel": "slack" } }],
                "routing": {
                    "rules": [
                        { "match": { "channel": "telegram", "userId": 123456 }, "target": { "agentId": "main" } },
                        { "match": { "channel": "discord", "serverId": "789" }, "target": { "agentId": "coder" } },
                        { "match": { "channel": "telegram", "groupId": "-5" }, "target": { "agentId": "main" } },
                    ],
                    "default": { "agentId": "main" },
                },
            }),
            json!({ "bindings": [
                { "agentId": "main", "match": { "channel": "slack" } },
                { "agentId": "main", "match": { "channel": "telegram", "peer": { "kind": "direct", "id": "123456" } } },
                { "agentId": "coder", "match": { "channel": "discord", "guildId": "789" } },
                { "agentId": "main", "match": { "channel": "telegram", "peer": { "kind": "group", "id": "-5" } } },
            ] }),
        );
        let warning =
            "routing.rules.1.target.agentId: agent \"coder\" is not in agents.list; the default agent answers";
        assert_eq!(texts(&n.warnings), [warning]);
    }

    #[test]
    fn the_routing_default_marks_the_default_agent() {
        let list = |extra: Value| json!({ "agents": { "list": [{ "id": "a" }, extra] } });
        let mut authored = list(json!({ "id": "b" }));
        authored["routing"] = json!({ "default": { "agentId": "b" } });
        check(authored, list(json!({ "id": "b", "default": true })));
        let marked = json!({ "agents": { "list": [{ "id": "a", "default": true }, { "id": "b" }] } });
        let mut authored = marked.clone();
        authored["routing"] = json!({ "default": { "agentId": "b" } });
        assert_eq!(check(authored, marked).warnings.len(), 1);
    }

    #[test]
    fn addresses_become_bind_modes() {
        for (address, bind) in [
            ("127.0.0.1", json!({ "bind": "loopback" })),
            ("localhost", json!({ "bind": "loopback" })),
            ("::1", json!({ "bind": "loopback" })),
            ("0.0.0.0", json!({ "bind": "lan" })),
            ("::", json!({ "bind": "lan" })),
            ("192.168.1.5", json!({ "bind": "custom", "customBindHost": "192.168.1.5" })),
        ] {
            check(json!({ "gateway": { "host": address } }), json!({ "gateway": bind }));
        }
        let n = normalise(json!({ "gateway": { "bind": "0.0.0.0" } }));
        assert_eq!(texts(&n.notes), ["gateway.bind: \"0.0.0.0\" means \"lan\""]);
        assert_eq!(normalise(json!({ "gateway": { "host": "box.example" } })).errors[0].path, "gateway.host");
    }

    #[test]
    fn the_old_gateway_token_is_refused() {
        let n = normalise(json!({ "gateway": { "token": "x" } }));
        let text = "gateway.token: Found \"gateway.token\" in config. Use \"gateway.auth.token\" instead.";
        assert_eq!(texts(&n.errors), [text]);
    }

    #[test]
    fn limits_levels_and_sessions_are_translated() {
        check(
            json!({
                "gateway": { "logLevel": "warn", "timeout": 5 }, "performance": { "concurrency": 5, "workers": 4 },
                "logging": { "format": "text" },
                "session": { "ttl": 3_600_001, "maxSessions": 9, "storage": { "type": "file", "path": "~/s/" } },
            }),
            json!({
                "gateway": { "requestTimeoutMs": 5 }, "performance": { "workers": 4 },
                "logging": { "level": "warn", "consoleLevel": "warn", "consoleStyle": "pretty" },
                "session": {
                    "reset": { "mode": "idle", "idleMinutes": 61 }, "maintenance": { "maxEntries": 9 },
                    "store": "~/s/{agentId}/sessions.json",
                },
                "agents": { "defaults": { "maxConcurrent": 5 } },
            }),
        );
        let kept = json!({ "session": { "reset": { "mode": "daily" } } });
        let mut authored = kept.clone();
        authored["session"]["ttl"] = json!(60_000);
        assert_eq!(check(authored, kept).warnings.len(), 1);
    }

    #[test]
    fn credentials_and_certificates_move_to_the_gateway() {
        let n = check(
            json!({
                "security": { "accessToken": "t" }, "https": { "enabled": true, "cert": "c", "key": "k", "port": 443 },
                "auth": { "type": "jwt", "secret": "short", "expiresIn": "24h", "order": { "a": [] } },
            }),
            json!({
                "auth": { "order": { "a": [] } },
                "gateway": {
                    "auth": { "token": "t", "jwt": { "secret": "short", "expiresIn": "24h" } },
                    "tls": { "enabled": true, "certPath": "c", "keyPath": "k", "port": 443 },
                },
            }),
        );
        assert_eq!(n.warnings.len(), 1);
        assert_eq!(n.authored(&["gateway".into(), "auth".into(), "token".into()]), ["security", "accessToken"]);
    }

    #[test]
    fn direct_message_blocks_become_flat() {
        check(
            json!({ "channels": { "discord": { "dm": { "policy": "open", "allowFrom": ["*"], "enabled": true } } } }),
            json!({ "channels": { "discord": { "dm": { "enabled": true }, "dmPolicy": "open", "allowFrom": ["*"] } } }),
        );
    }

    #[test]
    fn authored_places_are_found_again() {
        let n = normalise(json!({ "agent": { "sandbox": { "mode": "all" } } }));
        let keys = ["agents", "defaults", "sandbox", "docker"].map(str::to_owned);
        assert_eq!(n.authored(&keys), ["agent", "sandbox", "docker"]);
        assert_eq!(n.authored(&["tools".to_owned()]), ["tools"]);
    }
}
