//! What a valid configuration may still lack for a service to start: credentials that exist and settings that fit together.
//!
//! Nothing here stops a reading command; `config validate` shows these as warnings. The messages are whole lines, exact.
//! Whether `gateway.mode` allows a start at all is decided where the service starts.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::issue::{Issue, IssueCode};
use super::settings::{AuthMode, Bind, Settings};
use super::tree;

/// The shared secrets in force, resolved; configuration first, then environment.
#[derive(Clone, Copy, Default)]
pub struct SharedSecrets<'a> {
    pub token: Option<&'a str>,
    pub password: Option<&'a str>,
}

/// Published examples that must not become anybody's secret.
const PLACEHOLDER_TOKENS: [&str; 2] = ["change-me-to-a-long-random-token", "change-me-now"];
const PLACEHOLDER_PASSWORD: &str = "change-me-to-a-strong-password";

/// Everything that keeps a service from starting, in the order of the start checks.
pub fn broken(settings: &Settings, value: &Value, secrets: SharedSecrets<'_>) -> Vec<Issue> {
    let mut out = Vec::new();
    auth(settings, secrets, &mut out);
    bind(settings, &mut out);
    trusted_proxy(settings, &mut out);
    hooks(value, secrets, &mut out);
    out
}

fn report(out: &mut Vec<Issue>, path: &str, message: impl Into<String>) {
    out.push(Issue::at(IssueCode::Rule, path, message));
}

/// The mode that a server uses: configured, else password if there is one, else token.
pub fn effective_mode(settings: &Settings, secrets: SharedSecrets<'_>) -> AuthMode {
    let password = settings.gateway.auth.password.is_some()
        || (secrets.password.is_some() && settings.gateway.auth.token.is_none() && secrets.token.is_none());
    settings.gateway.auth.mode.unwrap_or(if password { AuthMode::Password } else { AuthMode::Token })
}

fn auth(settings: &Settings, secrets: SharedSecrets<'_>, out: &mut Vec<Issue>) {
    let auth = &settings.gateway.auth;
    if auth.mode == Some(AuthMode::Password) && auth.password.is_none() && secrets.password.is_none() {
        report(out, "gateway.auth.password", "Gateway auth is set to password, but no password is configured.");
    }
    if auth.mode.is_none() && auth.token.is_some() && auth.password.is_some() {
        report(
            out,
            "gateway.auth.mode",
            "Invalid config: gateway.auth.token and gateway.auth.password are both configured, but gateway.auth.mode is unset. \
             Set gateway.auth.mode to token or password.",
        );
    }
    let mode = effective_mode(settings, secrets);
    let example = |kind: &str| {
        format!(
            "Invalid config: gateway auth {kind} is set to a published example placeholder. Choose a secret of your own."
        )
    };
    if mode == AuthMode::Token && secrets.token.is_some_and(|token| PLACEHOLDER_TOKENS.contains(&token)) {
        report(out, "gateway.auth.token", example("token"));
    }
    if mode == AuthMode::Password && secrets.password == Some(PLACEHOLDER_PASSWORD) {
        report(out, "gateway.auth.password", example("password"));
    }
}

fn bind(settings: &Settings, out: &mut Vec<Issue>) {
    if settings.gateway.bind != Bind::Custom {
        return;
    }
    match settings.gateway.custom_bind_host.as_deref().map(str::parse::<Ipv4Addr>) {
        Some(Ok(_)) => {}
        Some(Err(_)) => report(out, "gateway.customBindHost", "gateway.customBindHost must be an IPv4 address"),
        None => report(out, "gateway.customBindHost", "gateway.bind=custom requires gateway.customBindHost"),
    }
}

fn trusted_proxy(settings: &Settings, out: &mut Vec<Issue>) {
    let gateway = &settings.gateway;
    if gateway.auth.mode != Some(AuthMode::TrustedProxy) {
        return;
    }
    let but = |what: &str| format!("gateway auth mode is trusted-proxy, but {what}");
    match &gateway.auth.trusted_proxy {
        None => report(
            out,
            "gateway.auth.trustedProxy",
            but("no trustedProxy config was provided (set gateway.auth.trustedProxy)"),
        ),
        Some(proxy) if proxy.user_header.trim().is_empty() => {
            let what = "no user header is named (set gateway.auth.trustedProxy.userHeader)";
            report(out, "gateway.auth.trustedProxy.userHeader", but(what));
        }
        Some(_) => {}
    }
    if gateway.trusted_proxies.is_empty() {
        report(out, "gateway.trustedProxies", but("no proxy address is trusted (set gateway.trustedProxies)"));
    }
    if gateway.auth.token.is_some() {
        report(out, "gateway.auth.token", but("a token is configured too (remove gateway.auth.token)"));
    }
}

fn hooks(value: &Value, secrets: SharedSecrets<'_>, out: &mut Vec<Issue>) {
    if tree::get(value, &["hooks", "enabled"]) != Some(&Value::Bool(true)) {
        return;
    }
    let token = tree::text(value, &["hooks", "token"]).map(str::trim).filter(|token| !token.is_empty());
    match token {
        None => report(out, "hooks.token", "hooks.enabled requires hooks.token"),
        Some(token) if secrets.token == Some(token) => {
            report(out, "hooks.token", "Invalid config: hooks.token must not match gateway auth token.");
        }
        Some(_) => {}
    }
    if tree::text(value, &["hooks", "path"]).is_some_and(|path| path.trim().trim_end_matches('/').is_empty()) {
        report(out, "hooks.path", "hooks.path may not be '/'");
    }
}

