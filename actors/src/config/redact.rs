//! Secrets out of what others see, and back in when the same text returns.
//!
//! Every text at a sensitive path leaves as [`SENTINEL`]; on a write the sentinel becomes the stored value of the same place again.
//! SecretRefs and `${NAME}` name a secret without being one: they stay visible.
//! Source: security reference of 2026.5.12, redaction; the whole subtrees `env` and `headers` are an addition.

use std::sync::LazyLock;

use jsonc_parser::ast::Value as Ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, parse_to_ast};
use regex::Regex;
use serde_json::Value;

use super::issue::{Issue, IssueCode};
use super::position::parse_options;
use super::substitute::whole_variable;
use super::{secret_ref, tree};

/// What a secret looks like outside.
pub const SENTINEL: &str = "__OPENCLAW_REDACTED__";
/// What a secret part of a URL looks like outside.
const STARS: &str = "***";
/// Shortest value that is searched for in comments; shorter ones would hide ordinary words.
const SEARCHED_MIN: usize = 4;

/// Is the text at these keys a secret?
pub fn is_sensitive(keys: &[String]) -> bool {
    let named: Vec<&str> = keys.iter().map(String::as_str).filter(|key| key.parse::<usize>().is_err()).collect();
    let Some((last, parents)) = named.split_last() else { return false };
    parents.iter().any(|key| matches!(*key, "env" | "headers")) || is_sensitive_name(last)
}

fn is_sensitive_name(name: &str) -> bool {
    const SUFFIXES: [&str; 3] = ["token", "serviceaccount", "serviceaccountref"];
    const PARTS: [&str; 6] = ["password", "secret", "apikey", "api_key", "api-key", "api.key"];
    const HARMLESS: [&str; 10] = [
        "maxtokens",
        "maxoutputtokens",
        "maxinputtokens",
        "maxcompletiontokens",
        "contexttokens",
        "totaltokens",
        "tokencount",
        "tokenlimit",
        "tokenbudget",
        "passwordfile",
    ];
    let name = name.to_ascii_lowercase();
    let keyed = |word: &str| name.find(word).is_some_and(|at| name[at + word.len()..].contains("key"));
    !HARMLESS.iter().any(|suffix| name.ends_with(suffix))
        && (SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
            || PARTS.iter().any(|part| name.contains(part))
            || keyed("encrypt")
            || keyed("private"))
}

/// The text as others may see it; `None` when it may be seen as it is.
fn hidden(keys: &[String], text: &str) -> Option<String> {
    if text.is_empty() || whole_variable(text).is_some() {
        return None;
    }
    if is_sensitive(keys) {
        return Some(SENTINEL.to_owned());
    }
    let shown = redact_url(text);
    (shown != text).then_some(shown)
}

/// URLs without their credentials: user info and secret query values become `***`.
pub fn redact_url(text: &str) -> String {
    const QUERY: &str = "token|key|api_key|apikey|secret|access_token|auth_token|password|pass|passwd|auth|client_secret|hook_token\
                         |refresh_token|signature";
    static USER: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"([a-zA-Z][a-zA-Z0-9+.-]*://)[^/?#\s@]+@").ok());
    static PAIR: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(&format!("(?i)([?&](?:{QUERY})=)[^&#\\s]+")).ok());
    let (Some(user), Some(pair)) = (USER.as_ref(), PAIR.as_ref()) else { return STARS.to_owned() };
    if !text.contains("://") {
        return text.to_owned();
    }
    let text = user.replace_all(text, format!("${{1}}{STARS}@"));
    pair.replace_all(&text, format!("${{1}}{STARS}")).into_owned()
}

/// The value as others may see it.
pub fn redact(value: &Value) -> Value {
    redact_at(value, &mut Vec::new())
}

/// The same for a part of a configuration that is at `keys`.
pub fn redact_below(value: &Value, keys: &[String]) -> Value {
    redact_at(value, &mut keys.to_vec())
}

