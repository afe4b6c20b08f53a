//! What can be wrong with, or worth saying about, one place of a configuration.
//!
//! An issue never carries a value of the configuration: a value may be a secret.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

/// Keys from the root to a value; array indexes in decimal.
pub type KeyPath = Vec<String>;

/// Text of the root in messages.
pub const ROOT: &str = "<root>";

/// What kind of statement an issue is; the wire form is the snake case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueCode {
    /// The text is not a configuration at all, or an include cannot be read.
    Parse,
    UnknownKey,
    Invalid,
    /// Two settings exclude each other or one needs another.
    Rule,
    /// A variable or secret that is needed has no value.
    Unresolved,
    /// An older or other spelling that is understood.
    Alias,
    /// Both spellings are set; the canonical one counts.
    AliasShadowed,
    /// Accepted and stored, without effect in this release.
    NotInEffect,
    /// Works, but look at it.
    Warning,
    /// A SecretRef whose feature is off; it is not resolved.
    InactiveSecret,
}

/// One statement about one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// `a.b.0.c`, or `<root>`.
    pub path: String,
    /// The same as keys, for finding the place again; a key may contain dots.
    pub keys: KeyPath,
    /// Exact text; operators search for it.
    pub message: String,
    pub code: IssueCode,
    /// The words an enum accepts, in the order of the schema; else empty.
    pub allowed_values: Box<[String]>,
    /// A known key that the unknown one resembles; shown after the message in text output only.
    pub did_you_mean: Option<Box<str>>,
    /// Line and column in the main file, both from 1.
    pub position: Option<(u32, u32)>,
}

impl Issue {
    pub fn new(code: IssueCode, keys: &[impl AsRef<str>], message: impl Into<String>) -> Self {
        let keys: KeyPath = keys.iter().map(|k| k.as_ref().to_owned()).collect();
        Self {
            path: dotted(&keys),
            keys,
            message: message.into(),
            code,
            allowed_values: Box::default(),
            did_you_mean: None,
            position: None,
        }
    }

    /// An issue at a dotted path whose keys contain no dots.
    pub fn at(code: IssueCode, path: &str, message: impl Into<String>) -> Self {
        let keys: Vec<&str> = if path == ROOT { Vec::new() } else { path.split('.').collect() };
        Self::new(code, &keys, message)
    }

    /// `{path, message, allowedValues?}`: the wire form of an error.
    pub fn to_json(&self) -> Value {
        let mut json = json!({ "path": self.path, "message": self.message });
        if !self.allowed_values.is_empty() {
            json["allowedValues"] = json!(self.allowed_values);
        }
        json
    }

    /// `{path, code, message}`: the wire form of a warning or note.
    pub fn to_note_json(&self) -> Value {
        json!({ "path": self.path, "code": self.code, "message": self.message })
    }

    /// The line for people: `path: message`, the suggestion last.
    pub fn to_text(&self) -> String {
        match &self.did_you_mean {
            Some(key) => format!("{self} (did you mean \"{key}\"?)"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Keys as a message shows them.
pub fn dotted(keys: &[impl AsRef<str>]) -> String {
    if keys.is_empty() {
        return ROOT.to_owned();
    }
    keys.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(".")
}

/// Where loading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading, JSON5, includes.
    Parse,
    /// Keys, types, values and the rules that hold for every file.
    Schema,
    /// What only a service that starts needs: credentials that exist, settings that fit together.
    Start,
}

/// A configuration that cannot be used; `issues` is never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", first(.issues))]
pub struct ConfigError {
    pub phase: Phase,
    pub issues: Vec<Issue>,
}

impl ConfigError {
    pub fn new(phase: Phase, issues: Vec<Issue>) -> Self {
        Self { phase, issues }
    }
}

impl From<Issue> for ConfigError {
    /// One issue of the parse phase.
    fn from(issue: Issue) -> Self {
        Self::new(Phase::Parse, vec![issue])
    }
}

fn first(issues: &[Issue]) -> String {
    match issues {
        [] => "configuration refused".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_reads_as_path_and_message_and_hides_the_suggestion_from_json() {
        let mut issue = Issue::new(IssueCode::UnknownKey, &["gateway"], "Unrecognized key: \"prot\"");
        issue.did_you_mean = Some("port".into());
        assert_eq!(issue.to_string(), "gateway: Unrecognized key: \"prot\"");
        assert_eq!(issue.to_text(), "gateway: Unrecognized key: \"prot\" (did you mean \"port\"?)");
        assert_eq!(issue.to_json(), json!({ "path": "gateway", "message": "Unrecognized key: \"prot\"" }));
    }

    #[test]
    fn the_root_has_a_name_of_its_own() {
        let none: [&str; 0] = [];
        assert_eq!(Issue::new(IssueCode::Parse, &none, "x").path, ROOT);
        assert!(Issue::at(IssueCode::Parse, ROOT, "x").keys.is_empty());
    }
}
