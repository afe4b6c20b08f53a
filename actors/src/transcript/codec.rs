//! Transcript files: one JSON object a line.
//!
//! Reading never fails: a line that cannot be parsed is skipped and counted, a torn last line is ignored.

use serde_json::Value;

use super::entry::TranscriptEntry;

/// A session's transcript, in the order it was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcript {
    pub header: Option<TranscriptEntry>,
    /// Everything but headers.
    pub entries: Vec<TranscriptEntry>,
}

/// What reading a file gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadTranscript {
    pub transcript: Transcript,
    /// Lines that were no JSON object.
    pub skipped: usize,
    /// Did the file break off in the middle of its last line?
    pub torn: bool,
}

/// Reads a transcript file. Of several headers the first counts; the others are left out.
pub fn read(bytes: &[u8]) -> ReadTranscript {
    let mut read = ReadTranscript::default();
    let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let is_unfinished = lines.peek().is_none();
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Value>(line) {
            Ok(value @ Value::Object(_)) => read.transcript.push(TranscriptEntry::from_value(value)),
            _ if is_unfinished => read.torn = true,
            _ => read.skipped += 1,
        }
    }
    read
}

impl Transcript {
    fn push(&mut self, entry: TranscriptEntry) {
        if !entry.is_header() {
            self.entries.push(entry);
        } else if self.header.is_none() {
            self.header = Some(entry);
        }
    }

    /// The file's content: the header, then every entry, each line ended.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in self.header.iter().chain(&self.entries) {
            bytes.extend(entry.to_value().to_string().bytes());
            bytes.push(b'\n');
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = concat!(
        r#"{"type":"session","version":3,"id":"s","timestamp":"t","cwd":"/ws"}"#,
        "\n",
        r#"{"type":"message","id":"a","parentId":null,"timestamp":"t","message":{"role":"user","content":"größe"}}"#,
        "\n",
        r#"{"type":"message","id":"b","parentId":"a","timestamp":"t","message":{"role":"assistant","content":[]}}"#,
        "\n"
    );

    #[test]
    fn a_file_is_written_as_it_was_read() {
        let read = read(FILE.as_bytes());
        assert_eq!((read.skipped, read.torn, read.transcript.entries.len()), (0, false, 2));
        assert_eq!(String::from_utf8(read.transcript.write()).unwrap(), FILE);
    }

    #[test]
    fn a_file_cut_at_any_byte_loses_only_the_line_that_was_cut() {
        let ends: Vec<usize> = FILE.match_indices('\n').map(|(at, _)| at).collect();
        for cut in 0..=FILE.len() {
            let read = read(&FILE.as_bytes()[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let kept = read.transcript.header.iter().len() + read.transcript.entries.len();
            assert_eq!((kept, read.skipped), (whole, 0), "cut at {cut}");
            let at_a_line = cut == 0 || ends.iter().any(|end| *end == cut || end + 1 == cut);
            assert_eq!(read.torn, !at_a_line, "cut at {cut}");
        }
    }

    #[test]
    fn broken_lines_in_the_middle_are_counted_and_left_out() {
        let file = format!("not json\n5\n\n{FILE}{{\"type\":\n{FILE}");
        let read = read(file.as_bytes());
        assert_eq!((read.skipped, read.torn), (3, false));
        assert_eq!(read.transcript.entries.len(), 4);
        assert_eq!(read.transcript.header.unwrap().id, "s");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_reading_what_was_written_gives_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let first = read(&bytes).transcript;
            prop_assert_eq!(read(&first.write()).transcript, first);
        }
    }
}
