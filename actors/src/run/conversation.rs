//! The transcript of one session as a run sees it: read once, then only appended to.
//!
//! Everything that is appended is on disk before the run goes on. Texts of people are stored with a time stamp in front,
//! which history views strip again.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde_json::Value;

use super::message::Turn;
use super::prompt::stamp;
use super::stream::now_ms;
use crate::model::message::{Message, Part, UserMessage};
use crate::session::resume;
use crate::store::{Store, StoreError, transcripts};
use crate::transcript::{TranscriptEntry, branch};

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
        let lines = store.read(move |db| transcripts::lines(db, &id)).await?;
        let entries = entries_of(lines);
        let messages = branch::context(&branch::current(&entries));
        Ok(Self { store: store.clone(), session_id: session_id.to_owned(), messages })
    }

    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Appends messages in order, in one transaction.
    pub async fn append(&mut self, messages: Vec<Message>) -> Result<(), StoreError> {
        let (id, stored) = (self.session_id.clone(), messages.clone());
        self.store
            .write(move |db| {
                for message in &stored {
                    append(db, &id, message)?;
                }
                Ok(())
            })
            .await?;
        self.messages.extend(messages);
        Ok(())
    }
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
    let parent = transcripts::last_id(db, session_id)?;
    let entry = TranscriptEntry::message(&id, parent, Timestamp::now().to_string(), message);
    let seq = transcripts::append(db, session_id, &id, &entry.to_value().to_string())?;
    Ok((id, seq))
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
    let mut content = vec![Part::text(stamp(&turn.text, &Timestamp::now().to_zoned(zone.clone())))];
    content.extend(
        turn.images.iter().map(|image| Part::Image { data: image.data.clone(), mime_type: image.mime_type.clone() }),
    );
    Message::User(UserMessage { content, timestamp: now_ms(), provenance: None })
}