/// Why a listener on `host` must not open: it would be reachable by others without any credential.
///
/// `loopback` is a fact about the address that is really bound, whatever the configuration calls it.
pub fn unauthenticated_bind(
    settings: &Settings,
    secrets: SharedSecrets<'_>,
    host: &str,
    port: u16,
    loopback: bool,
) -> Option<String> {
    let protected = match effective_mode(settings, secrets) {
        AuthMode::Token => secrets.token.is_some(),
        AuthMode::Password => secrets.password.is_some(),
        AuthMode::TrustedProxy => true,
        AuthMode::None => false,
    };
    (!loopback && !protected).then(|| {
        format!(
            "refusing to bind gateway to {host}:{port} without auth (set gateway.auth.token/password, or set \
             OPENCLAW_GATEWAY_TOKEN/OPENCLAW_GATEWAY_PASSWORD; gateway.remote.token does not protect the listener)"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: Value, secrets: SharedSecrets<'_>, beginnings: &[&str]) {
        let settings: Settings = serde_json::from_value(value.clone()).unwrap();
        let got: Vec<String> = broken(&settings, &value, secrets).into_iter().map(|issue| issue.message).collect();
        assert_eq!(got.len(), beginnings.len(), "{value}: {got:?}");
        for (got, beginning) in got.iter().zip(beginnings) {
            assert!(got.starts_with(beginning), "{got}");
        }
    }

    fn token(token: &str) -> SharedSecrets<'_> {
        SharedSecrets { token: Some(token), password: None }
    }

    #[test]
    fn one_credential_must_be_meant() {
        let both = json!({ "gateway": { "auth": { "token": "t", "password": "p" } } });
        let text = "Invalid config: gateway.auth.token and gateway.auth.password are both configured, but gateway.auth.mode is \
                    unset. Set gateway.auth.mode to token or password.";
        check(both, SharedSecrets { token: Some("t"), password: Some("p") }, &[text]);
        let none = json!({ "gateway": { "auth": { "mode": "password" } } });
        check(none.clone(), token("t"), &["Gateway auth is set to password, but no password is configured."]);
        check(none, SharedSecrets { token: None, password: Some("from the environment") }, &[]);
    }

    #[test]
    fn published_examples_are_not_secrets() {
        let text = "Invalid config: gateway auth token is set to a published example placeholder";
        let value = json!({ "gateway": { "auth": { "mode": "token", "token": "x" } } });
        check(value.clone(), token("change-me-to-a-long-random-token"), &[text]);
        check(value.clone(), token("change-me-now"), &[text]);
        check(value, token("something else"), &[]);
    }

    #[test]
    fn a_custom_bind_needs_an_address() {
        let custom = |host: Value| json!({ "gateway": { "bind": "custom", "customBindHost": host } });
        check(custom(Value::Null), token("t"), &["gateway.bind=custom requires gateway.customBindHost"]);
        check(custom(json!("box")), token("t"), &["gateway.customBindHost must be an IPv4 address"]);
        check(custom(json!("10.0.0.1")), token("t"), &[]);
    }

    #[test]
    fn a_trusted_proxy_is_complete_and_alone() {
        let text = "gateway auth mode is trusted-proxy, but no trustedProxy config was provided (set gateway.auth.trustedProxy)";
        let addresses = "gateway auth mode is trusted-proxy, but no proxy address is trusted";
        check(
            json!({ "gateway": { "auth": { "mode": "trusted-proxy" } } }),
            SharedSecrets::default(),
            &[text, addresses],
        );
        let auth = json!({ "mode": "trusted-proxy", "token": "t", "trustedProxy": { "userHeader": "x-user" } });
        let full = json!({ "gateway": { "trustedProxies": ["10.0.0.1"], "auth": auth } });
        check(full, token("t"), &["gateway auth mode is trusted-proxy, but a token is configured too"]);
    }

    #[test]
    fn hooks_have_a_path_and_a_token_of_their_own() {
        check(json!({ "hooks": { "enabled": true } }), token("t"), &["hooks.enabled requires hooks.token"]);
        check(
            json!({ "hooks": { "enabled": true, "token": "h", "path": "/" } }),
            token("t"),
            &["hooks.path may not be '/'"],
        );
        let same = json!({ "hooks": { "enabled": true, "token": "t" } });
        check(same, token("t"), &["Invalid config: hooks.token must not match gateway auth token."]);
        check(json!({ "hooks": { "token": "t", "path": "/" } }), token("t"), &[]);
    }

    #[test]
    fn others_reach_the_gateway_only_with_a_credential() {
        let open = |value: Value, secrets, loopback| {
            let settings: Settings = serde_json::from_value(value).unwrap();
            unauthenticated_bind(&settings, secrets, "0.0.0.0", 18789, loopback)
        };
        let text = open(json!({}), SharedSecrets::default(), false).unwrap();
        assert!(text.starts_with("refusing to bind gateway to 0.0.0.0:18789 without auth ("), "{text}");
        assert_eq!(open(json!({}), SharedSecrets::default(), true), None);
        assert_eq!(open(json!({}), token("t"), false), None);
        assert!(open(json!({ "gateway": { "auth": { "mode": "none" } } }), token("t"), false).is_some());
        assert_eq!(
            open(json!({ "gateway": { "auth": { "mode": "trusted-proxy" } } }), SharedSecrets::default(), false),
            None
        );
    }
}
