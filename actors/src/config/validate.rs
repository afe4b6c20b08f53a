//! Does a configuration keep to the key tree? One answer for start, reload, `config validate`, writes and doctor.
//!
//! Works on the authored spelling, so that every path in a message is a path of the file. Shape first, then the texts that have a
//! grammar of their own; both in file order. The messages are exact: operators and clients search for them.

use regex::Regex;
use serde_json::Value;

use super::duration;
use super::issue::{Issue, IssueCode};
use super::schema::{self, Bounds, Check, Kind, Node};
use super::{aliases, channel_ids, secret_ref};

/// Everything that is wrong with `value`. SecretRefs are checked against the providers that `value` itself defines.
pub fn validate(value: &Value) -> Vec<Issue> {
    let mut walk = Walk { at: Vec::new(), shape: Vec::new(), grammar: Vec::new(), config: value };
    walk.visit(schema::root(), value);
    walk.shape.extend(walk.grammar);
    walk.shape
}

struct Walk<'v> {
    at: Vec<String>,
    shape: Vec<Issue>,
    grammar: Vec<Issue>,
    config: &'v Value,
}

impl Walk<'_> {
    fn visit(&mut self, node: &Node, value: &Value) {
        let Some(kind) = node.kinds.iter().find(|kind| accepts(kind, value)) else {
            if !is_bind_address(node, value) {
                self.shape.push(mismatch(&self.at, node, value));
            }
            return;
        };
        let too = node.bounds.as_deref().map(|bounds| bounds_messages(bounds, value)).unwrap_or_default();
        self.shape.extend(too.into_iter().map(|m| Issue::new(IssueCode::Invalid, &self.at, m)));
        match (kind, value) {
            (Kind::Object, Value::Object(object)) => self.visit_object(node, object),
            (Kind::Array, Value::Array(array)) => self.visit_array(node, array),
            (Kind::Secret, Value::Object(_)) => self.grammar.extend(secret_ref::issues(&self.at, value, self.config)),
            (_, Value::String(text)) => {
                let message = node.check.and_then(|check| grammar_message(check, text));
                self.grammar.extend(message.map(|m| Issue::new(IssueCode::Invalid, &self.at, m)));
            }
            _ => {}
        }
        if node.path == "secrets.providers" {
            self.grammar.extend(secret_ref::provider_issues(value));
        }
    }

    fn visit_object(&mut self, node: &Node, object: &serde_json::Map<String, Value>) {
        for (key, value) in object {
            if let Some(child) = node.child(key) {
                self.descend(key, |walk| walk.visit(child, value));
            }
        }
        for (key, child) in node.fields.iter().filter(|(key, child)| child.required && !object.contains_key(**key)) {
            let message = format!("Invalid input: expected {}, received undefined", expected(&child.kinds));
            self.descend(key, |walk| walk.shape.push(Issue::new(IssueCode::Invalid, &walk.at, message)));
        }
        let unknown: Vec<&String> = object.keys().filter(|key| node.is_strict() && node.child(key).is_none()).collect();
        if node.check == Some(Check::ChannelIds) {
            for key in unknown {
                let message = format!("unknown channel id: {key}");
                self.descend(key, |walk| walk.grammar.push(Issue::new(IssueCode::Invalid, &walk.at, message)));
            }
        } else if !unknown.is_empty() {
            self.shape.push(unrecognized(&self.at, node, &unknown));
        }
    }

    fn visit_array(&mut self, node: &Node, array: &[Value]) {
        let Some(items) = &node.items else { return };
        for (index, value) in array.iter().enumerate() {
            self.descend(&index.to_string(), |walk| {
                let before = walk.shape.len();
                walk.visit(items, value);
                if node.opaque && walk.shape.len() > before {
                    walk.shape.truncate(before);
                    walk.shape.push(Issue::new(IssueCode::Invalid, &walk.at, "Invalid input"));
                }
            });
        }
    }

    fn descend(&mut self, key: &str, visit: impl FnOnce(&mut Self)) {
        self.at.push(key.to_owned());
        visit(self);
        self.at.pop();
    }
}

