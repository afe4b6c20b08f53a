//! What clients see of the configuration: the answer of `config.get`, and the errors of writes. No secret leaves here.

use openclaw_actors::config::handle::Snapshot;
use openclaw_actors::config::issue::{ConfigError, Issue, IssueCode};
use openclaw_actors::config::paths::Paths;
use openclaw_actors::config::write::WriteError;
use openclaw_actors::config::{load, parse, redact};
use openclaw_actors::protocol::ErrorShape;
use serde_json::{Value, json};

use crate::gateway::services::RETRY_AFTER_MS;

/// The payload of `config.get`.
///
/// `parsed` is the main file, `sourceConfig` and `config` have its includes, `resolved` has variables replaced and one
/// spelling; all of the file as it is. `runtimeConfig` is what is in force, which differs while a file is invalid, waits
/// for a restart or was written a moment ago.
pub fn answer(paths: &Paths, text: Option<&str>, loaded: Result<Snapshot, ConfigError>, in_force: &Snapshot) -> Value {
    let parsed = text.and_then(|text| parse::config(text).ok()).unwrap_or_else(|| json!({}));
    let (source, resolved, warnings, legacy, problems) = match &loaded {
        Ok(snapshot) => {
            (&snapshot.source, &snapshot.value, notes(&snapshot.warnings), legacy(&snapshot.notes), json!([]))
        }
        Err(error) => (&parsed, &parsed, json!([]), json!([]), issues(error)),
    };
    json!({
        "path": paths.config_path.display().to_string(),
        "exists": text.is_some(),
        "raw": text.and_then(redact::redact_raw),
        "parsed": redact::redact(&parsed),
        "sourceConfig": redact::redact(source),
        "resolved": redact::redact(resolved),
        "valid": loaded.is_ok(),
        "runtimeConfig": redact::redact(&in_force.value),
        "config": redact::redact(source),
        "hash": text.map(load::hash),
        "issues": problems,
        "warnings": warnings,
        "legacyIssues": legacy,
    })
}

/// `[{path, message, allowedValues?}]`
pub fn issues(error: &ConfigError) -> Value {
    error.issues.iter().map(Issue::to_json).collect()
}

fn notes(issues: &[Issue]) -> Value {
    issues.iter().map(Issue::to_note_json).collect()
}

/// Other spellings than the current ones.
fn legacy(notes: &[Issue]) -> Value {
    let is_spelling = |issue: &&Issue| matches!(issue.code, IssueCode::Alias | IssueCode::AliasShadowed);
    notes.iter().filter(is_spelling).map(Issue::to_json).collect()
}

/// A refused write as clients are told.
pub fn refused(error: WriteError) -> ErrorShape {
    let text = error.to_string();
    match error {
        WriteError::Invalid(error) => ErrorShape::invalid(text).with_details(json!({ "issues": issues(&error) })),
        WriteError::Secrets(missing) => {
            let issues: Vec<Value> = missing.iter().map(Issue::to_json).collect();
            ErrorShape::invalid(text).with_details(json!({ "issues": issues }))
        }
        WriteError::Locked(_) => ErrorShape::retry_after(text, RETRY_AFTER_MS),
        WriteError::Io { .. } => ErrorShape::unavailable(text),
        _ => ErrorShape::invalid(text),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use openclaw_actors::config::env::Env;
    use openclaw_actors::config::include::Pending;
    use openclaw_actors::config::paths::{self, PathInputs};

    use super::*;

    fn read(text: Option<&str>) -> Value {
        let env = Env::from_iter([("HOME", "/home/u"), ("KEY", "canary-of-the-environment")]);
        let paths = paths::resolve(&PathInputs { cwd: "/".into(), ..PathInputs::default() }, &env).unwrap();
        let load = |text: Option<&str>| load::from_text(text.map(str::to_owned), &Pending::new(), &paths, &env);
        assert_eq!(paths.config_path, Path::new("/home/u/.openclaw/openclaw.json"));
        answer(&paths, text, load(text), &load(Some("{ gateway: { port: 7 } }")).unwrap())
    }

    #[test]
    fn a_file_is_shown_as_it_is_beside_what_is_in_force() {
        let text = "{ gateway: { port: 8, auth: { token: 'canary-token' } }, // mine\n models: { providers: { p: { baseUrl: 'http://h', apiKey: '${KEY}' } } } }";
        let shown = read(Some(text));
        assert_eq!((&shown["valid"], &shown["exists"], &shown["issues"]), (&json!(true), &json!(true), &json!([])));
        assert_eq!(
            (&shown["config"]["gateway"]["port"], &shown["runtimeConfig"]["gateway"]["port"]),
            (&json!(8), &json!(7))
        );
        assert_eq!(shown["hash"], json!(load::hash(text)));
        assert_eq!(shown["config"]["gateway"]["auth"]["token"], redact::SENTINEL);
        assert_eq!(shown["config"]["models"]["providers"]["p"]["apiKey"], "${KEY}");
        assert!(shown["raw"].as_str().unwrap().contains("// mine"));
        assert!(!shown.to_string().contains("canary"), "{shown}");
    }

    #[test]
    fn a_file_that_does_not_load_is_shown_with_its_issues_and_without_its_secrets() {
        let shown = read(Some("{ gateway: { port: 'x', auth: { token: 'canary-token' } } }"));
        assert_eq!((&shown["valid"], &shown["issues"][0]["path"]), (&json!(false), &json!("gateway.port")));
        assert_eq!(shown["parsed"]["gateway"]["port"], "x");
        assert!(!shown.to_string().contains("canary"), "{shown}");
        let broken = read(Some("{ gateway: { auth: { token: 'canary-token' }"));
        assert_eq!((&broken["valid"], &broken["raw"], &broken["config"]), (&json!(false), &Value::Null, &json!({})));
        assert_eq!(broken["hash"].as_str().map(str::len), Some(64));
        assert!(!broken.to_string().contains("canary"), "{broken}");
    }

    #[test]
    fn no_file_is_an_empty_configuration() {
        let shown = read(None);
        assert_eq!((&shown["exists"], &shown["valid"], &shown["hash"]), (&json!(false), &json!(true), &Value::Null));
        assert_eq!(shown["config"], json!({}));
    }

    #[test]
    fn a_refused_write_says_what_is_wrong_and_whether_a_retry_helps() {
        let issue = Issue::at(IssueCode::Invalid, "gateway.port", "Invalid input: expected number, received string");
        let error = refused(WriteError::Invalid(issue.into()));
        assert_eq!(error.message, "invalid config: gateway.port: Invalid input: expected number, received string");
        assert_eq!(error.details.unwrap()["issues"][0]["path"], "gateway.port");
        assert_eq!(refused(WriteError::Locked("/x".into())).retryable, Some(true));
        assert_eq!(
            refused(WriteError::BaseHashRequired).message,
            "config base hash required; re-run config.get and retry"
        );
    }
}
