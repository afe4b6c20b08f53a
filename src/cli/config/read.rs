//! `config get`, `config validate` and `config file`: nothing here writes.

use clap::Args;
use openclaw_actors::config::{ConfigError, Issue, Snapshot, key_path, redact, schema, tree};
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};

/// Print one value; secrets stay hidden
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw config get gateway.mode
  openclaw config get 'agents.list[id=ops]' --json")]
pub struct GetArgs {
    /// Place in the file: a.b, a[0].b, a[\"key.with.dots\"], list[id=name]
    #[arg(value_name = "path")]
    pub path: String,
    /// Print the value as JSON
    #[arg(long)]
    pub json: bool,
}

/// Check the file without changing it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw config validate
  openclaw --config ./other.json5 config validate --json")]
pub struct ValidateArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Print the path of the file
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw config file
  $EDITOR \"$(openclaw config file)\"")]
pub struct FileArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

pub fn get(args: &GetArgs, context: &Context) -> Outcome {
    let snapshot = context.snapshot()?;
    let source = &snapshot.source;
    let keys = key_path::parse(&args.path, source).map_err(|error| Failure::usage(error.to_string()))?;
    let Some(value) = tree::get(source, &keys) else {
        let text = "Run openclaw config validate to inspect config shape.";
        let failure = Failure::error(format!("Config path not found: {}. {text}", args.path));
        return Err(unset(&keys).into_iter().fold(failure, Failure::line));
    };
    context.output.line(shown(&redact::redact_below(value, &keys), args.json)?)?;
    Ok(Exit::Done)
}

/// What holds for a key that exists but is not set.
fn unset(keys: &[String]) -> Option<String> {
    let default = schema::find(keys)?.default_value();
    Some(match default {
        Some(default) => format!("The key exists and is not set; its default is {default}."),
        None => "The key exists and is not set; it has no default.".to_owned(),
    })
}

/// A text without quotes, anything else as JSON.
fn shown(value: &Value, json: bool) -> Result<String, Failure> {
    match value {
        Value::String(text) if !json => Ok(text.clone()),
        other => serde_json::to_string_pretty(other).map_err(|error| Failure::error(error.to_string())),
    }
}

pub fn file(args: &FileArgs, context: &Context) -> Outcome {
    let path = &context.paths.config_path;
    if args.json {
        context.output.json(&json!({ "path": path, "exists": path.exists() }))?;
    } else {
        context.output.line(path.display().to_string())?;
    }
    Ok(Exit::Done)
}

pub fn validate(args: &ValidateArgs, context: &Context) -> Outcome {
    let path = context.show(&context.paths.config_path);
    match context.loaded() {
        Ok(snapshot) if !snapshot.exists => Err(Failure::config(format!("Config file not found: {path}"))
            .line(format!("Create one: {}", context.hint("setup")))),
        Ok(snapshot) if args.json => {
            context.output.json(&valid_document(snapshot))?;
            Ok(Exit::Done)
        }
        Ok(snapshot) => {
            context.output.line(format!("Config valid: {path}"))?;
            for line in remarks(snapshot) {
                context.output.line(line)?;
            }
            Ok(Exit::Done)
        }
        Err(error) if args.json => {
            context.output.json(&invalid_document(&context.paths.config_path.display().to_string(), error))?;
            Ok(Exit::Failed)
        }
        Err(error) => {
            for line in invalid_lines(&path, error, &context.hint("doctor --fix")) {
                context.output.note(line);
            }
            Ok(Exit::Failed)
        }
    }
}

/// What would keep a service from starting is a warning here: reading commands work with it.
fn warnings(snapshot: &Snapshot) -> impl Iterator<Item = &Issue> {
    snapshot.start_blocks.iter().chain(&snapshot.warnings)
}

fn valid_document(snapshot: &Snapshot) -> Value {
    let notes = |issues: &mut dyn Iterator<Item = &Issue>| issues.map(Issue::to_note_json).collect::<Vec<_>>();
    json!({
        "valid": true,
        "path": snapshot.path,
        "warnings": notes(&mut warnings(snapshot)),
        "notes": notes(&mut snapshot.notes.iter()),
    })
}

fn remarks(snapshot: &Snapshot) -> Vec<String> {
    let warnings = warnings(snapshot).map(|issue| format!("  ! {}", issue.to_text()));
    warnings.chain(snapshot.notes.iter().map(|issue| format!("  - {}", issue.to_text()))).collect()
}

fn invalid_document(path: &str, error: &ConfigError) -> Value {
    let issues: Vec<Value> = error.issues.iter().map(Issue::to_json).collect();
    json!({ "valid": false, "path": path, "issues": issues })
}

fn invalid_lines(path: &str, error: &ConfigError, fix: &str) -> Vec<String> {
    let place = |issue: &Issue| {
        issue.position.map(|(line, column)| format!(" (line {line}, column {column})")).unwrap_or_default()
    };
    let issues = error.issues.iter().map(|issue| format!("  × {}{}", issue.to_text(), place(issue)));
    std::iter::once(format!("OpenClaw config is invalid: {path}"))
        .chain(issues)
        .chain([String::new(), format!("Run `{fix}` to repair, or change the keys above by hand.")])
        .collect()
}

#[cfg(test)]
mod tests {
    use openclaw_actors::config::{IssueCode, Phase};

    use super::*;

    #[test]
    fn a_text_is_printed_bare_and_an_object_as_json() {
        assert_eq!(shown(&json!("local"), false).unwrap(), "local");
        assert_eq!(shown(&json!("local"), true).unwrap(), "\"local\"");
        assert_eq!(shown(&json!(18789), false).unwrap(), "18789");
        assert_eq!(shown(&json!({ "a": 1 }), false).unwrap(), "{\n  \"a\": 1\n}");
    }

    #[test]
    fn an_invalid_file_is_described_issue_by_issue() {
        let mut issue = Issue::at(IssueCode::UnknownKey, "gateway", "Unrecognized key: \"prot\"");
        issue.did_you_mean = Some("port".into());
        issue.position = Some((3, 5));
        let error = ConfigError::new(Phase::Schema, vec![issue]);
        let lines = invalid_lines("~/c.json", &error, "openclaw doctor --fix");
        assert_eq!(lines[0], "OpenClaw config is invalid: ~/c.json");
        assert_eq!(lines[1], "  × gateway: Unrecognized key: \"prot\" (did you mean \"port\"?) (line 3, column 5)");
        let document = invalid_document("/c.json", &error);
        let expected = json!({
            "valid": false, "path": "/c.json",
            "issues": [{ "path": "gateway", "message": "Unrecognized key: \"prot\"" }]
        });
        assert_eq!(document, expected);
    }
}
