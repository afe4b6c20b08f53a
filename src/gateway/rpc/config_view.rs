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
