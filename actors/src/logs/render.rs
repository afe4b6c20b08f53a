//! Log lines for people and for programs: `openclaw logs` and `openclaw logs --json`.
//!
//! Nothing that a log contains reaches a terminal as a control character, whoever wrote the file.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::console::colour_of;
use super::escape::{escape_controls, escape_json_controls};
use super::level::Level;
use super::parse::{Origin, parse};
use super::record::{local, utc};

/// How a human line looks.
#[derive(Debug, Clone, Default)]
pub struct LineStyle {
    /// Absent: UTC.
    pub zone: Option<TimeZone>,
    /// Decided by the caller; `--plain` forbids it.
    pub colour: bool,
}

/// `<ISO> <level> <subsystem> <message>`; what a record lacks is left out. A line that is no record is shown as it is.
pub fn human(line: &str, style: &LineStyle) -> String {
    let Some(record) = parse(line) else { return escape_controls(line).into_owned() };
    let time = record.time.map(|time| match &style.zone {
        Some(zone) => local(time, zone),
        None => utc(time),
    });
    let level = record.level.map(|level| level.name().to_owned());
    let origin = record.origin.map(|origin| escape_controls(origin.name()).into_owned());
    let message = Some(escape_controls(&record.message).into_owned()).filter(|message| !message.is_empty());
    let parts = match style.colour {
        false => [time, level, origin, message],
        true => {
            let paint = colour_of(record.level.unwrap_or(Level::Info));
            let painted = |start: &str, text: Option<String>| match start {
                "" => text,
                start => text.map(|text| format!("{start}{text}\x1b[0m")),
            };
            [painted("\x1b[2m", time), painted(paint, level), painted("\x1b[36m", origin), painted(paint, message)]
        }
    };
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// One object of the `--json` stream, on one line: `{type:"log",time,level,subsystem|module,message,raw}`, or
/// `{type:"raw",raw}` for a line that is no record.
pub fn json(line: &str) -> String {
    let Some(record) = parse(line) else { return text(json!({"type": "raw", "raw": line})) };
    let mut object = Map::new();
    object.insert("type".into(), "log".into());
    if let Some(time) = record.time {
        object.insert("time".into(), utc(time).into());
    }
    if let Some(level) = record.level {
        object.insert("level".into(), level.name().into());
    }
    match record.origin {
        Some(Origin::Subsystem(name)) => drop(object.insert("subsystem".into(), name.into())),
        Some(Origin::Module(name)) => drop(object.insert("module".into(), name.into())),
        None => {}
    }
    object.insert("message".into(), record.message.into());
    object.insert("raw".into(), line.into());
    text(Value::Object(object))
}

/// First object of the `--json` stream, and again after the file changed.
pub fn json_meta(file: &str, cursor: u64, size: u64) -> String {
    text(json!({"type": "meta", "file": file, "cursor": cursor, "size": size}))
}

/// Something the reader should know that is not a log line.
pub fn json_notice(message: &str) -> String {
    text(json!({"type": "notice", "message": message}))
}

/// Why there is nothing to read; `details` are further members (`code`, `hint`, …).
pub fn json_error(message: &str, details: Map<String, Value>) -> String {
    let mut object = Map::from_iter([("type".to_owned(), json!("error")), ("message".to_owned(), json!(message))]);
    for (key, value) in details {
        object.entry(key).or_insert(value);
    }
    text(Value::Object(object))
}

fn text(value: Value) -> String {
    escape_json_controls(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"0":"{\"subsystem\":\"gateway/ws\"}","1":"← connect","_meta":{"logLevelName":"INFO"},"time":"2026-11-21T09:10:41.449+01:00","message":"← connect"}"#;

    #[test]
    fn a_record_is_one_plain_line() {
        assert_eq!(human(LINE, &LineStyle::default()), "2026-11-21T08:10:41.449Z info gateway/ws ← connect");
        let style = LineStyle { zone: Some(TimeZone::fixed(jiff::tz::offset(1))), colour: false };
        assert_eq!(human(LINE, &style), "2026-11-21T09:10:41.449+01:00 info gateway/ws ← connect");
        let debug = r#"{"0":"no origin","_meta":{"logLevelName":"DEBUG","date":"2026-11-21T08:10:41.449Z"}}"#;
        assert_eq!(human(debug, &LineStyle::default()), "2026-11-21T08:10:41.449Z debug no origin");
        assert_eq!(human("plain", &LineStyle::default()), "plain");
    }

    #[test]
    fn colour_is_ours_alone() {
        let style = LineStyle { zone: None, colour: true };
        let expected = "\x1b[2m2026-11-21T08:10:41.449Z\x1b[0m info \x1b[36mgateway/ws\x1b[0m ← connect";
        assert_eq!(human(LINE, &style), expected);
    }

    #[test]
    fn no_control_character_of_a_log_is_emitted() {
        let hostile = json!({
            "0": "{\"subsystem\":\"x\\u001b[2J\"}", "message": "a\u{1b}[31m\nb\u{9b}1m\u{202e}", "_meta": {"logLevelName": "WARN"}
        })
        .to_string();
        for line in [hostile.as_str(), "raw \u{1b}[2J\u{9b}\u{202e}\u{7}"] {
            for shown in [human(line, &LineStyle::default()), json(line)] {
                assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
            }
            let object: Value = serde_json::from_str(&json(line)).unwrap();
            assert_eq!(object["raw"], line, "a program gets the line as it was");
        }
    }

    #[test]
    fn the_stream_has_the_recorded_objects() {
        let object: Value = serde_json::from_str(&json(LINE)).unwrap();
        let expected = json!({
            "type": "log", "time": "2026-11-21T08:10:41.449Z", "level": "info", "subsystem": "gateway/ws",
            "message": "← connect", "raw": LINE
        });
        assert_eq!(object, expected);
        let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["type", "time", "level", "subsystem", "message", "raw"]);
        assert_eq!(json_meta("/tmp/a.log", 5, 5), r#"{"type":"meta","file":"/tmp/a.log","cursor":5,"size":5}"#);
        assert_eq!(json_notice("n"), r#"{"type":"notice","message":"n"}"#);
        let module: Value = serde_json::from_str(&json(r#"{"0":"{\"module\":\"cron\"}","message":"m"}"#)).unwrap();
        assert_eq!(module["module"], "cron");
        let error = json_error("down", Map::from_iter([("type".into(), json!("x")), ("code".into(), json!("E"))]));
        assert_eq!(error, r#"{"type":"error","message":"down","code":"E"}"#);
    }
}
