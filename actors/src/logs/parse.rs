//! Reads a log line back: ours, and those of earlier versions, which repeat the subsystem among the message parts.
//!
//! A line that is not a JSON object is no record; it is kept as it is by whoever shows it.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::level::Level;

/// What filters and renderers need of a line. Texts are as written: the renderer escapes them.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    pub time: Option<Timestamp>,
    pub level: Option<Level>,
    /// `subsystem` or `module` of the writer.
    pub origin: Option<Origin>,
    pub message: String,
    pub duration_ms: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Subsystem(String),
    Module(String),
}

impl Origin {
    pub fn name(&self) -> &str {
        match self {
            Origin::Subsystem(name) | Origin::Module(name) => name,
        }
    }
}

/// Parses one line of a log file; `None` when it is not a record.
pub fn parse(line: &str) -> Option<LogLine> {
    let record: Map<String, Value> = serde_json::from_str(line).ok()?;
    let meta = record.get("_meta");
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let of_meta = |key: &str| text(meta.and_then(|meta| meta.get(key)));
    let first = text(record.get("0"));
    let origin = first.as_deref().and_then(origin).or_else(|| of_meta("name").as_deref().and_then(origin));
    let time = text(record.get("time")).or_else(|| of_meta("date"));
    Some(LogLine {
        time: time.and_then(|time| time.parse().ok()),
        level: of_meta("logLevelName").or_else(|| text(record.get("level"))).and_then(|name| name.parse().ok()),
        message: text(record.get("message")).unwrap_or_else(|| parts(&record)),
        duration_ms: record.get("durationMs").and_then(Value::as_f64),
        origin,
    })
}

/// `{"subsystem":"x"}` or `{"module":"x"}` as JSON text.
fn origin(text: &str) -> Option<Origin> {
    let name: Map<String, Value> = serde_json::from_str(text).ok()?;
    let of = |key: &str| name.get(key).and_then(Value::as_str).map(str::to_owned);
    of("subsystem").map(Origin::Subsystem).or_else(|| of("module").map(Origin::Module))
}

/// The numbered message parts in order, without the one that names the origin.
fn parts(record: &Map<String, Value>) -> String {
    let mut found = Vec::new();
    for value in (0..).map_while(|n: u32| record.get(&n.to_string())) {
        match value {
            Value::String(text) if origin(text).is_some() => {}
            Value::String(text) => found.push(text.clone()),
            other => found.push(other.to_string()),
        }
    }
    found.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subsystem(name: &str) -> Option<Origin> {
        Some(Origin::Subsystem(name.into()))
    }

    #[test]
    fn a_record_of_ours_is_read_back() {
        let line = r#"{"0":"{\"subsystem\":\"gateway/ws\"}","1":"res status","_meta":{"logLevelName":"INFO"},
            "time":"2026-11-21T09:10:41.449+01:00","hostname":"h","message":"res status","durationMs":468}"#;
        let expected = LogLine {
            time: Some("2026-11-21T08:10:41.449Z".parse().unwrap()),
            level: Some(Level::Info),
            origin: subsystem("gateway/ws"),
            message: "res status".into(),
            duration_ms: Some(468.0),
        };
        assert_eq!(parse(line), Some(expected));
    }

    #[test]
    fn older_shapes_are_read_too() {
        for (line, message, origin) in [
            (
                r#"{"0":"{\"module\":\"cron\"}","1":{"a":1},"2":"ran"}"#,
                r#"{"a":1} ran"#,
                Some(Origin::Module("cron".into())),
            ),
            (r#"{"0":"plain text","_meta":{"name":"{\"subsystem\":\"x\"}"}}"#, "plain text", subsystem("x")),
            (r#"{"0":"plain text","_meta":{"name":"openclaw"}}"#, "plain text", None),
            ("{}", "", None),
        ] {
            let parsed = parse(line).unwrap();
            assert_eq!((parsed.message.as_str(), parsed.origin), (message, origin), "{line}");
        }
    }

    #[test]
    fn what_is_not_a_record_is_not_one() {
        for line in ["", "Starting…", "[1]", "{\"cut", "null"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
