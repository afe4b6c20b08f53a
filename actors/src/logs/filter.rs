//! Which records a reader asked for: a plain predicate, the same in the gateway and in the command.
//!
//! A line that lacks what a filter asks about is not what was asked for; without filters every line passes.

use jiff::Timestamp;
use regex::Regex;

use super::level::Level;
use super::parse::{LogLine, parse};

/// All conditions must hold; an absent one always does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// At least this severe.
    pub level: Option<Level>,
    /// Subsystem, or the beginning of one up to a slash: `gateway` means `gateway` and `gateway/ws`.
    pub component: Option<String>,
    /// Included.
    pub since: Option<Timestamp>,
    /// Included.
    pub until: Option<Timestamp>,
    /// `durationMs` of the record is there and at least this.
    pub duration_ms_min: Option<f64>,
}

impl Filter {
    /// Does everything pass?
    pub fn is_open(&self) -> bool {
        *self == Filter::default()
    }

    /// Does the line pass? Takes the text, so that an open filter parses nothing.
    pub fn admits_text(&self, line: &str) -> bool {
        self.is_open() || parse(line).is_some_and(|line| self.admits(&line))
    }

    pub fn admits(&self, line: &LogLine) -> bool {
        let level = self.level.is_none_or(|least| line.level.is_some_and(|level| least.admits(level)));
        let component = self.component.as_ref().is_none_or(|wanted| {
            line.origin.as_ref().is_some_and(|origin| is_within(origin.name(), wanted.trim_end_matches('/')))
        });
        let since = self.since.is_none_or(|since| line.time.is_some_and(|time| time >= since));
        let until = self.until.is_none_or(|until| line.time.is_some_and(|time| time <= until));
        let slow = self.duration_ms_min.is_none_or(|least| line.duration_ms.is_some_and(|ms| ms >= least));
        level && component && since && until && slow
    }
}

/// `--grep`: an expression on the line as a person sees it. Linear-time, like every expression here.
#[derive(Debug, Clone)]
pub struct Grep(Regex);

/// An expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--grep \"{pattern}\" is not a supported expression: {reason}")]
pub struct GrepError {
    pub pattern: String,
    pub reason: String,
}

impl Grep {
    pub fn new(pattern: &str) -> Result<Self, GrepError> {
        let reason = |error: regex::Error| error.to_string().lines().last().unwrap_or("malformed").trim().to_owned();
        Regex::new(pattern).map(Grep).map_err(|error| GrepError { pattern: pattern.to_owned(), reason: reason(error) })
    }

    pub fn finds(&self, shown: &str) -> bool {
        self.0.is_match(shown)
    }
}

fn is_within(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"0":"{\"subsystem\":\"channels/telegram\"}","_meta":{"logLevelName":"WARN"},
        "time":"2026-03-01T12:00:00.000+00:00","message":"slow","durationMs":1500}"#;

    fn at(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn every_condition_decides_by_itself() {
        let component = |name: &str| Filter { component: Some(name.into()), ..Filter::default() };
        for (filter, expected) in [
            (Filter { level: Some(Level::Warn), ..Filter::default() }, true),
            (Filter { level: Some(Level::Debug), ..Filter::default() }, true),
            (Filter { level: Some(Level::Error), ..Filter::default() }, false),
            (component("channels"), true),
            (component("channels/"), true),
            (component("channels/telegram"), true),
            (component("chan"), false),
            (component("channels/telegram/x"), false),
            (Filter { since: at("2026-03-01T12:00:00Z"), ..Filter::default() }, true),
            (Filter { since: at("2026-03-01T12:00:01Z"), ..Filter::default() }, false),
            (Filter { until: at("2026-03-01T12:00:00Z"), ..Filter::default() }, true),
            (Filter { until: at("2026-03-01T11:59:59Z"), ..Filter::default() }, false),
            (Filter { duration_ms_min: Some(1500.0), ..Filter::default() }, true),
            (Filter { duration_ms_min: Some(1501.0), ..Filter::default() }, false),
        ] {
            assert_eq!(filter.admits_text(LINE), expected, "{filter:?}");
        }
    }

    #[test]
    fn grep_is_an_expression_or_an_error() {
        assert!(Grep::new("(?i)TELE").unwrap().finds("channels/telegram slow"));
        assert!(Grep::new("(").unwrap_err().to_string().starts_with("--grep \"(\" is not a supported expression: "));
    }

    #[test]
    fn all_conditions_must_hold() {
        let filter = Filter { level: Some(Level::Warn), duration_ms_min: Some(9999.0), ..Filter::default() };
        assert!(!filter.admits_text(LINE));
    }

    #[test]
    fn a_line_without_the_asked_field_passes_only_an_open_filter() {
        for line in ["not a record", "{}"] {
            assert!(Filter::default().admits_text(line));
            let filters = [
                Filter { level: Some(Level::Trace), ..Filter::default() },
                Filter { since: at("2026-03-01T12:00:00Z"), ..Filter::default() },
                Filter { duration_ms_min: Some(0.0), ..Filter::default() },
            ];
            assert!(filters.iter().all(|filter| !filter.admits_text(line)));
        }
    }
}
