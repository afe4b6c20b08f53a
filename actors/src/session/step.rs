//! The transactions of a session: each step is whole or did not happen.

use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::entry::SessionEntry;
use super::key::SessionKey;
use crate::heartbeat::{ISOLATED, prompt};
use crate::model::message::{AssistantMessage, Message};
use crate::run::conversation;
use crate::run::message::{Outcome, Turn};
use crate::store::outbox::{self, OutboxRow};
use crate::store::runs::{self, RunRecord, RunState};
use crate::store::sessions::{self, SessionRecord};
use crate::store::{StoreError, system_events, transcripts};
use crate::transcript::TranscriptEntry;

/// A turn that begins: its message joins the transcript, its run is recorded as running.
pub struct Begin {
    pub key: SessionKey,
    pub entry: SessionEntry,
    pub run: RunRecord,
    /// The run waits in the store already; otherwise it is accepted here.
    pub queued: bool,
    pub message: Message,
    /// What a heartbeat asks; people see only `message`.
    pub words: Option<String>,
    /// The person's, for the times in front of what has happened.
    pub zone: TimeZone,
    /// Transcript that a reset leaves behind.
    pub archive: Option<String>,
    /// Other queued runs that this turn takes in.
    pub merged: Vec<String>,
    pub now: i64,
}

/// `Some` when a run with this id was accepted earlier; then nothing is changed.
pub fn begin(db: &Connection, step: &Begin) -> Result<Option<RunRecord>, StoreError> {
    let session_id = &step.entry.session_id;
    if step.queued {
        if !runs::start(db, &step.run.run_id, session_id, step.now)? {
            let known = runs::get(db, &step.run.run_id)?;
            let begun = |run: &RunRecord| run.state == RunState::Running && run.session_id == *session_id;
            return Ok(known.filter(|run| !begun(run))); // begun: only the answer was lost
        }
    } else if let Some(known) = runs::accept(db, &step.run)? {
        let begun = known.run_id == step.run.run_id && known.state == RunState::Running;
        return Ok((!begun || known.session_id != *session_id).then_some(known)); // begun: only the answer was lost
    }
    if let Some(old) = &step.archive {
        transcripts::archive(db, old, "reset", step.now)?;
    }
    create_transcript(db, &step.key, session_id, step.now)?;
    // A heartbeat in a conversation of its own is told what has happened in the usual one.
    let told = step.key.as_str().strip_suffix(ISOLATED).unwrap_or(step.key.as_str());
    if let Some(lines) = prompt::lines(&system_events::drain(db, told)?, &step.zone) {
        conversation::append_note(db, session_id, prompt::EVENTS_ENTRY, lines)?;
    }
    conversation::append(db, session_id, &step.message)?;
    if let Some(words) = &step.words {
        conversation::append_note(db, session_id, prompt::ENTRY, words.clone())?;
    }
    put_entry(db, &step.key, &step.entry)?;
    for run in &step.merged {
        let outcome = json!({ "mergedInto": step.run.run_id }).to_string();
        runs::end(db, run, RunState::Done, &outcome, step.now)?;
    }
    Ok(None)
}

/// A turn that must wait.
pub fn queue(db: &Connection, run: &RunRecord) -> Result<Option<RunRecord>, StoreError> {
    runs::accept(db, run)
}

/// A run that is over.
pub struct End {
    pub key: SessionKey,
    pub entry: SessionEntry,
    pub run_id: String,
    pub outcome: Outcome,
    /// Of the turns that follow, the one that goes on where this was cut off.
    pub resumed_by: Option<String>,
    pub last: Option<AssistantMessage>,
    /// Steering messages that went into the run, by the id they were accepted under.
    pub steered: Vec<String>,
    /// Turns that follow from it, recorded as queued.
    pub follow_ups: Vec<RunRecord>,
    /// What the person in the chat is told.
    pub replies: Vec<OutboxRow>,
    pub now: i64,
}

/// Returns id and number of the last message, if there is one.
fn end(db: &Connection, step: &End) -> Result<Option<(String, i64)>, StoreError> {
    let last = match &step.last {
        Some(message) => Some(conversation::append(db, &step.entry.session_id, &Message::Assistant(message.clone()))?),
        None => None,
    };
    let state = state_of(&step.outcome);
    let mut outcome = outcome_json(&step.outcome);
    if let Some(next) = &step.resumed_by {
        outcome["resumedBy"] = json!(next);
    }
    runs::end(db, &step.run_id, state, &outcome.to_string(), step.now)?;
    for run in &step.steered {
        let outcome = json!({ "steeredInto": step.run_id }).to_string();
        runs::end(db, run, RunState::Done, &outcome, step.now)?;
    }
    for run in &step.follow_ups {
        runs::accept(db, run)?;
    }
    say(db, &step.replies)?;
    put_entry(db, &step.key, &step.entry)?;
    Ok(last)
}

/// The same, unless it is done already and only the answer was lost.
pub fn end_once(db: &Connection, step: &End) -> Result<Option<(String, i64)>, StoreError> {
    match runs::get(db, &step.run_id)? {
        Some(run) if !run.state.is_terminal() => end(db, step),
        _ => Ok(None),
    }
}

/// Runs that nobody will ever end: the gateway or their session went down while they ran.
pub struct Interrupt {
    pub key: SessionKey,
    pub entry: SessionEntry,
    /// Each with the queued run that goes on where it stopped, if one does.
    pub runs: Vec<(String, Option<RunRecord>)>,
    /// What people are told whose turns are not taken up again.
    pub replies: Vec<OutboxRow>,
    /// Messages that had joined one of them, and which: what goes on with it answers them as well.
    pub joined: Vec<(String, String)>,
    pub now: i64,
}

