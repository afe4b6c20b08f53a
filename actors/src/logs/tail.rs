//! `logs.tail`: the end of the log, or what came since a cursor.
//!
//! A cursor is a byte offset in the current file and always stands at the beginning of a line; a cut line is never returned.
//! Blocking: callers run it on the blocking pool.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use super::backward::BackwardLines;
use super::filter::Filter;
use super::parse::parse;
use super::when::{self, Bound};

pub const LIMIT_DEFAULT: usize = 500;
pub const LIMIT_MAX: usize = 5_000;
pub const BYTES_DEFAULT: u64 = 250_000;
pub const BYTES_MAX: u64 = 1_000_000;

/// How much a filtered search reads before it gives up, bytes over all files.
const SEARCH_BYTES_MAX: u64 = 128 << 20;

/// Threads log a moment after they looked at the clock: a search for `since` reads this much further back.
const DISORDER: SignedDuration = SignedDuration::from_secs(5);

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

/// The reply. Source: `logs.tail` of protocol 4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tail {
    pub file: PathBuf,
    /// Where to go on.
    pub cursor: u64,
    /// Size of the file, bytes.
    pub size: u64,
    pub lines: Vec<String>,
    /// The log holds more than was looked at.
    pub truncated: bool,
    /// The cursor was not of this file, or too far behind: lines are missing in between.
    pub reset: bool,
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

/// Reads the log. `files` are its generations, youngest first: the first is the current file, whose absence is an empty log.
pub fn tail(files: &[PathBuf], params: &TailParams) -> io::Result<Tail> {
    let file = files.first().cloned().unwrap_or_default();
    let found = match params.cursor {
        None if !params.filter.is_open() => search(files, params),
        cursor => slice(&file, cursor, params),
    };
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Tail {
            file,
            cursor: 0,
            size: 0,
            lines: Vec::new(),
            truncated: false,
            reset: params.cursor.is_some_and(|cursor| cursor > 0),
        }),
        found => found,
    }
}

/// What part of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    start: u64,
    truncated: bool,
    reset: bool,
}

/// Decides the part. `at_line_start`: does the cursor stand right after a line feed, as every cursor of this file does?
fn window(size: u64, cursor: Option<u64>, at_line_start: bool, bytes_max: u64) -> Window {
    let end = size.saturating_sub(bytes_max);
    match cursor {
        None => Window { start: end, truncated: end > 0, reset: false },
        Some(cursor) if cursor > size || !at_line_start => Window { start: end, truncated: end > 0, reset: true },
        Some(cursor) if size - cursor > bytes_max => Window { start: end, truncated: true, reset: true },
        Some(cursor) => Window { start: cursor, truncated: false, reset: false },
    }
}

fn slice(path: &Path, cursor: Option<u64>, params: &TailParams) -> io::Result<Tail> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let at_line_start = match cursor {
        Some(cursor) if cursor <= size => is_line_start(&mut file, cursor)?,
        _ => true,
    };
    let Window { start, truncated, reset } = window(size, cursor, at_line_start, params.bytes_max);
    let cut = !is_line_start(&mut file, start)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(size - start).read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |feed| feed + 1);
    let mut lines: Vec<String> = bytes[..whole]
        .split_inclusive(|byte| *byte == b'\n')
        .skip(usize::from(cut))
        .map(|line| String::from_utf8_lossy(&line[..line.len() - 1]).into_owned())
        .filter(|line| params.filter.admits_text(line))
        .collect();
    lines.drain(..lines.len().saturating_sub(params.limit));
    Ok(Tail { file: path.to_owned(), cursor: start + whole as u64, size, lines, truncated, reset })
}

fn is_line_start(file: &mut File, offset: u64) -> io::Result<bool> {
    if offset == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(offset - 1))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte[0] == b'\n')
}

/// The youngest records that pass the filter, from all files, in the order of the log.
fn search(files: &[PathBuf], params: &TailParams) -> io::Result<Tail> {
    let file = files.first().cloned().unwrap_or_default();
    let mut found = Tail { file, cursor: 0, size: 0, lines: Vec::new(), truncated: false, reset: false };
    let mut budget = Budget { read: 0, kept: 0 };
    for (index, path) in files.iter().enumerate() {
        let (mut lines, size) = match BackwardLines::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // rotated away meanwhile
            opened => opened?,
        };
        let unfinished = lines.next().transpose()?.map_or(0, |line| line.len() as u64);
        if index == 0 {
            (found.size, found.cursor) = (size, size - unfinished);
        }
        if !collect(lines, params, &mut budget, &mut found)? {
            break;
        }
    }
    found.lines.reverse();
    Ok(found)
}

