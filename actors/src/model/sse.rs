//! Server-sent events out of a byte stream: lines to events, with a cap on their size.
//!
//! Invariant: the events do not depend on where the chunks are cut, not even inside a character or a `\r\n`.
//!
//! Own parser, and not the `eventsource-stream` crate, because version 0.2.3 of that panics on a byte order mark, keeps
//! everything after an invalid byte for ever, and scans an unfinished line from its start for every chunk.

use std::collections::VecDeque;

use super::error::ModelError;

/// Largest event, bytes; a stream that goes on without completing one is cut off.
pub const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Turns chunks into the `data` of events. Event names, ids and retry times are ignored: each of our wires repeats
/// the kind of an event inside its data.
#[derive(Debug, Default)]
pub struct Parser {
    /// The line that has begun.
    line: Vec<u8>,
    /// The data lines of the event that has begun; `None` before the first.
    data: Option<String>,
    /// Bytes since the last complete event.
    pending: usize,
    after_cr: bool,
    seen_line: bool,
    ready: VecDeque<String>,
}

impl Parser {
    /// Takes a chunk. An event that outgrows the cap is `ModelError::Malformed`.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), ModelError> {
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.take(&rest[..end])?;
            self.end_line();
            let (is_cr, after) = (rest[end] == b'\r', &rest[end + 1..]);
            self.after_cr = is_cr && after.is_empty();
            rest = if is_cr { after.strip_prefix(b"\n").unwrap_or(after) } else { after };
        }
        self.take(rest)
    }

    /// The data of the next complete event.
    pub fn next_event(&mut self) -> Option<String> {
        self.ready.pop_front()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        self.pending += bytes.len();
        if self.pending > EVENT_BYTES_MAX {
            return Err(ModelError::Malformed(format!("an event of more than {EVENT_BYTES_MAX} bytes")));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !std::mem::replace(&mut self.seen_line, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            self.pending = 0;
            self.ready.extend(self.data.take());
        } else if let Some(value) = data_of(line) {
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(&String::from_utf8_lossy(value));
                }
                None => self.data = Some(String::from_utf8_lossy(value).into_owned()),
            }
        }
    }
}

/// The value of a `data` field; `None` for comments and other fields.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            parser.push(chunk).unwrap();
            events.extend(std::iter::from_fn(|| parser.next_event()));
        }
        events
    }

    #[test]
    fn lines_become_events() {
        for (input, expected) in [
            ("data: a\n\n", vec!["a"]),
            ("data:a\n\ndata:  b\n\n", vec!["a", " b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", vec!["a", "b"]),
            ("data: a\r\rdata: b\r\r", vec!["a", "b"]),
            ("event: x\nid: 7\nretry: 5\ndata: a\n\n", vec!["a"]),
            ("data: a\ndata: b\n\n", vec!["a\nb"]),
            (": ping\n\n: ping\n\ndata: a\n\n", vec!["a"]),
            ("data\n\n", vec![""]),
            ("database: x\ndata: a\n\n", vec!["a"]),
            ("\u{feff}data: a\n\n", vec!["a"]),
            ("data: unfinished\n", vec![]),
            ("event: only\n\n", vec![]),
        ] {
            assert_eq!(parse(&[input.as_bytes()]), expected, "{input:?}");
        }
    }

    #[test]
    fn an_invalid_byte_costs_one_character_and_no_event() {
        assert_eq!(parse(&[b"data: a\xffb\n\ndata: c\n\n"]), ["a\u{fffd}b", "c"]);
    }

    #[test]
    fn an_event_without_end_is_cut_off() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; EVENT_BYTES_MAX / 4];
        for _ in 0..4 {
            parser.push(&chunk).unwrap();
        }
        assert!(matches!(parser.push(b"x"), Err(ModelError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn the_events_do_not_depend_on_the_chunks(text in "(data: |\r|\n|é|👍|:|a){0,40}", cut in 0..200_usize, cut2 in 0..200_usize) {
            let bytes = text.as_bytes();
            let (one, two) = (cut.min(bytes.len()), cut2.min(bytes.len()));
            let (one, two) = (one.min(two), one.max(two));
            prop_assert_eq!(parse(&[&bytes[..one], &bytes[one..two], &bytes[two..]]), parse(&[bytes]));
        }
    }
}