fn redact_at(value: &Value, at: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) => hidden(at, text).map_or_else(|| value.clone(), Value::String),
        Value::Number(_) if at.last().is_some_and(|key| is_sensitive_name(key)) => Value::String(SENTINEL.to_owned()),
        Value::Object(object)
            if secret_ref::looks_like_ref(value)
                && object.keys().all(|key| secret_ref::KEYS.contains(&key.as_str())) =>
        {
            value.clone()
        }
        Value::Array(array) => {
            let items = array.iter().enumerate();
            Value::Array(items.map(|(index, item)| at_key(at, &index.to_string(), |at| redact_at(item, at))).collect())
        }
        Value::Object(object) => {
            let entries = object.iter();
            Value::Object(entries.map(|(key, item)| (key.clone(), at_key(at, key, |at| redact_at(item, at)))).collect())
        }
        other => other.clone(),
    }
}

fn at_key<T>(at: &mut Vec<String>, key: &str, visit: impl FnOnce(&mut Vec<String>) -> T) -> T {
    at.push(key.to_owned());
    let result = visit(at);
    at.pop();
    result
}

/// The authored text with its secrets replaced, comments and layout kept.
///
/// `None` when that is impossible: the text is broken, or a secret also stands somewhere else, say in a comment.
pub fn redact_raw(text: &str) -> Option<String> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &parse_options()).ok()?;
    let mut spans = Vec::new();
    collect(parsed.value.as_ref()?, &mut Vec::new(), &mut spans);
    let mut out = text.to_owned();
    for (start, end, shown, _) in spans.iter().rev() {
        out.replace_range(*start..*end, &Value::String(shown.clone()).to_string());
    }
    let leaks = |secret: &str| secret.len() >= SEARCHED_MIN && out.contains(secret);
    if spans.iter().any(|(_, _, _, secret)| leaks(secret)) { None } else { Some(out) }
}

/// Start, end, what to show, the secret; in text order.
type Span = (usize, usize, String, String);

fn collect(node: &Ast<'_>, at: &mut Vec<String>, spans: &mut Vec<Span>) {
    match node {
        Ast::StringLit(text) => {
            if let Some(shown) = hidden(at, &text.value) {
                spans.push((node.start(), node.end(), shown, text.value.clone().into_owned()));
            }
        }
        Ast::NumberLit(number) if at.last().is_some_and(|key| is_sensitive_name(key)) => {
            spans.push((node.start(), node.end(), SENTINEL.to_owned(), number.value.to_owned()));
        }
        Ast::Array(array) => {
            for (index, item) in array.elements.iter().enumerate() {
                at_key(at, &index.to_string(), |at| collect(item, at, spans));
            }
        }
        Ast::Object(object) => {
            let has = |key: &str| object.properties.iter().any(|p| p.name.as_str() == key);
            let own = object.properties.iter().all(|p| secret_ref::KEYS.contains(&p.name.as_str()));
            if own && has("source") && has("id") {
                return; // a SecretRef
            }
            for property in &object.properties {
                at_key(at, property.name.as_str(), |at| collect(&property.value, at, spans));
            }
        }
        _ => {}
    }
}

/// Puts stored secrets back where `submitted` shows their replacement at the same place.
///
/// Array elements belong together by `id`, else by index when the lengths are equal. A sentinel with nothing stored is an error.
pub fn restore(submitted: Value, stored: &Value) -> Result<Value, Issue> {
    restore_at(submitted, Some(stored), &mut Vec::new())
}

fn restore_at(submitted: Value, stored: Option<&Value>, at: &mut Vec<String>) -> Result<Value, Issue> {
    match submitted {
        Value::String(text) => match stored {
            Some(Value::String(old)) if hidden(at, old).as_ref() == Some(&text) => Ok(Value::String(old.clone())),
            Some(old @ Value::Number(_)) if text == SENTINEL => Ok(old.clone()),
            _ if text == SENTINEL => Err(Issue::new(IssueCode::Invalid, at, "redacted placeholder is not a value")),
            _ => Ok(Value::String(text)),
        },
        Value::Array(items) => {
            let old = stored.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let same_length = old.len() == items.len();
            let items: Result<Vec<Value>, Issue> = items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    let twin = match item.get("id") {
                        Some(id) => old.iter().find(|o| o.get("id") == Some(id)),
                        None => old.get(index).filter(|_| same_length),
                    };
                    at_key(at, &index.to_string(), |at| restore_at(item, twin, at))
                })
                .collect();
            items.map(Value::Array)
        }
        Value::Object(object) => {
            let restored: Result<_, Issue> = object
                .into_iter()
                .map(|(key, item)| {
                    let twin = stored.and_then(|stored| stored.get(&key));
                    let item = at_key(at, &key, |at| restore_at(item, twin, at))?;
                    Ok((key, item))
                })
                .collect();
            restored.map(Value::Object)
        }
        other => Ok(other),
    }
}

