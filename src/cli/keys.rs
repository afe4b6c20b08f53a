//! The few configuration keys that a client command needs: where the gateway listens and how to prove who we are.
//!
//! Read straight from the file when it is plain enough to be read that way, because most commands need nothing else and should
//! answer at once; otherwise from the whole configuration. Both ways end in the same pure function.

use openclaw_actors::config::parse;
use serde_json::{Map, Value};

/// What a client command needs to know. Secrets are resolved; `Debug` shows none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GatewayKeys {
    pub remote_mode: bool,
    pub port: Option<u16>,
    /// `loopback` when unset.
    pub bind: Option<String>,
    pub custom_bind_host: Option<String>,
    pub auth_mode: Option<String>,
    pub tls: bool,
    pub token: Option<String>,
    pub password: Option<String>,
    pub remote_url: Option<String>,
    pub remote_token: Option<String>,
    pub remote_password: Option<String>,
    /// `logging.file`
    pub log_file: Option<String>,
}

impl std::fmt::Debug for GatewayKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayKeys").field("port", &self.port).field("bind", &self.bind).finish_non_exhaustive()
    }
}

impl GatewayKeys {
    /// Reads them from a configuration. `secret` gives the text behind a value that may be a reference.
    pub fn read(config: &Value, secret: &dyn Fn(&Value) -> Option<String>) -> Self {
        let at = |path: &str| config.pointer(&format!("/{}", path.replace('.', "/")));
        let text = |path: &str| at(path).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let secret = |path: &str| at(path).and_then(secret).filter(|text| !text.is_empty());
        Self {
            remote_mode: text("gateway.mode").as_deref() == Some("remote"),
            port: at("gateway.port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()),
            bind: text("gateway.bind"),
            custom_bind_host: text("gateway.customBindHost"),
            auth_mode: text("gateway.auth.mode"),
            tls: at("gateway.tls.enabled").and_then(Value::as_bool).unwrap_or(false),
            token: secret("gateway.auth.token"),
            password: secret("gateway.auth.password"),
            remote_url: text("gateway.remote.url"),
            remote_token: secret("gateway.remote.token"),
            remote_password: secret("gateway.remote.password"),
            log_file: text("logging.file"),
        }
    }

    pub fn auth_is_none(&self) -> bool {
        self.auth_mode.as_deref() == Some("none")
    }

    /// The mode that the gateway will end up with: the configured one, else what the credentials suggest.
    pub fn auth_mode_effective(&self) -> &str {
        match (&self.auth_mode, &self.password) {
            (Some(mode), _) => mode,
            (None, Some(_)) => "password",
            (None, None) => "token",
        }
    }

    pub fn bind_mode(&self) -> &str {
        self.bind.as_deref().unwrap_or("loopback")
    }
}

/// Reads a file's text without validating it. `None`: it holds something that only the full loader understands.
pub fn plain(text: &str) -> Option<GatewayKeys> {
    let Ok(Value::Object(root)) = parse::json5(text) else { return None };
    is_plain(&root).then(|| GatewayKeys::read(&Value::Object(root), &|value| value.as_str().map(str::to_owned)))
}

/// Root keys that say the same as a canonical key in other words, pull in other files, or change the environment.
const INDIRECT: [&str; 5] = ["$include", "security", "https", "auth", "env"];
/// Spellings of `gateway.*` that stand for another key.
const OTHER_SPELLINGS: [&str; 3] = ["token", "host", "logLevel"];
/// In one of the sections that are read: a variable, an include, a reference to a secret.
const MARKS: [&str; 3] = ["${", "\"$include\"", "\"source\""];

/// Errs on the safe side: a mark inside an innocent text only costs the shortcut.
fn is_plain(root: &Map<String, Value>) -> bool {
    let sections = ["gateway", "logging"].map(|key| root.get(key).map(Value::to_string).unwrap_or_default());
    let marked = sections.iter().any(|text| MARKS.iter().any(|mark| text.contains(mark)));
    let gateway = root.get("gateway");
    let respelled = OTHER_SPELLINGS.iter().any(|key| gateway.is_some_and(|gateway| gateway.get(key).is_some()));
    !INDIRECT.iter().any(|key| root.contains_key(*key)) && !marked && !respelled
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plain_file_is_read_without_the_loader() {
        let keys =
            plain("{ gateway: { mode: 'local', port: 2000, auth: { token: 'canary' } }, agents: { x: '${Y}' } }")
                .unwrap();
        assert_eq!((keys.port, keys.token.as_deref(), keys.bind_mode()), (Some(2000), Some("canary"), "loopback"));
        assert!(!keys.remote_mode && !keys.auth_is_none());
    }

    #[test]
    fn anything_indirect_needs_the_loader() {
        for text in [
            "{ $include: './a.json5' }",
            "{ gateway: { $include: './a.json5' } }",
            "{ gateway: { auth: { token: '${TOKEN}' } } }",
            "{ gateway: { auth: { token: { source: 'env', id: 'TOKEN' } } } }",
            "{ gateway: { token: 'old' } }",
            "{ security: { accessToken: 'x' } }",
            "{ env: { A: 'b' } }",
            "{ gateway: ",
        ] {
            assert!(plain(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_mode_follows_the_credentials_when_it_is_not_said() {
        let mode = |gateway| {
            let keys = GatewayKeys::read(&json!({ "gateway": gateway }), &|value| value.as_str().map(str::to_owned));
            keys.auth_mode_effective().to_owned()
        };
        assert_eq!(mode(json!({})), "token");
        assert_eq!(mode(json!({ "auth": { "password": "p" } })), "password");
        assert_eq!(mode(json!({ "auth": { "password": "p", "mode": "none" } })), "none");
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let keys = GatewayKeys { token: Some("canary".into()), ..GatewayKeys::default() };
        assert!(!format!("{keys:?}").contains("canary"));
    }
}
