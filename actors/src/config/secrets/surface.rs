//! Which references count: a reference is resolved, and required, only where its value can be used now.
//!
//! Source: secrets reference of 2026.5.12, active surface. `Differs:` keys of features that this release does not have are inactive.

use serde_json::Value;

use super::super::issue::{Issue, IssueCode, KeyPath};
use super::super::schema::{self, Node};
use super::super::secret_ref;
use super::super::settings::{AuthMode, GatewayMode, Settings};
use super::{SecretRef, Source};

/// Code word that operators search for.
pub const INACTIVE: &str = "SECRETS_REF_IGNORED_INACTIVE_SURFACE";

/// The references of a configuration.
#[derive(Debug, Default)]
pub struct Surface {
    pub active: Vec<(KeyPath, SecretRef)>,
    /// One note for each reference that is left alone.
    pub inactive: Vec<Issue>,
}

/// Collects the references of a canonical, validated configuration.
pub fn references(config: &Value, settings: &Settings) -> Surface {
    let mut found = Vec::new();
    collect(config, Some(schema::root()), config, &mut Vec::new(), &mut found);
    let mut surface = Surface::default();
    for (keys, reference) in found {
        if is_active(&keys, settings) {
            surface.active.push((keys, reference));
        } else {
            let message =
                format!("{INACTIVE}: {reference} is not resolved, because its feature is off or not in this release");
            surface.inactive.push(Issue::new(IssueCode::InactiveSecret, &keys, message));
        }
    }
    surface
}

fn is_active(keys: &[String], settings: &Settings) -> bool {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let auth = &settings.gateway.auth;
    let remote = &settings.gateway.remote;
    match keys.as_slice() {
        ["gateway", "auth", "token"] => {
            auth.mode == Some(AuthMode::Token) || (auth.mode.is_none() && auth.password.is_none())
        }
        ["gateway", "auth", "password"] => auth.mode.is_none_or(|mode| mode == AuthMode::Password),
        ["gateway", "remote", "token" | "password"] => {
            settings.gateway.mode == Some(GatewayMode::Remote) || remote.url.is_some()
        }
        ["models", "providers", _, "apiKey"] | ["models", "providers", _, "headers", _] => true,
        ["channels", "webhook", "secret" | "callbackSecret"]
        | ["channels", "webhook", "accounts", _, "secret" | "callbackSecret"]
        | ["channels", "telegram", "botToken"]
        | ["channels", "telegram", "accounts", _, "botToken"] => true,
        _ => false,
    }
}

fn collect(
    value: &Value,
    node: Option<&Node>,
    config: &Value,
    at: &mut Vec<String>,
    found: &mut Vec<(KeyPath, SecretRef)>,
) {
    if node.is_some_and(Node::is_secret) && value.is_object() {
        found.extend(read(value, config).map(|reference| (at.clone(), reference)));
        return;
    }
    let mut below = |key: &str, child: &Value| {
        at.push(key.to_owned());
        collect(child, node.and_then(|node| node.child(key)), config, at, found);
        at.pop();
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(key, child)| below(key, child)),
        Value::Array(array) => array.iter().enumerate().for_each(|(index, child)| below(&index.to_string(), child)),
        _ => {}
    }
}

fn read(value: &Value, config: &Value) -> Option<SecretRef> {
    let word = value.get("source")?.as_str()?;
    let source = [Source::Env, Source::File, Source::Exec].into_iter().find(|s| s.word() == word)?;
    let named = value.get("provider").and_then(Value::as_str);
    let provider = secret_ref::provider_of(word, named, config)?.to_owned();
    Some(SecretRef { source, provider, id: value.get("id")?.as_str()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(mut config: Value, at: &str, active: bool) {
        let keys: Vec<&str> = at.split('.').collect();
        super::super::super::tree::set(&mut config, &keys, json!({ "source": "env", "id": "X" }));
        let settings: Settings = serde_json::from_value(config.clone()).unwrap();
        let surface = references(&config, &settings);
        assert_eq!((surface.active.len(), surface.inactive.len()), if active { (1, 0) } else { (0, 1) }, "{config}");
    }

    #[test]
    fn a_reference_counts_when_its_value_can_be_used() {
        let auth = |auth: Value| json!({ "gateway": { "auth": auth } });
        check(json!({}), "gateway.auth.token", true);
        check(auth(json!({ "mode": "token" })), "gateway.auth.token", true);
        check(auth(json!({ "mode": "password" })), "gateway.auth.token", false);
        check(auth(json!({ "password": "p" })), "gateway.auth.token", false);
        check(json!({}), "gateway.auth.password", true);
        check(auth(json!({ "mode": "none" })), "gateway.auth.password", false);
        check(json!({}), "gateway.remote.token", false);
        check(json!({ "gateway": { "remote": { "url": "wss://x" } } }), "gateway.remote.token", true);
        check(json!({ "gateway": { "mode": "remote" } }), "gateway.remote.password", true);
        check(json!({}), "models.providers.p.apiKey", true);
        check(json!({}), "models.providers.p.headers.x", true);
        check(json!({}), "models.providers.p.request.auth.token", false);
        check(json!({}), "channels.telegram.botToken", true);
        check(json!({}), "channels.telegram.accounts.a.botToken", true);
        check(json!({}), "channels.telegram.webhookSecret", false);
    }
}