/// Does a value stand for a secret instead of being one? Such a file must not become the last good one.
pub fn has_placeholder(value: &Value) -> bool {
    let mut found = false;
    tree::each_text(value, &mut Vec::new(), &mut |at, text| {
        found |= text == SENTINEL || (text == STARS && is_sensitive(at));
    });
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sensitive_paths_are_known_by_their_last_name_or_their_subtree() {
        let check = |path: &str, expected: bool| {
            let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
            assert_eq!(is_sensitive(&keys), expected, "{path}");
        };
        for path in [
            "gateway.auth.token",
            "gateway.auth.password",
            "models.providers.p.apiKey",
            "a.API_KEY",
            "a.api-key",
            "x.appSecret",
            "x.encryptKey",
            "x.privateKey",
            "x.serviceAccountRef",
            "env.HOME",
            "env.vars.X",
            "skills.entries.s.env.X",
            "models.providers.p.headers.x-anything",
            "a.tokens.0.botToken",
            "x.secret.0",
        ] {
            check(path, true);
        }
        for path in [
            "a.maxTokens",
            "a.contextTokens",
            "a.passwordFile",
            "a.tokenBudget",
            "secrets.defaults.env",
            "gateway.port",
            "a.keyboard",
            "models.providers.p.models.0.id",
        ] {
            check(path, false);
        }
    }

    #[test]
    fn secrets_leave_and_references_stay() {
        let value = json!({
            "gateway": { "auth": { "token": "abc", "password": "${PW}" }, "remote": { "url": "wss://u:p@h/x?token=t&a=1" } },
            "models": { "providers": { "p": { "apiKey": { "source": "env", "id": "K" }, "headers": { "a": "b" } } } },
            "hooks": { "token": "" }, "x": { "password": 1234 },
        });
        let shown = json!({
            "gateway": { "auth": { "token": SENTINEL, "password": "${PW}" }, "remote": { "url": "wss://***@h/x?token=***&a=1" } },
            "models": { "providers": { "p": { "apiKey": { "source": "env", "id": "K" }, "headers": { "a": SENTINEL } } } },
            "hooks": { "token": "" }, "x": { "password": SENTINEL },
        });
        assert_eq!(redact(&value), shown);
        assert_eq!(restore(shown, &value).unwrap(), value);
    }

    #[test]
    fn arrays_find_their_secrets_by_id_then_by_index() {
        let stored =
            json!({ "a": [{ "id": "x", "token": "1" }, { "id": "y", "token": "2" }], "b": [{ "token": "3" }] });
        let back = json!({ "a": [{ "id": "y", "token": SENTINEL }], "b": [{ "token": SENTINEL }] });
        let expected = json!({ "a": [{ "id": "y", "token": "2" }], "b": [{ "token": "3" }] });
        assert_eq!(restore(back, &stored).unwrap(), expected);
        let lost = restore(json!({ "b": [{ "token": SENTINEL }, { "token": "n" }] }), &stored).unwrap_err();
        assert_eq!(lost.to_string(), "b.0.token: redacted placeholder is not a value");
    }

    #[test]
    fn raw_text_keeps_its_layout_or_is_withheld() {
        let text = "{\n  // mine\n  gateway: { auth: { token: 'canary-1' } }, // end\n  a: { $token: 5 },\n}\n";
        let shown = redact_raw(text).unwrap();
        assert_eq!(
            shown,
            text.replace("'canary-1'", "\"__OPENCLAW_REDACTED__\"").replace("5", "\"__OPENCLAW_REDACTED__\"")
        );
        assert_eq!(redact_raw("{ token: 'canary-1' /* was canary-1 */ }"), None);
        assert_eq!(redact_raw("{ token: 'canary-1'"), None);
    }

    #[test]
    fn placeholders_are_recognised() {
        assert!(has_placeholder(&json!({ "a": [SENTINEL] })));
        assert!(has_placeholder(&json!({ "token": "***" })));
        assert!(!has_placeholder(&json!({ "note": "***", "token": "x" })));
    }
}
