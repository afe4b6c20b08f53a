//! The transcript of one session as a run sees it: read once, then only appended to.
//!
//! Everything that is appended is on disk before the run goes on. Texts of people are stored with a time stamp in front,
//! which history views strip again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::message::Turn;
use super::prompt::stamp;
use super::stream::now_ms;
use crate::heartbeat::prompt;
use crate::model::message::{Message, Part, UserMessage};
use crate::session::resume;
use crate::store::{Store, StoreError, runs, transcripts};
use crate::transcript::branch::HEARTBEAT;
use crate::transcript::{EntryKind, TranscriptEntry, branch};

/// The messages of a session that the model sees.
#[derive(Debug, Clone)]
pub struct Conversation {
    store: Store,
    session_id: String,
    messages: Vec<Message>,
}

impl Conversation {
    /// Reads the current branch of the transcript.
    pub async fn load(store: &Store, session_id: &str) -> Result<Self, StoreError> {
        let id = session_id.to_owned();
        let messages = patiently(|| {
            let id = id.clone();
            // A long history takes its time: on a reader's thread nobody else waits for it.
            store.read(move |db| Ok(branch::context(&branch::current(&entries_of(transcripts::lines(db, &id)?)))))
        });
        Ok(Self { store: store.clone(), session_id: session_id.to_owned(), messages: messages.await? })
    }

    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Appends messages in order, in one transaction.
    ///
    /// A store that fails is asked again for a while: the turn need not end because the database is opened anew. What is
    /// there already, because only the answer was lost, is not appended twice.
    pub async fn append(&mut self, messages: Vec<Message>) -> Result<(), StoreError> {
        self.append_joined(messages, Joined::default()).await
    }

    /// The same for messages that have runs of their own, whose fate is from here on that of this one.
    pub async fn append_joined(&mut self, messages: Vec<Message>, joined: Joined) -> Result<(), StoreError> {
        let joined = Arc::new(joined);
        let ids: Arc<[String]> = messages.iter().map(|_| entry_id()).collect();
        let messages: Arc<[Message]> = messages.into();
        let wrote = patiently(|| {
            let (session, stored, ids) = (self.session_id.clone(), Arc::clone(&messages), Arc::clone(&ids));
            let joined = Arc::clone(&joined);
            self.store.write(move |db| {
                append_once(db, &session, &ids, &stored)?;
                joined.runs.iter().try_for_each(|run| runs::join(db, run, &joined.into, now_ms()))
            })
        });
        wrote.await?;
        self.messages.extend(messages.iter().cloned());
        Ok(())
    }
}

/// Runs that join another one because their messages go into its transcript.
#[derive(Debug, Default)]
pub struct Joined {
    pub runs: Vec<String>,
    pub into: String,
}

/// How long a turn waits for a store that cannot write.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Asks a store that does not answer again for a while.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let until = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Ok(done) => return Ok(done),
            Err(error @ StoreError::Refused(_)) => return Err(error),
            Err(error) if Instant::now() + pause > until => return Err(error),
            Err(error) => tracing::warn!(%error, "a step of a turn waits for the store"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

fn append_once(db: &Connection, session_id: &str, ids: &[String], messages: &[Message]) -> Result<(), StoreError> {
    if let Some(first) = ids.first()
        && transcripts::contains(db, session_id, first)?
    {
        return Ok(());
    }
    for (id, message) in ids.iter().zip(messages) {
        append_as(db, session_id, id, message)?;
    }
    Ok(())
}

/// Transcript lines as entries; a line that is not JSON becomes an unknown entry and says nothing to the model.
pub fn entries_of(lines: Vec<transcripts::Line>) -> Vec<TranscriptEntry> {
    lines
        .into_iter()
        .map(|line| TranscriptEntry::from_value(serde_json::from_str(&line.body).unwrap_or(Value::Null)))
        .collect()
}

/// Appends one message to the branch and returns the entry's id and its `seq`.
pub fn append(db: &Connection, session_id: &str, message: &Message) -> Result<(String, i64), StoreError> {
    let id = entry_id();
    let seq = append_as(db, session_id, &id, message)?;
    Ok((id, seq))
}

/// Appends a text that the model sees and people do not.
pub fn append_note(db: &Connection, session_id: &str, kind: &str, text: String) -> Result<(), StoreError> {
    let kind = EntryKind::CustomMessage { custom_type: kind.to_owned(), content: Value::String(text), display: false };
    let (id, parent) = (entry_id(), transcripts::last_id(db, session_id)?);
    let entry = TranscriptEntry::new(id.clone(), parent, Timestamp::now().to_string(), kind);
    transcripts::append(db, session_id, &id, &entry.to_value().to_string())?;
    Ok(())
}

fn append_as(db: &Connection, session_id: &str, id: &str, message: &Message) -> Result<i64, StoreError> {
    let parent = transcripts::last_id(db, session_id)?;
    let entry = TranscriptEntry::message(id, parent, Timestamp::now().to_string(), message);
    transcripts::append(db, session_id, id, &entry.to_value().to_string())
}

/// Eight hex digits, as the files of other versions have them.
pub fn entry_id() -> String {
    format!("{:08x}", rand::random::<u32>())
}

/// A person's turn as it is stored.
pub fn user_message(turn: &Turn, zone: &TimeZone) -> Message {
    if let Some(resume) = &turn.resume {
        let (content, provenance) = (vec![Part::text(&turn.text)], Some(resume::provenance(resume)));
        return Message::User(UserMessage { content, timestamp: now_ms(), provenance });
    }
    if turn.heartbeat.is_some() {
        let (content, provenance) = (vec![Part::text(prompt::SHOWN)], Some(json!({ "kind": HEARTBEAT })));
        return Message::User(UserMessage { content, timestamp: now_ms(), provenance });
    }
    let mut content = vec![Part::text(stamp(&turn.text, &Timestamp::now().to_zoned(zone.clone())))];
    content.extend(
        turn.images.iter().map(|image| Part::Image { data: image.data.clone(), mime_type: image.mime_type.clone() }),
    );
    Message::User(UserMessage { content, timestamp: now_ms(), provenance: None })
}