fn accepts(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Any, _) | (Kind::Object | Kind::Free, Value::Object(_)) | (Kind::Array, Value::Array(_)) => true,
        (Kind::String | Kind::Secret, Value::String(_)) | (Kind::Number, Value::Number(_)) => true,
        (Kind::Boolean, Value::Bool(_)) => true,
        (Kind::Integer, Value::Number(number)) => !number.is_f64(),
        (Kind::Secret, Value::Object(_)) => secret_ref::looks_like_ref(value),
        (Kind::Literal(text), value) => serde_json::from_str::<Value>(text).is_ok_and(|literal| literal == *value),
        _ => false,
    }
}

/// `gateway.bind` takes an address too; `aliases.rs` turns it into a mode.
fn is_bind_address(node: &Node, value: &Value) -> bool {
    node.check == Some(Check::Bind)
        && value.as_str().and_then(aliases::bind_of_address).is_some_and(|(mode, _)| mode != "custom")
}

fn mismatch(at: &[String], node: &Node, value: &Value) -> Issue {
    if node.kinds == [Kind::String] && secret_ref::looks_like_ref(value) {
        return secret_ref::unsupported(at);
    }
    let received = type_name(value);
    let words = node.words();
    let message = match (&words, node.kinds.as_slice()) {
        (_, [Kind::Boolean]) => format!("Invalid input: expected boolean, received {received} (allowed: true, false)"),
        (Some(_), kinds) => format!("Invalid input (allowed: {})", literals(kinds)),
        (None, [Kind::Integer]) if value.is_f64() => "Invalid input: expected int, received number".to_owned(),
        (None, [Kind::Secret]) => "Invalid input".to_owned(),
        (None, [only]) => {
            format!("Invalid input: expected {}, received {received}", expected(std::slice::from_ref(only)))
        }
        (None, _) => "Invalid input".to_owned(),
    };
    let mut issue = Issue::new(IssueCode::Invalid, at, message);
    issue.allowed_values = words.unwrap_or_default().into();
    issue
}

/// The alternatives of an enum as a message lists them.
fn literals(kinds: &[Kind]) -> String {
    let one = |kind: &Kind| match kind {
        Kind::Literal(text) => (*text).to_owned(),
        _ => "true, false".to_owned(),
    };
    kinds.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn expected(kinds: &[Kind]) -> &'static str {
    match kinds.first() {
        Some(Kind::Object | Kind::Free) => "object",
        Some(Kind::Array) => "array",
        Some(Kind::Number | Kind::Integer) => "number",
        Some(Kind::Boolean) => "boolean",
        _ => "string",
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn bounds_messages(bounds: &Bounds, value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            out.extend(bounds.gt.filter(|b| number <= *b).map(|b| format!("Too small: expected number to be >{b}")));
            out.extend(bounds.min.filter(|b| number < *b).map(|b| format!("Too small: expected number to be >={b}")));
            out.extend(bounds.max.filter(|b| number > *b).map(|b| format!("Too big: expected number to be <={b}")));
        }
        Value::String(text) => {
            let short = bounds.min_length.filter(|b| text.chars().count() < *b);
            out.extend(short.map(|b| format!("Too small: expected string to have >={b} characters")));
            let odd = bounds.pattern.filter(|p| Regex::new(p).is_ok_and(|regex| !regex.is_match(text)));
            out.extend(odd.map(|p| format!("Invalid string: must match pattern /{p}/")));
        }
        Value::Array(array) => {
            let few = bounds.min_items.filter(|b| array.len() < *b);
            out.extend(few.map(|b| format!("Too small: expected array to have >={b} items")));
            let many = bounds.max_items.filter(|b| array.len() > *b);
            out.extend(many.map(|b| format!("Too big: expected array to have <={b} items")));
        }
        _ => {}
    }
    out
}

