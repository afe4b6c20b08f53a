//! Console lines: what a person or a journal reads on stderr.
//!
//! Shape: `<ISO> [subsystem] message`; a level other than info stands before the subsystem. Colour only when told so.

use std::str::FromStr;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::level::Level;
use super::record::{Record, local};

/// `logging.consoleStyle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Style {
    /// Full time with offset. Default.
    #[default]
    Pretty,
    /// Time of day only.
    Compact,
    /// One JSON object: `time level subsystem message` and the fields.
    Json,
}

impl Style {
    pub(super) fn from_u8(value: u8) -> Style {
        match value {
            1 => Style::Compact,
            2 => Style::Json,
            _ => Style::Pretty,
        }
    }
}

/// A console style that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown console style \"{0}\" (use pretty, compact or json)")]
pub struct UnknownStyle(pub String);

impl FromStr for Style {
    type Err = UnknownStyle;

    /// `text` is the name that `logging.format` used for pretty.
    fn from_str(text: &str) -> Result<Style, UnknownStyle> {
        match text {
            "pretty" | "text" => Ok(Style::Pretty),
            "compact" => Ok(Style::Compact),
            "json" => Ok(Style::Json),
            other => Err(UnknownStyle(other.to_owned())),
        }
    }
}

/// One line without the line feed. `colour` has no effect on JSON.
pub fn line(record: &Record, style: Style, colour: bool, zone: &TimeZone) -> String {
    let time = match style {
        Style::Json => return json_line(record, zone),
        Style::Pretty => local(record.at, zone),
        Style::Compact => record.at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string(),
    };
    let level = if record.level == Level::Info { String::new() } else { format!("{} ", record.level.name()) };
    if !colour {
        return format!("{time} {level}[{}] {}", record.subsystem, record.text);
    }
    let paint = colour_of(record.level);
    format!(
        "\x1b[2m{time}\x1b[0m {paint}{level}\x1b[0m\x1b[36m[{}]\x1b[0m {paint}{}\x1b[0m",
        record.subsystem, record.text
    )
}

fn json_line(record: &Record, zone: &TimeZone) -> String {
    let mut object = Map::new();
    object.insert("time".into(), local(record.at, zone).into());
    object.insert("level".into(), record.level.name().into());
    object.insert("subsystem".into(), record.subsystem.as_str().into());
    object.insert("message".into(), record.text.as_str().into());
    for (name, value) in &record.fields {
        object.entry(name.as_str()).or_insert_with(|| value.clone()); // a field never replaces the record's own keys
    }
    Value::Object(object).to_string()
}

/// Start sequence of the level's colour; info has none.
pub(super) fn colour_of(level: Level) -> &'static str {
    match level {
        Level::Fatal | Level::Error => "\x1b[31m",
        Level::Warn => "\x1b[33m",
        Level::Info | Level::Silent => "",
        Level::Debug | Level::Trace => "\x1b[2m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(level: Level) -> Record {
        Record {
            at: "2026-11-21T08:10:41.449Z".parse().unwrap(),
            level,
            subsystem: "gateway".into(),
            text: "ready".into(),
            fields: vec![("conn".into(), "c1".into()), ("level".into(), "forged".into())],
            source: None,
        }
    }

    #[test]
    fn every_style_says_the_same() {
        for (level, style, expected) in [
            (Level::Info, Style::Pretty, "2026-11-21T08:10:41.449+00:00 [gateway] ready"),
            (Level::Warn, Style::Pretty, "2026-11-21T08:10:41.449+00:00 warn [gateway] ready"),
            (Level::Fatal, Style::Compact, "08:10:41 fatal [gateway] ready"),
            (
                Level::Info,
                Style::Json,
                r#"{"time":"2026-11-21T08:10:41.449+00:00","level":"info","subsystem":"gateway","message":"ready","conn":"c1"}"#,
            ),
        ] {
            assert_eq!(line(&record(level), style, false, &TimeZone::UTC), expected);
        }
    }

    #[test]
    fn colour_appears_only_when_told_so() {
        for style in [Style::Pretty, Style::Compact, Style::Json] {
            assert!(!line(&record(Level::Error), style, false, &TimeZone::UTC).contains('\x1b'));
        }
        let coloured = line(&record(Level::Error), Style::Pretty, true, &TimeZone::UTC);
        assert!(coloured.contains("\x1b[31merror \x1b[0m") && coloured.ends_with("\x1b[0m"));
        assert!(!line(&record(Level::Error), Style::Json, true, &TimeZone::UTC).contains('\x1b'));
    }
}
