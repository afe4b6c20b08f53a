//! Reads one agent's sessions directory as upstream leaves it. Changes nothing there.
//!
//! Damage costs what is damaged and is reported; it never fails the import of the rest.

use std::io;
use std::path::Path;

use super::codec::{self, Transcript};
use super::entry::TranscriptEntry;
use super::store_file;
use crate::session::SessionEntry;

/// One session with its history.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedSession {
    /// As the file has it; not canonical yet.
    pub key: String,
    pub entry: SessionEntry,
    /// Has a header with the session's id, or is empty when the session never had a file.
    pub transcript: Transcript,
}

/// What a sessions directory held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Import {
    pub sessions: Vec<ImportedSession>,
    /// What was left out and why, one line each.
    pub warnings: Vec<String>,
}

/// Reads a sessions directory. One without `sessions.json` is empty.
///
/// Errors: only when the directory or a file cannot be read at all; a missing file is not an error.
pub fn read_dir(dir: &Path) -> io::Result<Import> {
    let mut import = Import::default();
    let Some(bytes) = read_if_there(&dir.join(store_file::FILE_NAME))? else { return Ok(import) };
    let store = match store_file::read(&bytes) {
        Ok(store) => store,
        Err(error) => {
            import.warnings.push(format!("{}: not readable: {error}", store_file::FILE_NAME));
            return Ok(import);
        }
    };
    import.warnings.extend(store.unreadable.iter().map(|key| format!("session {key}: entry has no session id")));
    for (key, entry) in store.sessions {
        let transcript = read_transcript(dir, &entry, &mut import.warnings)?;
        import.sessions.push(ImportedSession { key, entry, transcript });
    }
    Ok(import)
}

fn read_transcript(dir: &Path, entry: &SessionEntry, warnings: &mut Vec<String>) -> io::Result<Transcript> {
    for name in store_file::transcript_names(entry) {
        let Some(bytes) = read_if_there(&dir.join(&name))? else { continue };
        let read = codec::read(&bytes);
        if read.skipped > 0 {
            warnings.push(format!("{name}: {} unreadable lines left out", read.skipped));
        }
        return Ok(with_own_header(read.transcript, &entry.session_id));
    }
    Ok(Transcript::default())
}

/// Gives a transcript the header that it should have; files with a header of another session exist.
fn with_own_header(mut transcript: Transcript, session_id: &str) -> Transcript {
    let first_time = transcript.entries.first().map(|entry| entry.timestamp.clone()).unwrap_or_default();
    let header = transcript.header.get_or_insert_with(|| TranscriptEntry::header(session_id, first_time, None));
    header.id = session_id.to_owned();
    transcript
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::files;

    const STORE: &str = r#"{"agent:main:main": {"sessionId": "s", "updatedAt": 1}}"#;
    const LINES: &str = concat!(
        r#"{"type":"session","version":3,"id":"other","timestamp":"t"}"#,
        "\n",
        r#"{"type":"message","id":"a","parentId":null,"timestamp":"t","message":{"role":"user","content":"ü"}}"#,
        "\n",
        r#"{"type":"message","id":"b","parentId":"a","timestamp":"t","message":{"role":"user","content":"2"}}"#,
        "\n"
    );

    fn import(store: &[u8], lines: &[u8]) -> Import {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [("sessions.json", store), ("s.jsonl", lines)] {
            files::create_private(&dir.path().join(name)).unwrap().write_all(content).unwrap();
        }
        read_dir(dir.path()).unwrap()
    }

    #[test]
    fn a_directory_that_is_empty_or_missing_holds_no_sessions() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_dir(dir.path()).unwrap(), Import::default());
        assert_eq!(read_dir(&dir.path().join("missing")).unwrap(), Import::default());
    }

    #[test]
    fn a_header_of_another_session_is_corrected_and_a_missing_one_made() {
        for lines in [LINES, LINES.split_once('\n').unwrap().1] {
            let import = import(STORE.as_bytes(), lines.as_bytes());
            let transcript = &import.sessions[0].transcript;
            assert_eq!(transcript.header.as_ref().unwrap().id, "s");
            assert_eq!(transcript.entries.len(), 2);
            assert!(import.warnings.is_empty());
        }
    }

    #[test]
    fn a_transcript_cut_at_any_byte_is_imported_up_to_there() {
        for cut in 0..LINES.len() {
            let import = import(STORE.as_bytes(), &LINES.as_bytes()[..cut]);
            assert_eq!(import.warnings, Vec::<String>::new(), "cut at {cut}");
            assert!(import.sessions[0].transcript.entries.len() <= 2);
        }
    }

    #[test]
    fn a_store_cut_at_any_byte_is_reported_and_imports_nothing() {
        for cut in 0..STORE.len() {
            let import = import(&STORE.as_bytes()[..cut], LINES.as_bytes());
            assert_eq!((import.sessions.len(), import.warnings.len()), (0, 1), "cut at {cut}");
        }
    }

    #[test]
    fn damage_is_reported_and_costs_only_itself() {
        let store = r#"{"agent:main:main": {"sessionId": "s"}, "agent:main:x": {}}"#;
        let import = import(store.as_bytes(), format!("oops\n{LINES}").as_bytes());
        assert_eq!(
            import.warnings,
            ["session agent:main:x: entry has no session id", "s.jsonl: 1 unreadable lines left out"]
        );
        assert_eq!(import.sessions[0].transcript.entries.len(), 2);
    }
}