fn grammar_message(check: Check, text: &str) -> Option<String> {
    let minute = std::time::Duration::from_secs(60);
    match check {
        Check::Duration if duration::parse(text, minute, false).is_none() => {
            Some("invalid duration (use ms, s, m, h)".to_owned())
        }
        Check::CronDuration if duration::parse(text, minute, true).is_none() => {
            Some("invalid duration (use ms, s, m, h, d)".to_owned())
        }
        Check::Time if !is_time(text) => Some("invalid time (use HH:MM)".to_owned()),
        Check::EndTime if text != "24:00" && !is_time(text) => Some("invalid time (use HH:MM)".to_owned()),
        Check::HeartbeatTarget if !matches!(text, "none" | "last") && !channel_ids::is_known(text) => {
            Some(format!("unknown heartbeat target: {text}"))
        }
        _ => None,
    }
}

fn is_time(text: &str) -> bool {
    let digits = |part: &str, below: u8| {
        part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()) && part.parse::<u8>().is_ok_and(|n| n < below)
    };
    text.split_once(':').is_some_and(|(hours, minutes)| digits(hours, 24) && digits(minutes, 60))
}

fn unrecognized(at: &[String], node: &Node, keys: &[&String]) -> Issue {
    let plural = if keys.len() == 1 { "" } else { "s" };
    let list: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    let mut issue = Issue::new(IssueCode::UnknownKey, at, format!("Unrecognized key{plural}: {}", list.join(", ")));
    if let [only] = keys {
        let known = node.fields.keys().map(|known| (edit_distance(only, known), known));
        issue.did_you_mean = known.filter(|(distance, _)| *distance <= 2).min().map(|(_, known)| (*known).into());
    }
    issue
}

