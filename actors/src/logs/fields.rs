//! Collects the fields of spans and events, as they were recorded.
//!
//! Nothing here is redacted yet: the values leave this module only towards `record`, which cleans them.

use std::error::Error;
use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};

/// Fields of one span or event, in the order of recording; recording a name again replaces its value.
#[derive(Default)]
pub(super) struct Fields {
    /// The format string of an event.
    pub message: String,
    /// Subsystem that overrides the target.
    pub subsystem: Option<String>,
    /// `fatal = true` on an error: the level `tracing` lacks.
    pub fatal: bool,
    pub values: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name().strip_prefix("r#").unwrap_or(field.name());
        match (name, value) {
            ("message", Value::String(text)) => self.message = text,
            ("subsystem", Value::String(text)) => self.subsystem = Some(text),
            ("fatal", Value::Bool(fatal)) => self.fatal = fatal,
            (name, value) => merge(&mut self.values, name, value),
        }
    }
}

/// Sets a value in a list that has each name once.
pub(super) fn merge<N: PartialEq>(values: &mut Vec<(N, Value)>, name: N, value: Value) {
    match values.iter_mut().find(|(known, _)| *known == name) {
        Some(entry) => entry.1 = value,
        None => values.push((name, value)),
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into()); // not a number becomes null
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    /// An error with all its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.put(field, text.into());
    }
}
