//! What a reader of the log may ask for: the parameters of `logs.tail`, their bounds and their errors.
//!
//! Unknown parameters are ignored, so that newer clients can ask older gateways.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::filter::Filter;
use super::when::{self, Bound};

pub const LIMIT_DEFAULT: usize = 500;
pub const LIMIT_MAX: usize = 5_000;
pub const BYTES_DEFAULT: u64 = 250_000;
pub const BYTES_MAX: u64 = 1_000_000;

/// Parameters of `logs.tail`.
#[derive(Debug, Clone, PartialEq)]
pub struct TailParams {
    /// Absent: the end of the log; with a filter, over rotated files too.
    pub cursor: Option<u64>,
    /// Lines, 1 to 5000. Default 500.
    pub limit: usize,
    /// Bytes, 1 to 1 000 000. Default 250 000.
    pub bytes_max: u64,
    /// OURS: `level component since until minDurationMs sinceMs`.
    pub filter: Filter,
}

impl Default for TailParams {
    fn default() -> Self {
        Self { cursor: None, limit: LIMIT_DEFAULT, bytes_max: BYTES_DEFAULT, filter: Filter::default() }
    }
}

/// Bad parameters; the text is the whole error message of the reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid logs.tail params: at /{key}: {message}")]
pub struct TailParamsError {
    pub key: &'static str,
    pub message: String,
}

impl TailParams {
    /// Reads the parameters; unknown ones are ignored. `sinceMs` is an age in milliseconds.
    pub fn parse(params: &Value, now: Timestamp, zone: &TimeZone) -> Result<Self, TailParamsError> {
        let empty = Map::new();
        let params = params.as_object().unwrap_or(&empty);
        let time = |key: &'static str, bound| match text(params, key)? {
            None => Ok(None),
            Some(text) => when::parse(text, bound, now, zone).map(Some).map_err(|error| bad(key, error.to_string())),
        };
        let age = number(params, "sinceMs", 0, u64::MAX)?.map(|ms| {
            let age = SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
            now.checked_sub(age).unwrap_or(Timestamp::MIN)
        });
        let level = match text(params, "level")? {
            None => None,
            Some(name) => Some(name.parse().map_err(|_| bad("level", "must be equal to one of the allowed values"))?),
        };
        let filter = Filter {
            level,
            component: text(params, "component")?.filter(|name| !name.is_empty()).map(str::to_owned),
            since: time("since", Bound::Since)?.max(age),
            until: time("until", Bound::Until)?,
            duration_ms_min: number(params, "minDurationMs", 0, u64::MAX)?.map(|ms| ms as f64),
        };
        let limit = number(params, "limit", 1, LIMIT_MAX as u64)?.map_or(LIMIT_DEFAULT, |limit| limit as usize);
        let bytes_max = number(params, "maxBytes", 1, BYTES_MAX)?.unwrap_or(BYTES_DEFAULT);
        Ok(Self { cursor: number(params, "cursor", 0, u64::MAX)?, limit, bytes_max, filter })
    }
}

fn bad(key: &'static str, message: impl Into<String>) -> TailParamsError {
    TailParamsError { key, message: message.into() }
}

fn text<'a>(params: &'a Map<String, Value>, key: &'static str) -> Result<Option<&'a str>, TailParamsError> {
    match params.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(key, "must be string")),
    }
}

fn number(params: &Map<String, Value>, key: &'static str, min: u64, max: u64) -> Result<Option<u64>, TailParamsError> {
    let value = match params.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    if value.as_i64().is_some_and(|n| n < 0) {
        return Err(bad(key, format!("must be >= {min}")));
    }
    match value.as_u64().ok_or_else(|| bad(key, "must be integer"))? {
        n if n < min => Err(bad(key, format!("must be >= {min}"))),
        n if n > max => Err(bad(key, format!("must be <= {max}"))),
        n => Ok(Some(n)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::level::Level;
    use super::*;

    #[test]
    fn bad_parameters_are_named() {
        for (params, expected) in [
            (json!({"limit": 0}), "at /limit: must be >= 1"),
            (json!({"limit": 5001}), "at /limit: must be <= 5000"),
            (json!({"maxBytes": 1_000_001}), "at /maxBytes: must be <= 1000000"),
            (json!({"cursor": -1}), "at /cursor: must be >= 0"),
            (json!({"cursor": "x"}), "at /cursor: must be integer"),
            (json!({"level": "loud"}), "at /level: must be equal to one of the allowed values"),
            (json!({"component": 1}), "at /component: must be string"),
        ] {
            let error = TailParams::parse(&params, Timestamp::UNIX_EPOCH, &TimeZone::UTC).unwrap_err();
            assert_eq!(error.to_string(), format!("invalid logs.tail params: {expected}"));
        }
        let parsed = TailParams::parse(&json!({"unknown": 1}), Timestamp::UNIX_EPOCH, &TimeZone::UTC).unwrap();
        assert_eq!(parsed, TailParams::default());
        let level = TailParams::parse(&json!({"level": "warn"}), Timestamp::UNIX_EPOCH, &TimeZone::UTC).unwrap();
        assert_eq!(level.filter.level, Some(Level::Warn));
    }
}
