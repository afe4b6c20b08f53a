//! One log record: clean text and fields, and the JSON line that files and `logs.tail` carry.
//!
//! Every string in a record is redacted and escaped when the record is built, so no sink can forget to.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::fields::{Fields, merge};
use super::level::Level;
use super::patterns::{edges, is_sensitive_name};
use super::redact::Redactor;

/// Longest message of a record, characters.
const MESSAGE_CHARS_MAX: usize = 8 * 1024;
/// Longest text of one field, characters; an `error` may be longer, since it is ours or a model provider's.
const FIELD_CHARS_MAX: usize = 300;
const ERROR_CHARS_MAX: usize = 4 * 1024;

/// Field names that a record spells differently. Source: recorded log lines; the rest keeps the name it was logged under.
const WIRE_NAMES: &[(&str, &str)] = &[
    ("agent", "agent_id"),
    ("session", "session_id"),
    ("duration_ms", "durationMs"),
    ("trace_id", "traceId"),
    ("span_id", "spanId"),
];

/// Keys that belong to the record itself.
const RESERVED: &[&str] = &["0", "1", "_meta", "time", "hostname", "message"];

/// One event, ready for every sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub at: Timestamp,
    pub level: Level,
    /// `gateway`, `gateway/ws`, `session`, …
    pub subsystem: String,
    /// Message and the event's own fields as `key=value`, on one line.
    pub text: String,
    /// Fields of the event and of the spans around it under their wire names, each once, inner ones winning.
    pub fields: Vec<(String, Value)>,
    /// `file.rs:line` of our own code; absent for other crates, whose paths name the machine that built them.
    pub source: Option<String>,
}

/// What an event says about itself, before anything is cleaned.
pub(super) struct Draft<'a> {
    pub at: Timestamp,
    pub level: Level,
    pub target: &'a str,
    pub source: Option<String>,
    pub event: Fields,
    /// Spans around the event, outermost first.
    pub spans: Vec<(&'static str, Value)>,
}

impl Record {
    /// A record of the log itself.
    pub(super) fn own(at: Timestamp, level: Level, text: String) -> Record {
        Record { at, level, subsystem: "logs".into(), text, fields: Vec::new(), source: None }
    }

    pub(super) fn build(draft: Draft<'_>, redactor: &Redactor) -> Record {
        let Fields { message, subsystem, fatal, values } = draft.event;
        let level = if fatal && draft.level == Level::Error { Level::Fatal } else { draft.level };
        let event: Vec<(&str, Value)> =
            values.into_iter().map(|(name, value)| (name, clean_value(name, value, redactor))).collect();
        let mut text = message;
        for (name, value) in &event {
            text.push(' ');
            text.push_str(name);
            text.push('=');
            text.push_str(&inline(value));
        }
        let mut fields = Vec::new();
        for (name, value) in draft.spans {
            merge(&mut fields, wire_name(name), clean_value(name, value, redactor));
        }
        for (name, value) in event {
            merge(&mut fields, wire_name(name), value);
        }
        let subsystem = subsystem.unwrap_or_else(|| subsystem_of(draft.target).to_owned());
        Record {
            at: draft.at,
            level,
            subsystem: redactor.clean(&subsystem, FIELD_CHARS_MAX),
            text: redactor.clean(text.trim_start(), MESSAGE_CHARS_MAX),
            fields,
            source: draft.source,
        }
    }
}

/// The subsystem that a tracing target stands for.
///
/// A target we set (`gateway/ws`) is its own name. A module path gives its first segment after our crate's name
/// (`openclaw_actors::session::actor` is `session`), or the crate's name when the crate is not ours.
pub fn subsystem_of(target: &str) -> &str {
    let mut segments = target.split("::");
    match (segments.next(), segments.next()) {
        (Some(krate), Some(module)) if krate.starts_with("openclaw") => module,
        (Some(first), _) => first,
        (None, _) => target,
    }
}

/// What is the same for every line of one process.
#[derive(Debug, Clone)]
pub struct LineContext {
    pub hostname: String,
    /// Version of the product, `_meta.runtimeVersion`.
    pub version: String,
    /// Zone of `time` and of the daily file's date.
    pub zone: TimeZone,
}

impl LineContext {
    /// The record as one JSON line, without the line feed.
    ///
    /// Shape: `"0"` subsystem as JSON text, `"1"` message, `_meta`, `time` with offset, `hostname`, `message`, then the fields.
    /// Source: recorded log lines of 2026.5.12. Differs: `_meta.runtime` is ours, `_meta.path` has only the place in our source.
    pub fn line(&self, record: &Record) -> String {
        let name = json!({"subsystem": record.subsystem}).to_string();
        let mut meta = json!({
            "runtime": "openclaw",
            "runtimeVersion": self.version,
            "hostname": self.hostname,
            "name": name,
            "parentNames": ["openclaw"],
            "date": utc(record.at),
            "logLevelId": record.level.id(),
            "logLevelName": record.level.name().to_ascii_uppercase(),
        });
        if let Some(source) = &record.source {
            meta["path"] = json!({"fileNameWithLine": source});
        }
        let mut line = Map::new();
        line.insert("0".into(), name.into());
        line.insert("1".into(), record.text.as_str().into());
        line.insert("_meta".into(), meta);
        line.insert("time".into(), local(record.at, &self.zone).into());
        line.insert("hostname".into(), self.hostname.as_str().into());
        line.insert("message".into(), record.text.as_str().into());
        line.extend(record.fields.iter().cloned());
        Value::Object(line).to_string()
    }
}