struct Budget {
    /// Bytes read, over all files.
    read: u64,
    /// Bytes of the lines found.
    kept: u64,
}

/// Adds the records of one file, youngest first; `false` when no older file is needed.
fn collect(
    lines: impl Iterator<Item = io::Result<Vec<u8>>>,
    params: &TailParams,
    budget: &mut Budget,
    found: &mut Tail,
) -> io::Result<bool> {
    let oldest = params.filter.since.and_then(|since| since.checked_sub(DISORDER).ok());
    for line in lines {
        let line = String::from_utf8_lossy(&line?).into_owned();
        budget.read += line.len() as u64 + 1;
        if budget.read > SEARCH_BYTES_MAX {
            found.truncated = true;
            return Ok(false);
        }
        let Some(record) = parse(&line) else { continue };
        if oldest.is_some_and(|oldest| record.time.is_some_and(|time| time < oldest)) {
            return Ok(false);
        }
        if !params.filter.admits(&record) {
            continue;
        }
        if found.lines.len() == params.limit {
            return Ok(false);
        }
        budget.kept += line.len() as u64 + 1;
        if budget.kept > params.bytes_max {
            found.truncated = true;
            return Ok(false);
        }
        found.lines.push(line);
    }
    Ok(true)
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
    use std::io::Write;

    use serde_json::json;

    use super::super::level::Level;
    use super::*;
    use crate::files;

    struct Bench(tempfile::TempDir);

    impl Bench {
        fn new() -> Self {
            Bench(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn append(&self, text: &str) -> PathBuf {
            let path = self.path("a.log");
            files::append_private(&path).unwrap().write_all(text.as_bytes()).unwrap();
            path
        }

        fn tail(&self, params: Value) -> Tail {
            let params = TailParams::parse(&params, Timestamp::UNIX_EPOCH, &TimeZone::UTC).unwrap();
            tail(&[self.path("a.log")], &params).unwrap()
        }
    }

    fn summary(tail: &Tail) -> (Vec<&str>, u64, bool, bool) {
        (tail.lines.iter().map(String::as_str).collect(), tail.cursor, tail.truncated, tail.reset)
    }

    #[test]
    fn the_first_call_gives_the_end_and_the_next_what_came_since() {
        let b = Bench::new();
        b.append("one\ntwo\nthree\n");
        assert_eq!(summary(&b.tail(json!({"limit": 2}))), (vec!["two", "three"], 14, false, false));
        assert_eq!(summary(&b.tail(json!({"cursor": 14}))), (vec![], 14, false, false));
        b.append("four\n");
        assert_eq!(summary(&b.tail(json!({"cursor": 14}))), (vec!["four"], 19, false, false));
    }

    #[test]
    fn a_line_that_is_being_written_waits_until_it_is_whole() {
        let b = Bench::new();
        b.append("one\ntw");
        assert_eq!(summary(&b.tail(json!({}))), (vec!["one"], 4, false, false));
        assert_eq!(summary(&b.tail(json!({"cursor": 4}))), (vec![], 4, false, false));
        b.append("o\n");
        assert_eq!(summary(&b.tail(json!({"cursor": 4}))), (vec!["two"], 8, false, false));
    }

    #[test]
    fn a_line_cut_by_the_byte_limit_is_dropped() {
        let b = Bench::new();
        b.append("first\nsecond\nthird\n");
        for (bytes, expected) in
            [(6, vec!["third"]), (7, vec!["third"]), (12, vec!["third"]), (13, vec!["second", "third"])]
        {
            assert_eq!(summary(&b.tail(json!({"maxBytes": bytes}))), (expected, 19, true, false), "{bytes}");
        }
        assert!(!b.tail(json!({"maxBytes": 19})).truncated);
        assert_eq!(summary(&b.tail(json!({"maxBytes": 3}))), (vec![], 19, true, false));
    }

    #[test]
    fn a_cursor_of_another_file_or_too_far_behind_resets() {
        let b = Bench::new();
        b.append("first\nsecond\n");
        assert_eq!(summary(&b.tail(json!({"cursor": 99}))), (vec!["first", "second"], 13, false, true));
        assert_eq!(summary(&b.tail(json!({"cursor": 3}))), (vec!["first", "second"], 13, false, true));
        assert_eq!(summary(&b.tail(json!({"cursor": 0, "maxBytes": 8}))), (vec!["second"], 13, true, true));
        std::fs::remove_file(b.path("a.log")).unwrap();
        assert_eq!(summary(&b.tail(json!({"cursor": 13}))), (vec![], 0, false, true));
        assert_eq!(summary(&b.tail(json!({}))), (vec![], 0, false, false));
        b.append("new\n");
        assert_eq!(summary(&b.tail(json!({"cursor": 13}))), (vec!["new"], 4, false, true));
    }

    #[test]
    fn a_line_of_a_megabyte_is_passed_over_and_reading_goes_on() {
        let b = Bench::new();
        b.append(&format!("{}\nafter\n", "x".repeat(1 << 20)));
        let tail = b.tail(json!({"cursor": 0}));
        assert_eq!(summary(&tail), (vec!["after"], (1 << 20) + 7, true, true));
        assert_eq!(b.tail(json!({"cursor": tail.cursor})).lines.len(), 0);
    }

    #[test]
    fn the_reply_has_the_names_of_the_protocol() {
        let b = Bench::new();
        let path = b.append("one\n");
        let expected =
            json!({"file": path, "cursor": 4, "size": 4, "lines": ["one"], "truncated": false, "reset": false});
        assert_eq!(serde_json::to_value(b.tail(json!({"sinceMs": null}))).unwrap(), expected);
    }

    fn line(minute: u32, level: &str, ms: u32) -> String {
        format!(
            r#"{{"0":"{{\"subsystem\":\"gateway/ws\"}}","_meta":{{"logLevelName":"{level}"}},"time":"2026-03-01T12:{minute:02}:00.000+00:00","message":"m{minute}","durationMs":{ms}}}"#
        )
    }

    fn messages(tail: &Tail) -> Vec<String> {
        tail.lines.iter().map(|line| parse(line).unwrap().message).collect()
    }

    #[test]
    fn filters_search_rotated_files_too() {
        let b = Bench::new();
        let files = [b.path("a.log"), b.path("gone.log"), b.path("a.1.log"), b.path("a.2.log")];
        let write =
            |path: &Path, lines: &[String]| files::replace(path, format!("{}\n", lines.join("\n")).as_bytes()).unwrap();
        write(&files[3], &[line(0, "ERROR", 5), line(1, "INFO", 5000)]);
        write(&files[2], &[line(2, "WARN", 10), "not a record".into(), line(3, "INFO", 10)]);
        write(&files[0], &[line(4, "FATAL", 10), line(5, "INFO", 2000)]);
        let now = "2026-03-01T12:06:00Z".parse().unwrap();
        let look = |params: Value| tail(&files, &TailParams::parse(&params, now, &TimeZone::UTC).unwrap()).unwrap();
        for (params, expected) in [
            (json!({"level": "warn"}), vec!["m0", "m2", "m4"]),
            (json!({"level": "warn", "limit": 2}), vec!["m2", "m4"]),
            (json!({"minDurationMs": 1000}), vec!["m1", "m5"]),
            (json!({"since": "2026-03-01T12:02:00Z", "until": "2026-03-01T12:04:00"}), vec!["m2", "m3", "m4"]),
            (json!({"since": "3m"}), vec!["m3", "m4", "m5"]),
            (json!({"sinceMs": 60_000}), vec!["m5"]),
            (json!({"since": "2026-03-01", "until": "2026-03-01"}), vec!["m0", "m1", "m2", "m3", "m4", "m5"]),
            (json!({"component": "gateway", "level": "error"}), vec!["m0", "m4"]),
            (json!({"component": "session"}), vec![]),
        ] {
            let found = look(params.clone());
            assert_eq!(messages(&found), expected, "{params}");
            assert_eq!((found.cursor, found.truncated), (found.size, false));
        }
        let short = look(json!({"level": "trace", "maxBytes": 400}));
        assert_eq!((messages(&short), short.truncated), (vec!["m4".to_owned(), "m5".to_owned()], true));
        let since_cursor = look(json!({"cursor": 0, "level": "fatal"}));
        assert_eq!(messages(&since_cursor), ["m4"]);
    }

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
