//! The shape of SecretRefs and of their providers: what can be said without touching a secret.
//!
//! Source: secrets reference of 2026.5.12; the texts are exact.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::issue::{Issue, IssueCode, dotted};

/// Provider that always exists for environment variables.
pub const ENV_PROVIDER: &str = "default";

const ENV_ID: &str = "^[A-Z][A-Z0-9_]{0,127}$";
const EXEC_ID: &str = "^[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}$";
const PROVIDER: &str = "^[a-z][a-z0-9_-]{0,63}$";

/// The keys of a reference. None of them is secret; any other may be.
pub const KEYS: [&str; 3] = ["source", "provider", "id"];

/// Is this object meant as a reference? Then its mistakes are reported as those of a reference.
pub fn looks_like_ref(value: &Value) -> bool {
    let text = |key: &str| value.get(key).is_some_and(Value::is_string);
    text("source") && text("id")
}

/// The issue of a reference at a place that takes plain text only.
pub fn unsupported(at: &[String]) -> Issue {
    let message = format!(
        "SecretRef objects are not supported at {}. Use a plain value or \"${{NAME}}\" with an environment variable.",
        dotted(at)
    );
    Issue::new(IssueCode::Invalid, at, message)
}

/// What is wrong with the reference at `at`, given the providers of `config`.
pub fn issues(at: &[String], value: &Value, config: &Value) -> Vec<Issue> {
    let Some(object) = value.as_object() else { return Vec::new() };
    let mut out = Vec::new();
    let mut report = |key: &str, message: String| {
        let mut keys = at.to_vec();
        keys.extend((!key.is_empty()).then(|| key.to_owned()));
        out.push(Issue::new(IssueCode::Invalid, &keys, message));
    };
    let source = object.get("source").and_then(Value::as_str).unwrap_or_default();
    let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
    let unknown: Vec<String> = unknown_keys(object, &["source", "provider", "id"]);
    if !unknown.is_empty() {
        report("", unrecognized(&unknown));
    }
    if !matches!(source, "env" | "file" | "exec") {
        report("source", "Invalid input (allowed: \"env\", \"file\", \"exec\")".to_owned());
        return out;
    }
    match object.get("provider") {
        None | Some(Value::String(_)) => {
            let named = object.get("provider").and_then(Value::as_str);
            if let Some(message) = provider_message(source, named, config) {
                report("provider", message);
            }
        }
        Some(_) => report("provider", "Invalid input: expected string".to_owned()),
    }
    if let Some(message) = id_message(source, id) {
        report("id", message);
    }
    out
}

/// The provider a reference means: its own, else the default of its source, else `default` for the environment.
pub fn provider_of<'a>(source: &str, named: Option<&'a str>, config: &'a Value) -> Option<&'a str> {
    let default = || config.get("secrets")?.get("defaults")?.get(source)?.as_str();
    named.or_else(default).or((source == "env").then_some(ENV_PROVIDER))
}

fn provider_message(source: &str, named: Option<&str>, config: &Value) -> Option<String> {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PROVIDER).ok());
    let Some(provider) = provider_of(source, named, config) else {
        return Some(format!("secret provider is required (or set secrets.defaults.{source})"));
    };
    if !matches(&NAME, provider) {
        return Some(format!("Secret reference provider must match /{PROVIDER}/."));
    }
    let defined = config.get("secrets").and_then(|s| s.get("providers")).and_then(|p| p.get(provider));
    match defined.and_then(|p| p.get("source")).and_then(Value::as_str) {
        Some(other) if other != source => {
            Some(format!("secret provider \"{provider}\" has source \"{other}\", not \"{source}\""))
        }
        None if (source, provider) != ("env", ENV_PROVIDER) => {
            Some(format!("secret provider \"{provider}\" is not defined in secrets.providers"))
        }
        _ => None,
    }
}

/// What is wrong with the id of a reference.
pub fn id_message(source: &str, id: &str) -> Option<String> {
    static ENV: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(ENV_ID).ok());
    static EXEC: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(EXEC_ID).ok());
    let dots = || id.split('/').any(|segment| segment == "." || segment == "..");
    match source {
        "env" if !matches(&ENV, id) => {
            Some(format!("Env secret reference id must match /{ENV_ID}/ (example: \"OPENAI_API_KEY\")."))
        }
        "exec" if !matches(&EXEC, id) || dots() => Some(format!(
            "Exec secret reference id must match /{EXEC_ID}/ and must not include \".\" or \"..\" path segments \
             (example: \"vault/openai/api-key\")."
        )),
        "file" if id != "value" && !is_pointer(id) => Some(
            "File secret reference id must be an absolute JSON pointer (example: \"/providers/openai/apiKey\"), or \"value\" \
             for singleValue mode."
                .to_owned(),
        ),
        _ => None,
    }
}

/// A JSON pointer with only the escapes `~0` and `~1`.
fn is_pointer(id: &str) -> bool {
    id.starts_with('/') && id.split('~').skip(1).all(|after| after.starts_with(['0', '1']))
}