/// Insertions, removals and replacements between two words.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: Value, expected: &[&str]) {
        let got: Vec<String> = validate(&value).iter().map(Issue::to_string).collect();
        assert_eq!(got, expected, "{value}");
    }

    #[test]
    fn unknown_keys_are_reported_on_their_parent_in_file_order() {
        check(json!({ "bogus": true }), &["<root>: Unrecognized key: \"bogus\""]);
        let two = json!({ "gateway": { "foo": 1, "mode": "local", "bar": 2 } });
        check(two, &["gateway: Unrecognized keys: \"foo\", \"bar\""]);
        check(json!({ "agent": { "nothing": 1 } }), &["agent: Unrecognized key: \"nothing\""]);
        assert_eq!(validate(&json!({ "gatway": {} }))[0].did_you_mean.as_deref(), Some("gateway"));
        assert_eq!(validate(&json!({ "bogus": {} }))[0].did_you_mean, None);
    }

    #[test]
    fn wrong_types_name_both_types() {
        check(
            json!({ "gateway": { "port": "x" } }),
            &["gateway.port: Invalid input: expected number, received string"],
        );
        check(json!({ "gateway": 5 }), &["gateway: Invalid input: expected object, received number"]);
        check(json!({ "tools": { "allow": {} } }), &["tools.allow: Invalid input: expected array, received object"]);
        check(
            json!({ "tools": { "allow": [1] } }),
            &["tools.allow.0: Invalid input: expected string, received number"],
        );
        check(
            json!({ "logging": { "file": null }, "cron": { "enabled": "yes" } }),
            &[
                "logging.file: Invalid input: expected string, received null",
                "cron.enabled: Invalid input: expected boolean, received string (allowed: true, false)",
            ],
        );
        check(json!({ "env": { "A": 1 } }), &["env.A: Invalid input: expected string, received number"]);
        check(
            json!({ "env": { "vars": { "A": 1 } } }),
            &["env.vars.A: Invalid input: expected string, received number"],
        );
        check(json!({ "cron": { "sessionRetention": 5 } }), &["cron.sessionRetention: Invalid input"]);
        let fraction = json!({ "gateway": { "port": 1.5 } });
        check(fraction, &["gateway.port: Invalid input: expected int, received number"]);
    }

    #[test]
    fn enums_list_their_words_in_order() {
        let value = json!({ "gateway": { "reload": { "mode": "fast" } } });
        let issue = &validate(&value)[0];
        assert_eq!(issue.message, "Invalid input (allowed: \"off\", \"restart\", \"hot\", \"hybrid\")");
        assert_eq!(*issue.allowed_values, ["off", "restart", "hot", "hybrid"].map(str::to_owned));
        check(
            json!({ "commands": { "native": 1 } }),
            &["commands.native: Invalid input (allowed: true, false, \"auto\")"],
        );
    }

    #[test]
    fn bounds_are_part_of_the_type() {
        check(json!({ "gateway": { "port": 0 } }), &["gateway.port: Too small: expected number to be >0"]);
        check(json!({ "gateway": { "port": 65536 } }), &["gateway.port: Too big: expected number to be <=65535"]);
        let text = json!({ "models": { "providers": { "a": { "baseUrl": "" } } } });
        check(text, &["models.providers.a.baseUrl: Too small: expected string to have >=1 characters"]);
        let many = json!({ "cron": { "retry": { "backoffMs": vec![1; 11] } } });
        check(many, &["cron.retry.backoffMs: Too big: expected array to have <=10 items"]);
        check(
            json!({ "ui": { "seamColor": "red" } }),
            &["ui.seamColor: Invalid string: must match pattern /^#?[0-9a-fA-F]{6}$/"],
        );
    }

    #[test]
    fn what_is_required_is_reported_as_undefined() {
        let value = json!({ "models": { "providers": { "a.b": {} } } });
        check(value, &["models.providers.a.b.baseUrl: Invalid input: expected string, received undefined"]);
    }

    #[test]
    fn a_bad_binding_is_reported_as_a_whole() {
        let value = json!({ "bindings": [{ "agentId": "a", "match": { "channel": "x" } }, { "agentId": 5 }] });
        check(value, &["bindings.1: Invalid input"]);
    }

    #[test]
    fn texts_with_a_grammar_are_checked_after_the_shape() {
        let cron = json!({ "cron": { "sessionRetention": "forever", "retry": { "backoffMs": [] } } });
        check(
            cron,
            &[
                "cron.retry.backoffMs: Too small: expected array to have >=1 items",
                "cron.sessionRetention: invalid duration (use ms, s, m, h, d)",
            ],
        );
        let heartbeat = |value: Value| json!({ "agents": { "defaults": { "heartbeat": value } } });
        check(heartbeat(json!({ "every": "30", "target": "telegram" })), &[]);
        let every = "agents.defaults.heartbeat.every: invalid duration (use ms, s, m, h)";
        check(heartbeat(json!({ "every": "1d" })), &[every]);
        let target = "agents.defaults.heartbeat.target: unknown heartbeat target: nochannel";
        check(heartbeat(json!({ "target": "nochannel" })), &[target]);
        let hours = |start: &str, end: &str| heartbeat(json!({ "activeHours": { "start": start, "end": end } }));
        check(hours("09:00", "24:00"), &[]);
        check(
            hours("24:00", "9:00"),
            &[
                "agents.defaults.heartbeat.activeHours.start: invalid time (use HH:MM)",
                "agents.defaults.heartbeat.activeHours.end: invalid time (use HH:MM)",
            ],
        );
        check(json!({ "channels": { "nope": {} } }), &["channels.nope: unknown channel id: nope"]);
    }

    #[test]
    fn distances_count_edits() {
        for (a, b, n) in [("", "abc", 3), ("port", "prot", 2), ("bind", "bind", 0), ("kitten", "sitting", 3)] {
            assert_eq!(edit_distance(a, b), n);
        }
    }
}
