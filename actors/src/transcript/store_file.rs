//! `sessions.json`: the map from session key to entry, and the names of the transcript files beside it.
//!
//! An entry that cannot be read costs only itself. Source: sessions directory of 2026.5.12.

use serde_json::{Map, Value};

use crate::session::SessionEntry;

/// Name of the file in an agent's sessions directory.
pub const FILE_NAME: &str = "sessions.json";

/// What the file held.
#[derive(Debug, Default, PartialEq)]
pub struct ReadStore {
    /// In file order, under the keys as they stand there.
    pub sessions: Vec<(String, SessionEntry)>,
    /// Keys whose entry has no session id.
    pub unreadable: Vec<String>,
}

/// Reads the file's content.
pub fn read(bytes: &[u8]) -> Result<ReadStore, serde_json::Error> {
    let map: Map<String, Value> = serde_json::from_slice(bytes)?;
    let mut read = ReadStore::default();
    for (key, value) in map {
        match SessionEntry::from_value(value) {
            Some(entry) => read.sessions.push((key, entry)),
            None => read.unreadable.push(key),
        }
    }
    Ok(read)
}

/// The file's content, indented as upstream writes it.
pub fn write<'a>(sessions: impl IntoIterator<Item = (&'a str, &'a SessionEntry)>) -> Vec<u8> {
    let map: Map<String, Value> = sessions.into_iter().map(|(key, entry)| (key.to_owned(), entry.to_value())).collect();
    serde_json::to_vec_pretty(&map).unwrap_or_default() // plain values with text keys: cannot fail
}

/// Where a session's transcript may be, best first: plain file names, never paths.
///
/// A `sessionFile` counts by its last part and comes first when it belongs to the session's id, as topic files do;
/// after a reset it may still name the old file.
pub fn transcript_names(entry: &SessionEntry) -> Vec<String> {
    let own = format!("{}.jsonl", entry.session_id);
    let named = entry.session_file.as_deref().and_then(|path| path.rsplit(['/', '\\']).next()).map(str::to_owned);
    let mut names: Vec<String> = match named {
        Some(named) if named.starts_with(&entry.session_id) => vec![named, own],
        Some(named) => vec![own, named],
        None => vec![own],
    };
    names.retain(|name| is_plain(name));
    names.dedup();
    names
}

fn is_plain(name: &str) -> bool {
    name.len() <= 255
        && name.ends_with(".jsonl")
        && !name.starts_with('.')
        && !name.contains(|c: char| c == '/' || c == '\\' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, file: Option<&str>) -> SessionEntry {
        SessionEntry { session_file: file.map(str::to_owned), ..SessionEntry::new(id, 1) }
    }

    #[test]
    fn a_store_is_written_as_it_was_read() {
        let file = "{\n  \"agent:main:main\": {\n    \"sessionId\": \"a\",\n    \"updatedAt\": 5,\n    \"future\": []\n  },\n  \
                    \"bad\": 5\n}";
        let read = read(file.as_bytes()).unwrap();
        assert_eq!((read.sessions.len(), read.unreadable.as_slice()), (1, &["bad".to_owned()][..]));
        let written = write(read.sessions.iter().map(|(key, entry)| (key.as_str(), entry)));
        assert_eq!(String::from_utf8(written).unwrap(), file.replace(",\n  \"bad\": 5", ""));
    }

    #[test]
    fn a_transcript_name_never_leaves_the_directory() {
        for (id, file, names) in [
            ("a", None, vec!["a.jsonl"]),
            ("a", Some("/old/machine/a-topic-7.jsonl"), vec!["a-topic-7.jsonl", "a.jsonl"]),
            ("a", Some("C:\\x\\b.jsonl"), vec!["a.jsonl", "b.jsonl"]),
            ("a", Some("/x/a.jsonl"), vec!["a.jsonl"]),
            ("../../etc/x", None, vec![]),
            (".hidden", None, vec![]),
            ("a", Some("/etc/passwd"), vec!["a.jsonl"]),
        ] {
            assert_eq!(transcript_names(&entry(id, file)), names, "{id} {file:?}");
        }
    }
}
