//! Changes that a client makes to a session's preferences: which keys there are and what they accept.
//!
//! A patch is applied whole or not at all. Source: `sessions.patch` of 2026.5.12.

use serde_json::{Map, Value};

use super::entry::SessionEntry;
use super::thinking::{COMMON_LEVELS, ThinkLevel, names};
use crate::protocol::session_calls::LABEL_CHARS_MAX;

/// Preferences that are one of a few words; they live among the entry's fields under the same name.
const CHOICES: [(&str, &[&str]); 11] = [
    ("verboseLevel", &["on", "off", "full"]),
    ("traceLevel", &["on", "off"]),
    ("reasoningLevel", &["on", "off", "stream"]),
    ("elevatedLevel", &["on", "off", "ask", "full"]),
    ("responseUsage", &["off", "tokens", "full"]),
    ("sendPolicy", &["allow", "deny"]),
    ("groupActivation", &["mention", "always"]),
    ("execHost", &["auto", "sandbox", "gateway", "node"]),
    ("execSecurity", &["deny", "allowlist", "full"]),
    ("execAsk", &["off", "on-miss", "always"]),
    ("subagentRole", &["orchestrator", "leaf"]),
];

/// Preferences that are any non-empty text.
const TEXTS: [&str; 4] = ["execNode", "spawnedBy", "spawnedWorkspaceDir", "subagentControlScope"];

impl SessionEntry {
    /// Applies the preferences of a `sessions.patch`; `null` clears one, unknown keys are ignored.
    ///
    /// `model` is not applied here: the session does that with [`SessionEntry::override_model`].
    /// The error is the whole text for the client.
    pub fn patch(&mut self, changes: &Map<String, Value>) -> Result<(), String> {
        let mut fields = match self.to_value() {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        for (key, value) in changes {
            match accepted(key, value)? {
                Change::Ignore => {}
                Change::Clear => drop(fields.shift_remove(key)),
                Change::Set(value) => drop(fields.insert(key.clone(), value)),
            }
        }
        *self = SessionEntry::from_value(Value::Object(fields)).ok_or("the session has no id")?;
        Ok(())
    }
}

enum Change {
    Ignore,
    Clear,
    Set(Value),
}

/// What one key of a patch does.
fn accepted(key: &str, value: &Value) -> Result<Change, String> {
    let choices = CHOICES.iter().find(|(name, _)| *name == key).map(|(_, choices)| *choices);
    let known = choices.is_some()
        || TEXTS.contains(&key)
        || matches!(key, "label" | "thinkingLevel" | "fastMode" | "spawnDepth");
    if !known {
        return Ok(Change::Ignore);
    }
    if value.is_null() {
        return Ok(Change::Clear);
    }
    if let Some(choices) = choices {
        return choice(key, value, choices).map(Change::Set);
    }
    match key {
        "label" => label(value).map(Change::Set),
        "thinkingLevel" => thinking(value).map(Change::Set),
        "fastMode" if value.is_boolean() => Ok(Change::Set(value.clone())),
        "fastMode" => Err("invalid fastMode (use true or false)".into()),
        "spawnDepth" if value.is_u64() => Ok(Change::Set(value.clone())),
        "spawnDepth" => Err("invalid spawnDepth: must be integer".into()),
        _ => text(key, value).map(|text| Change::Set(text.into())),
    }
}

fn choice(key: &str, value: &Value, choices: &[&str]) -> Result<Value, String> {
    let given = value.as_str().map(|text| text.trim().to_lowercase()).unwrap_or_default();
    // `on` is what older clients send for the short usage line
    let given = if key == "responseUsage" && given == "on" { "tokens".to_owned() } else { given };
    if choices.contains(&given.as_str()) {
        return Ok(given.into());
    }
    let offered: Vec<String> = choices.iter().map(|choice| format!("{choice:?}")).collect();
    Err(format!("invalid {key} (use {})", offered.join("|")))
}

fn thinking(value: &Value) -> Result<Value, String> {
    match value.as_str().and_then(ThinkLevel::parse) {
        Some(level) => Ok(level.as_str().into()),
        None => Err(format!("invalid thinkingLevel (use {})", names(&COMMON_LEVELS, "|"))),
    }
}

fn label(value: &Value) -> Result<Value, String> {
    let label = text("label", value)?;
    if label.chars().count() > LABEL_CHARS_MAX {
        return Err(format!("invalid label: too long (max {LABEL_CHARS_MAX})"));
    }
    Ok(label.into())
}

fn text(key: &str, value: &Value) -> Result<String, String> {
    match value.as_str().map(str::trim) {
        Some("") => Err(format!("invalid {key}: empty")),
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("invalid {key}: must be string")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(entry: &mut SessionEntry, changes: Value) -> Result<(), String> {
        entry.patch(changes.as_object().unwrap())
    }

    #[test]
    fn preferences_are_set_in_their_canonical_form_and_cleared_by_null() {
        let mut entry = SessionEntry::new("s", 1);
        patch(
            &mut entry,
            json!({"label": " L ", "thinkingLevel": "Mid", "fastMode": true, "verboseLevel": "FULL",
                   "responseUsage": "on", "execHost": "gateway", "sendPolicy": "deny", "whatever": 1}),
        )
        .unwrap();
        assert_eq!((entry.label.as_deref(), entry.thinking_level.as_deref()), (Some("L"), Some("medium")));
        assert_eq!((entry.fast_mode, entry.verbose_level.as_deref()), (Some(true), Some("full")));
        assert_eq!((entry.response_usage.as_deref(), entry.send_policy.as_deref()), (Some("tokens"), Some("deny")));
        assert_eq!(entry.other, *json!({"execHost": "gateway"}).as_object().unwrap());
        patch(&mut entry, json!({"label": null, "thinkingLevel": null, "execHost": null})).unwrap();
        assert_eq!((entry.label.as_deref(), entry.thinking_level.as_deref()), (None, None));
        assert!(entry.other.is_empty());
    }

    #[test]
    fn what_a_preference_does_not_accept_is_refused_with_what_it_does() {
        for (changes, text) in [
            (json!({"thinkingLevel": "banana"}), "invalid thinkingLevel (use off|minimal|low|medium|high)"),
            (json!({"verboseLevel": "loud"}), r#"invalid verboseLevel (use "on"|"off"|"full")"#),
            (json!({"sendPolicy": true}), r#"invalid sendPolicy (use "allow"|"deny")"#),
            (json!({"fastMode": "yes"}), "invalid fastMode (use true or false)"),
            (json!({"label": "  "}), "invalid label: empty"),
            (json!({"label": "x".repeat(513)}), "invalid label: too long (max 512)"),
            (json!({"execNode": 5}), "invalid execNode: must be string"),
            (json!({"spawnDepth": -1}), "invalid spawnDepth: must be integer"),
        ] {
            assert_eq!(patch(&mut SessionEntry::new("s", 1), changes).unwrap_err(), text);
        }
    }

    #[test]
    fn a_refused_patch_changes_nothing() {
        let mut entry = SessionEntry::new("s", 1);
        let before = entry.clone();
        assert!(patch(&mut entry, json!({"label": "new", "verboseLevel": "loud"})).is_err());
        assert_eq!(entry, before);
    }

    #[test]
    fn a_patch_cannot_touch_identity_or_counters() {
        let mut entry = SessionEntry::new("s", 1);
        let before = entry.clone();
        patch(&mut entry, json!({"sessionId": "x", "totalTokens": 1, "status": "done", "model": "a/b"})).unwrap();
        assert_eq!(entry, before);
    }
}
