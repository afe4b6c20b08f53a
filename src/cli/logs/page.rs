//! What `openclaw logs` asks for and prints, as plain functions: the command does the talking and the waiting.
//!
//! Log lines go to stdout, everything about them to stderr; with `--json` all of it is one stream of objects on stdout.

use std::time::Duration;

use openclaw_actors::logs::filter::{Filter, Grep};
use openclaw_actors::logs::render::{self, LineStyle};
use serde_json::{Map, Value, json};

/// Printed on stderr when the local gateway does not answer and its file is read instead.
pub const READING_FILE: &str = "Local Gateway RPC unavailable; reading configured file log instead.";
const TRUNCATED: &str = "Log tail truncated (increase --max-bytes).";
const RESET: &str = "Log cursor reset (file rotated).";

/// Tries to reconnect that come quickly; later ones come every [`RECONNECT_MAX`].
const RECONNECT_TRIES: u32 = 8;
const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// How lines are shown, and which.
#[derive(Debug, Default)]
pub struct View {
    pub json: bool,
    pub style: LineStyle,
    /// Applied here again: an older gateway ignores it.
    pub filter: Filter,
    pub grep: Option<Grep>,
}

/// One line for one of the two streams, without the line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    Stdout(String),
    Stderr(String),
}

/// Parameters of `logs.tail`. Nothing that was not asked for is sent: older gateways know only the first three.
///
/// Times are sent as instants, so that `15m` means the reader's now and a date the reader's day.
pub fn params(cursor: Option<u64>, limit: u64, bytes_max: u64, filter: &Filter) -> Value {
    let mut params = Map::new();
    if let Some(cursor) = cursor {
        params.insert("cursor".into(), cursor.into());
    }
    params.insert("limit".into(), limit.into());
    params.insert("maxBytes".into(), bytes_max.into());
    let filters = [
        ("level", filter.level.map(|level| json!(level.name()))),
        ("component", filter.component.as_ref().map(|name| json!(name))),
        ("since", filter.since.map(|at| json!(at.to_string()))),
        ("until", filter.until.map(|at| json!(at.to_string()))),
        ("minDurationMs", filter.duration_ms_min.map(|ms| json!(ms as u64))),
    ];
    params.extend(filters.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    Value::Object(params)
}

/// The reply of `logs.tail` as lines. `file_before` is the file of the reply before, absent for the first one.
pub fn page(reply: &Value, file_before: Option<&str>, view: &View) -> Vec<Out> {
    let file = reply["file"].as_str().unwrap_or_default();
    let number = |key: &str| reply[key].as_u64().unwrap_or_default();
    let mut out = Vec::new();
    if file_before != Some(file) {
        out.push(Out::Stdout(match view.json {
            true => render::json_meta(file, number("cursor"), number("size")),
            false => render::human(&format!("Log file: {file}"), &LineStyle::default()),
        }));
    }
    let lines = reply["lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
    out.extend(lines.filter_map(|text| line(text, view)).map(Out::Stdout));
    if reply["truncated"] == true {
        out.push(notice(TRUNCATED, view));
    }
    if reply["reset"] == true {
        out.push(notice(RESET, view));
    }
    out
}

/// Something to tell beside the lines.
pub fn notice(message: &str, view: &View) -> Out {
    match view.json {
        true => Out::Stdout(render::json_notice(message)),
        false => Out::Stderr(message.to_owned()),
    }
}

/// Why there are no lines; `details` matter to programs only.
pub fn failure(message: &str, details: Map<String, Value>, view: &View) -> Out {
    match view.json {
        true => Out::Stdout(render::json_error(message, details)),
        false => Out::Stderr(message.to_owned()),
    }
}

/// Wait before the reconnection `attempt` (from 0): 1, 2, 4, 8, 16, 30 s, and 30 s for ever after.
pub fn reconnect_delay(attempt: u32) -> Duration {
    let quick = Duration::from_secs(1 << attempt.min(RECONNECT_TRIES));
    quick.min(RECONNECT_MAX)
}

/// What a follower says when it lost the gateway.
pub fn reconnect_notice(attempt: u32, error: &str, view: &View) -> Out {
    let seconds = reconnect_delay(attempt).as_secs();
    notice(&format!("gateway connection lost ({error}); trying again in {seconds}s"), view)
}

fn line(text: &str, view: &View) -> Option<String> {
    if !view.filter.admits_text(text) {
        return None;
    }
    let plain = LineStyle { colour: false, ..view.style.clone() };
    if view.grep.as_ref().is_some_and(|grep| !grep.finds(&render::human(text, &plain))) {
        return None;
    }
    Some(if view.json { render::json(text) } else { render::human(text, &view.style) })
}

#[cfg(test)]
mod tests {
    use openclaw_actors::logs::Level;

    use super::*;

    fn reply(truncated: bool, reset: bool) -> Value {
        let line = |level: &str, message: &str| {
            json!({"0": "{\"subsystem\":\"gateway/ws\"}", "_meta": {"logLevelName": level},
                "time": "2026-11-21T08:10:41.449+00:00", "message": message})
            .to_string()
        };
        json!({"file": "/tmp/openclaw/a.log", "cursor": 9, "size": 9, "truncated": truncated, "reset": reset,
            "lines": [line("INFO", "connect"), line("WARN", "slow"), "raw \u{1b}[2J"]})
    }

    fn out(text: &str) -> Out {
        Out::Stdout(text.into())
    }

    #[test]
    fn a_page_is_the_file_the_lines_and_the_notices() {
        let view = View::default();
        let lines = [
            out("Log file: /tmp/openclaw/a.log"),
            out("2026-11-21T08:10:41.449Z info gateway/ws connect"),
            out("2026-11-21T08:10:41.449Z warn gateway/ws slow"),
            out("raw \\x1b[2J"),
        ];
        let notices = [Out::Stderr(TRUNCATED.into()), Out::Stderr(RESET.into())];
        assert_eq!(page(&reply(true, true), None, &view), [&lines[..], &notices[..]].concat());
        assert_eq!(page(&reply(false, false), Some("/tmp/openclaw/a.log"), &view), lines[1..]);
    }

    #[test]
    fn with_json_everything_is_an_object_on_stdout() {
        let view = View { json: true, ..View::default() };
        let types: Vec<String> = page(&reply(true, false), None, &view)
            .into_iter()
            .map(|line| match line {
                Out::Stdout(text) => serde_json::from_str::<Value>(&text).unwrap()["type"].as_str().unwrap().to_owned(),
                Out::Stderr(text) => panic!("{text} on stderr"),
            })
            .collect();
        assert_eq!(types, ["meta", "log", "log", "raw", "notice"]);
    }

    #[test]
    fn lines_are_filtered_here_when_the_gateway_did_not() {
        let filter = Filter { level: Some(Level::Warn), ..Filter::default() };
        let view = View { filter, ..View::default() };
        let file = Some("/tmp/openclaw/a.log");
        assert_eq!(page(&reply(false, false), file, &view), [out("2026-11-21T08:10:41.449Z warn gateway/ws slow")]);
        let view = View { grep: Some(Grep::new("info .*conn").unwrap()), ..View::default() };
        assert_eq!(page(&reply(false, false), file, &view), [out("2026-11-21T08:10:41.449Z info gateway/ws connect")]);
    }

    #[test]
    fn only_what_was_asked_for_is_sent() {
        assert_eq!(params(None, 5, 250_000, &Filter::default()), json!({"limit": 5, "maxBytes": 250_000}));
        let filter = Filter {
            level: Some(Level::Error),
            component: Some("router".into()),
            since: Some("2026-03-01T00:00:00Z".parse().unwrap()),
            until: None,
            duration_ms_min: Some(1000.0),
        };
        let expected = json!({"cursor": 7, "limit": 5, "maxBytes": 9, "level": "error", "component": "router",
            "since": "2026-03-01T00:00:00Z", "minDurationMs": 1000});
        assert_eq!(params(Some(7), 5, 9, &filter), expected);
    }

    #[test]
    fn reconnecting_slows_down_to_half_a_minute() {
        let seconds: Vec<u64> = (0..10).map(|attempt| reconnect_delay(attempt).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]);
        assert_eq!(reconnect_delay(u32::MAX), RECONNECT_MAX);
    }
}