/// `2026-11-21T08:10:41.449Z`
pub fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// `2026-11-21T09:10:41.449+01:00`
pub fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

fn wire_name(name: &str) -> String {
    if let Some((_, wire)) = WIRE_NAMES.iter().find(|(logged, _)| *logged == name) {
        return (*wire).to_owned();
    }
    if RESERVED.contains(&name) { format!("{name}_") } else { name.to_owned() }
}

/// A field's value as a record may show it. A secret number is a secret too.
fn clean_value(name: &str, value: Value, redactor: &Redactor) -> Value {
    match value {
        Value::String(text) if is_sensitive_name(name) => Value::String(edges(&text)),
        Value::String(text) => {
            let chars_max = if name == "error" { ERROR_CHARS_MAX } else { FIELD_CHARS_MAX };
            Value::String(redactor.clean(&text, chars_max))
        }
        Value::Number(number) if redactor.knows(&number.to_string()) => Value::from("***"),
        other => other,
    }
}

/// A value in running text: as it is when it is one word, quoted when it is more.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft<'a>(target: &'a str, event: Fields, spans: Vec<(&'static str, Value)>) -> Draft<'a> {
        let at = "2026-11-21T08:10:41.449Z".parse().unwrap();
        Draft { at, level: Level::Info, target, source: Some("ws.rs:7".into()), event, spans }
    }

    fn context() -> LineContext {
        LineContext { hostname: "host".into(), version: "1.2.3".into(), zone: TimeZone::fixed(jiff::tz::offset(1)) }
    }

    #[test]
    fn a_line_has_the_recorded_shape() {
        let event =
            Fields { message: "← connect".into(), values: vec![("client", "cli".into())], ..Fields::default() };
        let spans = vec![("conn", "c1".into()), ("session", "agent:main:main".into()), ("client", "outer".into())];
        let record = Record::build(draft("gateway/ws", event, spans), &Redactor::new());
        let line: Value = serde_json::from_str(&context().line(&record)).unwrap();
        assert_eq!(
            line,
            json!({
                "0": "{\"subsystem\":\"gateway/ws\"}", "1": "← connect client=cli",
                "_meta": {
                    "runtime": "openclaw", "runtimeVersion": "1.2.3", "hostname": "host",
                    "name": "{\"subsystem\":\"gateway/ws\"}", "parentNames": ["openclaw"],
                    "date": "2026-11-21T08:10:41.449Z", "logLevelId": 3, "logLevelName": "INFO",
                    "path": {"fileNameWithLine": "ws.rs:7"}
                },
                "time": "2026-11-21T09:10:41.449+01:00", "hostname": "host", "message": "← connect client=cli",
                "conn": "c1", "session_id": "agent:main:main", "client": "cli"
            })
        );
    }

    #[test]
    fn targets_name_their_subsystem() {
        for (target, expected) in [
            ("gateway/ws", "gateway/ws"),
            ("openclaw_actors::session::actor", "session"),
            ("openclaw::gateway::ws::handshake", "gateway"),
            ("openclaw", "openclaw"),
            ("hyper::proto::h1", "hyper"),
        ] {
            assert_eq!(subsystem_of(target), expected);
        }
    }

    #[test]
    fn an_event_can_name_its_subsystem_and_be_fatal() {
        let event = Fields { subsystem: Some("reload".into()), fatal: true, ..Fields::default() };
        let record = Record::build(Draft { level: Level::Error, ..draft("a", event, vec![]) }, &Redactor::new());
        assert_eq!((record.subsystem.as_str(), record.level), ("reload", Level::Fatal));
    }

    #[test]
    fn secrets_go_whatever_carries_them() {
        let redactor = Redactor::new();
        redactor.register(["hidden-value", "1234567890"]).unwrap();
        let values = vec![
            ("token", "abc".into()),
            ("pin", Value::from(1_234_567_890_u64)),
            ("note", "has hidden-value inside".into()),
            ("queued", 3.into()),
        ];
        let event = Fields { message: "said hidden-value".into(), values, ..Fields::default() };
        let record = Record::build(draft("x", event, vec![("secret", "hidden-value".into())]), &redactor);
        assert_eq!(record.text, "said *** token=*** pin=*** note=\"has *** inside\" queued=3");
        let line = context().line(&record);
        assert!(!line.contains("hidden-value") && !line.contains("1234567890"), "{line}");
    }

    /// SEC-35: 15 KB of header text with line feeds, terminal sequences and a forged record.
    #[test]
    fn a_poisonous_field_is_one_short_line() {
        let header: String = "x\r\n\u{1b}]0;owned\u{7}{\"level\":\"fatal\"}\n".repeat(600);
        let event = Fields {
            message: "origin refused".into(),
            values: vec![("origin", header.as_str().into()), ("time", "now".into())],
            ..Fields::default()
        };
        let record = Record::build(draft("gateway/ws", event, vec![]), &Redactor::new());
        let Value::String(origin) = &record.fields[0].1 else { panic!("a string") };
        assert!(origin.chars().count() <= FIELD_CHARS_MAX);
        let line = context().line(&record);
        assert!(!line.contains(['\n', '\r', '\u{1b}', '\u{7}']));
        assert!(!line.contains("\\n{") && line.contains("\\\\n"), "escaped in the value, not only by JSON");
        assert_eq!(record.fields[1].0, "time_");
    }

    #[test]
    fn a_huge_message_is_cut() {
        let event = Fields { message: "m ".repeat(1 << 19), ..Fields::default() };
        let record = Record::build(draft("x", event, vec![]), &Redactor::new());
        assert!(record.text.chars().count() <= MESSAGE_CHARS_MAX);
    }
}