/// Done once, it changes nothing.
pub fn interrupt(db: &Connection, step: &Interrupt) -> Result<(), StoreError> {
    let mut ended = false;
    for (run, next) in &step.runs {
        let outcome = interrupted_json(next.as_ref().map(|next| next.run_id.as_str()));
        if !runs::end(db, run, RunState::Interrupted, &outcome, step.now)? {
            continue;
        }
        ended = true;
        if let Some(next) = next {
            runs::accept(db, next)?;
        }
    }
    for (run, into) in &step.joined {
        runs::end(db, run, RunState::Done, &json!({ "steeredInto": into }).to_string(), step.now)?;
    }
    if !ended {
        return Ok(());
    }
    say(db, &step.replies)?;
    put_entry(db, &step.key, &step.entry)
}

/// The row of a turn that was answered without a model: it is known when it comes again.
pub fn answered(key: &SessionKey, turn: &Turn, now: i64) -> RunRecord {
    RunRecord {
        run_id: turn.run_id.clone(),
        session_key: key.as_str().to_owned(),
        session_id: String::new(),
        kind: turn.kind.as_str().to_owned(),
        state: RunState::Done,
        accepted_at: turn.accepted_at,
        started_at: Some(now),
        ended_at: Some(now),
        request: "{}".to_owned(),
        outcome: Some(json!({ "reason": "answered" }).to_string()),
    }
}

/// Queues what is to be said; once, however often it is asked for.
pub fn say(db: &Connection, replies: &[OutboxRow]) -> Result<(), StoreError> {
    replies.iter().try_for_each(|row| outbox::add(db, row).map(drop))
}

fn interrupted_json(resumed_by: Option<&str>) -> String {
    match resumed_by {
        Some(next) => json!({ "reason": "interrupted", "resumedBy": next }),
        None => json!({ "reason": "interrupted" }),
    }
    .to_string()
}

/// Forgets queued runs.
pub fn drop_queued(db: &Connection, runs: &[String], now: i64) -> Result<(), StoreError> {
    for run in runs {
        runs::end(db, run, RunState::Aborted, r#"{"reason":"aborted"}"#, now)?;
    }
    Ok(())
}

/// A new entry, with its transcript; the old transcript is archived.
pub fn reset(
    db: &Connection,
    key: &SessionKey,
    entry: &SessionEntry,
    archive: Option<&str>,
    now: i64,
) -> Result<(), StoreError> {
    if let Some(old) = archive {
        transcripts::archive(db, old, "reset", now)?;
    }
    create_transcript(db, key, &entry.session_id, now)?;
    put_entry(db, key, entry)
}

/// Appends an assistant message outside of any run. Returns its id and number.
pub fn append(
    db: &Connection,
    key: &SessionKey,
    entry: &SessionEntry,
    message: &Message,
    now: i64,
) -> Result<(String, i64), StoreError> {
    create_transcript(db, key, &entry.session_id, now)?;
    let placed = conversation::append(db, &entry.session_id, message)?;
    put_entry(db, key, entry)?;
    Ok(placed)
}

/// Removes the entry; the transcript stays, archived.
pub fn delete(db: &Connection, key: &SessionKey, session_id: &str, now: i64) -> Result<(), StoreError> {
    transcripts::archive(db, session_id, "deleted", now)?;
    sessions::delete(db, key.as_str())?;
    Ok(())
}

pub fn put_entry(db: &Connection, key: &SessionKey, entry: &SessionEntry) -> Result<(), StoreError> {
    sessions::put(
        db,
        &SessionRecord {
            key: key.as_str().to_owned(),
            agent_id: key.agent().map(|agent| agent.as_str().to_owned()).unwrap_or_default(),
            session_id: entry.session_id.clone(),
            updated_at: entry.updated_at.unwrap_or_default(),
            label: entry.label.clone(),
            entry: entry.to_value().to_string(),
        },
    )
}

fn create_transcript(db: &Connection, key: &SessionKey, session_id: &str, now: i64) -> Result<(), StoreError> {
    let at = jiff::Timestamp::from_millisecond(now).map(|at| at.to_string()).unwrap_or_default();
    let header = TranscriptEntry::header(session_id, at, None).to_value().to_string();
    transcripts::create(db, session_id, key.as_str(), &header, now)
}

fn state_of(outcome: &Outcome) -> RunState {
    use crate::run::message::AbortCause;
    match outcome {
        Outcome::Completed { .. } => RunState::Done,
        Outcome::Aborted { cause: AbortCause::Timeout, .. } => RunState::Timeout,
        Outcome::Aborted { cause: AbortCause::Restart, .. } => RunState::Interrupted,
        Outcome::Aborted { .. } => RunState::Aborted,
        Outcome::Failed { .. } => RunState::Failed,
    }
}

fn outcome_json(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Completed { text } => json!({ "text": text }),
        Outcome::Aborted { cause, partial } => json!({ "stopReason": cause.as_str(), "text": partial }),
        Outcome::Failed { message, .. } => json!({ "error": message }),
    }
}

/// The row of a turn that is accepted now.
pub fn run_record(
    key: &SessionKey,
    session_id: &str,
    turn: &Turn,
    state: RunState,
    now: i64,
) -> Result<RunRecord, StoreError> {
    Ok(RunRecord {
        run_id: turn.run_id.clone(),
        session_key: key.as_str().to_owned(),
        session_id: session_id.to_owned(),
        kind: turn.kind.as_str().to_owned(),
        state,
        accepted_at: turn.accepted_at,
        started_at: (state == RunState::Running).then_some(now),
        ended_at: None,
        request: serde_json::to_string(turn)?,
        outcome: None,
    })
}
