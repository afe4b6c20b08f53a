//! `logs.tail`: the end of the log, or what came since a cursor.
//!
//! A cursor is a byte offset in the current file and always stands at the beginning of a line; a cut line is never returned.
//! Blocking: callers run it on the blocking pool.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::Serialize;

use super::backward::BackwardLines;
use super::parse::parse;
use super::tail_params::TailParams;

/// How much a filtered search reads before it gives up, bytes over all files.
const SEARCH_BYTES_MAX: u64 = 128 << 20;

/// Threads log a moment after they looked at the clock: a search for `since` reads this much further back.
const DISORDER: SignedDuration = SignedDuration::from_secs(5);

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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use serde_json::{Value, json};

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
}
