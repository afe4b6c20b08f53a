//! Writes sessions as the directory that upstream 2026.5.12 reads, and the archives of a reset or a deletion.
//!
//! The index is written last: it never names a transcript that is not there yet.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::codec::Transcript;
use super::entry::TranscriptEntry;
use super::import::ImportedSession;
use super::store_file;
use crate::files;

/// Why a transcript is put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveReason {
    Reset,
    Deleted,
}

/// Writes `sessions.json` and one transcript per session that has one.
///
/// Errors: I/O; `InvalidInput` for a session id that is no file name, or two different transcripts of one name.
pub fn write_dir(dir: &Path, sessions: &[ImportedSession]) -> io::Result<()> {
    files::ensure_dir(dir)?;
    let mut written: HashMap<String, &Transcript> = HashMap::new();
    for session in sessions {
        if session.transcript == Transcript::default() {
            continue;
        }
        let name = file_name(session)?;
        match written.get(&name) {
            Some(before) if **before == session.transcript => continue,
            Some(_) => return Err(invalid(format!("two sessions want the transcript file {name}"))),
            None => {}
        }
        files::replace(&dir.join(&name), &content(session))?;
        written.insert(name, &session.transcript);
    }
    let index = store_file::write(sessions.iter().map(|session| (session.key.as_str(), &session.entry)));
    files::replace(&dir.join(store_file::FILE_NAME), &index)
}

/// Writes a session's transcript under its archive name and says where.
pub fn archive(dir: &Path, session: &ImportedSession, reason: ArchiveReason, now: Timestamp) -> io::Result<PathBuf> {
    files::ensure_dir(dir)?;
    let path = dir.join(archive_name(&file_name(session)?, reason, now));
    files::replace(&path, &content(session))?;
    Ok(path)
}

/// `<file>.reset.<time>` or `<file>.deleted.<time>`, the time as ISO 8601 in UTC with `-` for `:`.
pub fn archive_name(file: &str, reason: ArchiveReason, now: Timestamp) -> String {
    let reason = match reason {
        ArchiveReason::Reset => "reset",
        ArchiveReason::Deleted => "deleted",
    };
    format!("{file}.{reason}.{}", format!("{now:.3}").replace(':', "-"))
}

fn file_name(session: &ImportedSession) -> io::Result<String> {
    let names = store_file::transcript_names(&session.entry);
    names
        .into_iter()
        .next()
        .ok_or_else(|| invalid(format!("session id {:?} is no file name", session.entry.session_id)))
}

fn content(session: &ImportedSession) -> Vec<u8> {
    if session.transcript.header.is_some() {
        return session.transcript.write();
    }
    let first = session.transcript.entries.first();
    let time = first.map(|entry| entry.timestamp.clone()).unwrap_or_default();
    let header = TranscriptEntry::header(&session.entry.session_id, time, None);
    Transcript { header: Some(header), entries: session.transcript.entries.clone() }.write()
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::session::SessionEntry;
    use crate::transcript::import::read_dir;

    fn session(key: &str, id: &str, texts: &[&str], extra: Value) -> ImportedSession {
        let mut value = json!({"sessionId": id, "updatedAt": 1, "label": key});
        value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let entries: Vec<TranscriptEntry> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| {
                TranscriptEntry::from_value(json!({"type": "message", "id": format!("e{n}"),
                    "parentId": n.checked_sub(1).map(|p| format!("e{p}")), "timestamp": "t",
                    "message": {"role": "user", "content": text, "odd": 1.5}}))
            })
            .collect();
        let header = (!entries.is_empty()).then(|| TranscriptEntry::header(id, "t", Some("/ws".into())));
        let entry = SessionEntry::from_value(value).unwrap();
        ImportedSession { key: key.into(), entry, transcript: Transcript { header, entries } }
    }

    fn round_trip(sessions: &[ImportedSession]) -> Vec<ImportedSession> {
        let dir = tempfile::tempdir().unwrap();
        write_dir(dir.path(), sessions).unwrap();
        let import = read_dir(dir.path()).unwrap();
        assert_eq!(import.warnings, Vec::<String>::new());
        import.sessions
    }

    #[test]
    fn a_topic_keeps_its_file_and_a_session_without_history_gets_none() {
        let topic = session("k", "a", &["x"], json!({"sessionFile": "/elsewhere/a-topic-7.jsonl"}));
        let fresh = session("l", "b", &[], json!({}));
        let dir = tempfile::tempdir().unwrap();
        write_dir(dir.path(), &[topic, fresh]).unwrap();
        assert!(dir.path().join("a-topic-7.jsonl").exists());
        assert!(!dir.path().join("b.jsonl").exists());
    }

    #[test]
    fn nothing_is_written_outside_the_directory_or_over_another_session() {
        let dir = tempfile::tempdir().unwrap();
        assert!(write_dir(dir.path(), &[session("k", "../x", &["x"], json!({}))]).is_err());
        let twins = [session("k", "a", &["x"], json!({})), session("l", "a", &["y"], json!({}))];
        assert!(write_dir(dir.path(), &twins).is_err());
        assert!(!dir.path().join("sessions.json").exists());
    }

    #[test]
    fn archives_have_the_names_that_upstream_gives_them() {
        let now: Timestamp = "2026-11-21T08:10:05.25Z".parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = archive(dir.path(), &session("k", "a", &["x"], json!({})), ArchiveReason::Reset, now).unwrap();
        assert_eq!(path.file_name().unwrap(), "a.jsonl.reset.2026-11-21T08-10-05.250Z");
        assert_eq!(archive_name("a.jsonl", ArchiveReason::Deleted, now), "a.jsonl.deleted.2026-11-21T08-10-05.250Z");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn what_is_exported_is_imported_as_it_was(
            texts in prop::collection::vec(prop::collection::vec("\\PC{0,20}", 0..4), 0..4),
            unknown in "\\PC{0,12}",
        ) {
            let sessions: Vec<ImportedSession> = texts.iter().enumerate().map(|(n, texts)| {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                session(&format!("agent:main:{n}"), &format!("id{n}"), &texts, json!({"future": unknown.as_str()}))
            }).collect();
            let once = round_trip(&sessions);
            prop_assert_eq!(&once, &sessions);
            prop_assert_eq!(round_trip(&once), once);
        }
    }
}
