//! Sessions in and out of the database, in the form that files have.
//!
//! Taking in is one transaction an agent and changes nothing the second time: a transcript that is there with the same
//! lines is left alone, and a key that has another conversation is never overwritten.

use rusqlite::{Connection, TransactionBehavior};
use serde_json::Value;

use super::sessions::{self, Filter, SessionRecord};
use super::{StoreError, transcripts};
use crate::run::conversation::entries_of;
use crate::session::SessionEntry;
use crate::transcript::import::ImportedSession;
use crate::transcript::{Transcript, TranscriptEntry};

/// What became of the sessions that were taken in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    pub added: Vec<String>,
    /// There already, the same to the last line.
    pub unchanged: Vec<String>,
    /// The key has another conversation here; it was kept.
    pub kept_ours: Vec<String>,
}

/// Takes sessions in, all or none.
pub fn take_in(db: &mut Connection, sessions: &[ImportedSession]) -> Result<Taken, StoreError> {
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut taken = Taken::default();
    for session in sessions {
        match sessions::get(&step, &session.key)? {
            Some(known) if known.session_id != session.entry.session_id => taken.kept_ours.push(session.key.clone()),
            Some(_) if lines_of(&step, session)? == bodies(session) => taken.unchanged.push(session.key.clone()),
            Some(_) => taken.kept_ours.push(session.key.clone()),
            None => {
                add(&step, session)?;
                taken.added.push(session.key.clone());
            }
        }
    }
    step.commit()?;
    Ok(taken)
}

fn lines_of(db: &Connection, session: &ImportedSession) -> Result<Vec<String>, StoreError> {
    Ok(transcripts::lines(db, &session.entry.session_id)?.into_iter().map(|line| line.body).collect())
}

fn bodies(session: &ImportedSession) -> Vec<String> {
    session.transcript.entries.iter().map(|entry| entry.to_value().to_string()).collect()
}

fn add(db: &Connection, session: &ImportedSession) -> Result<(), StoreError> {
    let entry = &session.entry;
    let now = entry.session_started_at.or(entry.updated_at).unwrap_or_default();
    let header = session.transcript.header.as_ref().map_or_else(
        || TranscriptEntry::header(&entry.session_id, "", None).to_value().to_string(),
        |header| header.to_value().to_string(),
    );
    transcripts::create(db, &entry.session_id, &session.key, &header, now)?;
    for (line, body) in session.transcript.entries.iter().zip(bodies(session)) {
        transcripts::append(db, &entry.session_id, &line.id, &body)?;
    }
    let agent = session.key.split(':').nth(1).filter(|_| session.key.starts_with("agent:")).unwrap_or_default();
    sessions::put(
        db,
        &SessionRecord {
            key: session.key.clone(),
            agent_id: agent.to_owned(),
            session_id: entry.session_id.clone(),
            updated_at: entry.updated_at.unwrap_or_default(),
            label: entry.label.clone(),
            entry: entry.to_value().to_string(),
        },
    )
}

/// Sessions with their transcripts; `agent` and `key` narrow.
pub fn give_out(db: &Connection, agent: Option<&str>, key: Option<&str>) -> Result<Vec<ImportedSession>, StoreError> {
    let filter = Filter { agent_id: agent.map(str::to_owned), ..Filter::default() };
    let (records, _) = sessions::list(db, &filter, usize::MAX)?;
    let mut sessions = Vec::new();
    for record in records.into_iter().filter(|record| key.is_none_or(|key| key == record.key)) {
        let Some(entry) = SessionEntry::from_value(serde_json::from_str(&record.entry)?) else { continue };
        let header = transcripts::header(db, &record.session_id)?;
        let header: Option<Value> = header.and_then(|(text, _)| serde_json::from_str(&text).ok());
        let entries = entries_of(transcripts::lines(db, &record.session_id)?);
        let transcript = Transcript { header: header.map(TranscriptEntry::from_value), entries };
        sessions.push(ImportedSession { key: record.key, entry, transcript });
    }
    Ok(sessions)
}