fn matches(regex: &LazyLock<Option<Regex>>, text: &str) -> bool {
    regex.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// What the table cannot say about `secrets.providers`: which fields belong to which source.
pub fn provider_issues(providers: &Value) -> Vec<Issue> {
    let mut out = Vec::new();
    for (name, provider) in providers.as_object().into_iter().flatten() {
        let Some(object) = provider.as_object() else { continue };
        let mut report = |key: Option<&str>, message: String| {
            let keys: Vec<&str> = ["secrets", "providers", name.as_str()].into_iter().chain(key).collect();
            out.push(Issue::new(IssueCode::Invalid, &keys, message));
        };
        let (fields, needed): (&[&str], &str) = match object.get("source").and_then(Value::as_str) {
            Some("env") => (&["source", "allowlist"], "source"),
            Some("file") => (&["source", "path", "mode", "timeoutMs", "maxBytes", "allowInsecurePath"], "path"),
            Some("exec") => (&EXEC_FIELDS, "command"),
            _ => continue,
        };
        let unknown = unknown_keys(object, fields);
        if !unknown.is_empty() {
            report(None, unrecognized(&unknown));
        }
        if !object.contains_key(needed) {
            report(Some(needed), "Invalid input: expected string, received undefined".to_owned());
        }
        if object.get("command").and_then(Value::as_str).is_some_and(|command| !command.starts_with('/')) {
            report(Some("command"), "secrets.providers.*.command must be an absolute path.".to_owned());
        }
    }
    out
}

const EXEC_FIELDS: [&str; 12] = [
    "source",
    "command",
    "args",
    "passEnv",
    "env",
    "jsonOnly",
    "timeoutMs",
    "noOutputTimeoutMs",
    "maxOutputBytes",
    "allowSymlinkCommand",
    "trustedDirs",
    "allowInsecurePath",
];

fn unknown_keys(object: &Map<String, Value>, known: &[&str]) -> Vec<String> {
    object.keys().filter(|key| !known.contains(&key.as_str())).map(|key| format!("\"{key}\"")).collect()
}

fn unrecognized(quoted: &[String]) -> String {
    format!("Unrecognized key{}: {}", if quoted.len() == 1 { "" } else { "s" }, quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(reference: Value, expected: &[&str]) {
        let config = json!({ "secrets": {
            "defaults": { "exec": "vault" },
            "providers": { "vault": { "source": "exec", "command": "/v" }, "f": { "source": "file", "path": "/f" } },
        } });
        let got: Vec<String> = issues(&["k".to_owned()], &reference, &config).iter().map(Issue::to_string).collect();
        assert_eq!(got, expected, "{reference}");
    }

    #[test]
    fn references_are_checked_by_source_provider_and_id() {
        check(json!({ "source": "env", "id": "A_KEY" }), &[]);
        check(json!({ "source": "exec", "id": "a/b" }), &[]);
        check(json!({ "source": "file", "provider": "f", "id": "/a/~0~1" }), &[]);
        check(json!({ "source": "file", "provider": "f", "id": "value" }), &[]);
        check(
            json!({ "source": "file", "id": "/a" }),
            &["k.provider: secret provider is required (or set secrets.defaults.file)"],
        );
        check(
            json!({ "source": "env", "provider": "f", "id": "A" }),
            &["k.provider: secret provider \"f\" has source \"file\", not \"env\""],
        );
        check(
            json!({ "source": "exec", "provider": "none", "id": "a" }),
            &["k.provider: secret provider \"none\" is not defined in secrets.providers"],
        );
        check(json!({ "source": "env", "id": "A", "x": 1 }), &["k: Unrecognized key: \"x\""]);
        check(
            json!({ "source": "store", "id": "A" }),
            &["k.source: Invalid input (allowed: \"env\", \"file\", \"exec\")"],
        );
    }

    #[test]
    fn ids_that_could_walk_or_inject_are_refused() {
        for (source, id) in [
            ("env", "openai_key"),
            ("env", "A B"),
            ("exec", "a/../b"),
            ("exec", "./a"),
            ("exec", "-rf"),
            ("file", "a/b"),
            ("file", "/a~2"),
        ] {
            assert!(id_message(source, id).is_some(), "{source} {id}");
        }
    }

    #[test]
    fn provider_fields_belong_to_their_source() {
        let providers = json!({
            "e": { "source": "env", "path": "/x" },
            "f": { "source": "file" },
            "v": { "source": "exec", "command": "vault" },
        });
        let got: Vec<String> = provider_issues(&providers).iter().map(Issue::to_string).collect();
        let expected = [
            "secrets.providers.e: Unrecognized key: \"path\"",
            "secrets.providers.f.path: Invalid input: expected string, received undefined",
            "secrets.providers.v.command: secrets.providers.*.command must be an absolute path.",
        ];
        assert_eq!(got, expected);
    }
}
