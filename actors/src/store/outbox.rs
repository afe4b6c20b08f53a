//! Rows of the outbox: what is to be said in a chat, one row for each part that is sent by itself, in order.
//!
//! A row is written together with what it follows from, and marked as being sent before the first byte leaves.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;

/// Where a message to a chat stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SendState {
    /// It waits for its turn, or for its next try.
    Pending,
    /// It is on its way; what the platform makes of it is not known yet.
    Sending,
    Sent,
    /// Given up: refused for good, or tried too often. It stays for a week, to be tried again or dropped.
    Failed,
    /// It may have arrived, and cannot be repeated without saying it twice.
    Unknown,
    /// An operator did not want it any more.
    Dropped,
}

impl SendState {
    pub const ALL: [Self; 6] = [Self::Pending, Self::Sending, Self::Sent, Self::Failed, Self::Unknown, Self::Dropped];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Dropped => "dropped",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Sending)
    }

    /// Nobody works on it any more, and it did not arrive as far as we know.
    pub fn is_dead(self) -> bool {
        matches!(self, Self::Failed | Self::Unknown)
    }
}

/// One part of a message. Times are milliseconds since the epoch; `body` and `receipt` are JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// What it follows from, and the number of the part: the same is never queued twice.
    pub id: String,
    pub channel: String,
    pub account: String,
    /// Chat on the platform; parts to one chat leave in order.
    pub target: String,
    pub thread: Option<String>,
    /// Message of the platform that it answers.
    pub reply_to: Option<String>,
    pub session_key: Option<String>,
    pub run_id: Option<String>,
    pub state: SendState,
    pub body: String,
    /// Tries so far, without those that the platform put off.
    pub attempts: u32,
    /// One of them may have arrived.
    pub doubt: bool,
    pub queued_at: i64,
    /// Not before.
    pub next_at: i64,
    pub ended_at: Option<i64>,
    pub receipt: Option<String>,
    pub error: Option<String>,
}

const COLUMNS: &str = "id, channel, account, target, thread, reply_to, session_key, run_id, state, body, attempts, doubt, \
                       queued_at, next_at, ended_at, receipt, error";

fn read(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    let state: String = row.get(8)?;
    Ok(OutboxRow {
        id: row.get(0)?,
        channel: row.get(1)?,
        account: row.get(2)?,
        target: row.get(3)?,
        thread: row.get(4)?,
        reply_to: row.get(5)?,
        session_key: row.get(6)?,
        run_id: row.get(7)?,
        state: SendState::parse(&state).unwrap_or(SendState::Failed),
        body: row.get(9)?,
        attempts: row.get(10)?,
        doubt: row.get(11)?,
        queued_at: row.get(12)?,
        next_at: row.get(13)?,
        ended_at: row.get(14)?,
        receipt: row.get(15)?,
        error: row.get(16)?,
    })
}

/// Queues a part. Returns whether it is new: one with this id is queued, or was sent, already.
pub fn add(db: &Connection, row: &OutboxRow) -> Result<bool, StoreError> {
    let added = db
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO outbox ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
        ))?
        .execute(params![
            row.id,
            row.channel,
            row.account,
            row.target,
            row.thread,
            row.reply_to,
            row.session_key,
            row.run_id,
            row.state.as_str(),
            row.body,
            row.attempts,
            row.doubt,
            row.queued_at,
            row.next_at,
            row.ended_at,
            row.receipt,
            row.error
        ])?;
    Ok(added > 0)
}

pub fn get(db: &Connection, id: &str) -> Result<Option<OutboxRow>, StoreError> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1"))?;
    Ok(query.query_row([id], read).optional()?)
}

/// What an account has to send, in order.
pub fn open(db: &Connection, channel: &str, account: &str, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM outbox
         WHERE state IN ('pending', 'sending') AND channel = ?1 AND account = ?2 ORDER BY rowid LIMIT ?3"
    ))?;
    let rows = query.query_map(params![channel, account, limit], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// The first open part of each chat of an account, unless it is on its way: those that are due first.
pub fn heads(db: &Connection, channel: &str, account: &str, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM outbox AS part
         WHERE state = 'pending' AND channel = ?1 AND account = ?2 AND NOT EXISTS (
             SELECT 1 FROM outbox AS earlier
             WHERE earlier.state IN ('pending', 'sending') AND earlier.channel = ?1 AND earlier.account = ?2
               AND earlier.target = part.target AND earlier.thread IS part.thread AND earlier.rowid < part.rowid)
         ORDER BY next_at LIMIT ?3"
    ))?;
    let rows = query.query_map(params![channel, account, limit], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Accounts that have something to send.
pub fn open_accounts(db: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT DISTINCT channel, account FROM outbox WHERE state IN ('pending', 'sending')")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// What was on its way when the sender of an account went down, in order.
pub fn sending(db: &Connection, channel: &str, account: &str) -> Result<Vec<OutboxRow>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM outbox WHERE state = 'sending' AND channel = ?1 AND account = ?2 ORDER BY rowid"
    ))?;
    let rows = query.query_map(params![channel, account], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// What becomes of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub state: SendState,
    pub attempts: u32,
    pub doubt: bool,
    pub next_at: i64,
    pub receipt: Option<String>,
    pub error: Option<String>,
}

/// Changes a part that is in the state `from`. Returns whether it was.
pub fn change(db: &Connection, id: &str, from: &[SendState], change: &Change, now: i64) -> Result<bool, StoreError> {
    let ended = (!change.state.is_open()).then_some(now);
    let from: Vec<String> = from.iter().map(|state| format!("'{}'", state.as_str())).collect();
    let changed = db
        .prepare_cached(&format!(
            "UPDATE outbox SET state = ?2, attempts = ?3, next_at = ?4, ended_at = ?5, receipt = coalesce(?6, receipt),
                               error = ?7, doubt = ?8
             WHERE id = ?1 AND state IN ({})",
            from.join(", ")
        ))?
        .execute(params![
            id,
            change.state.as_str(),
            change.attempts,
            change.next_at,
            ended,
            change.receipt,
            change.error,
            change.doubt
        ])?;
    Ok(changed > 0)
}

/// A message whose part `id` was given up cannot be finished: the parts after it are given up as well. Returns how many.
pub fn fail_rest(db: &Connection, row: &OutboxRow, error: &str, now: i64) -> Result<usize, StoreError> {
    let Some((source, _)) = row.id.rsplit_once(':') else { return Ok(0) };
    Ok(db
        .prepare_cached(
            "UPDATE outbox SET state = 'failed', error = ?3, ended_at = ?4
             WHERE state = 'pending' AND rtrim(id, '0123456789') = ?1 || ':' AND rowid > (SELECT rowid FROM outbox WHERE id = ?2)",
        )?
        .execute(params![source, row.id, error, now])?)
}

/// A dead part is queued again, with the dead parts of the same message. Returns what is queued now.
pub fn revive(db: &Connection, id: &str, now: i64) -> Result<Vec<OutboxRow>, StoreError> {
    let Some((source, _)) = id.rsplit_once(':') else { return Ok(Vec::new()) };
    let dead = "state IN ('failed', 'unknown') AND rtrim(id, '0123456789') = ?1 || ':'";
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE {dead} ORDER BY rowid"))?;
    let rows: Vec<OutboxRow> = query.query_map([source], read)?.collect::<Result<_, _>>()?;
    db.prepare_cached(&format!(
        "UPDATE outbox SET state = 'pending', attempts = 0, next_at = ?2, ended_at = NULL WHERE {dead}"
    ))?
    .execute(params![source, now])?;
    Ok(rows)
}

/// A part that is not on its way is not wanted any more, nor are those of its message after it. Returns how many.
pub fn discard(db: &Connection, row: &OutboxRow, now: i64) -> Result<usize, StoreError> {
    let Some((source, _)) = row.id.rsplit_once(':') else { return Ok(0) };
    Ok(db
        .prepare_cached(
            "UPDATE outbox SET state = 'dropped', ended_at = ?3
             WHERE state IN ('pending', 'failed', 'unknown') AND rtrim(id, '0123456789') = ?1 || ':'
               AND rowid >= (SELECT rowid FROM outbox WHERE id = ?2)",
        )?
        .execute(params![source, row.id, now])?)
}

/// When an account said something last.
pub fn last_sent(db: &Connection, channel: &str, account: &str) -> Result<Option<i64>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT max(ended_at) FROM outbox WHERE state = 'sent' AND channel = ?1 AND account = ?2")?;
    Ok(query.query_row([channel, account], |row| row.get(0))?)
}

/// Which parts are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub state: Option<SendState>,
    pub channel: Option<String>,
}

/// The newest first.
pub fn list(db: &Connection, filter: &Filter, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM outbox WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR channel = ?2)
         ORDER BY rowid DESC LIMIT ?3"
    ))?;
    let state = filter.state.map(SendState::as_str);
    let rows = query.query_map(params![state, filter.channel, limit], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// How many parts are in each state that still matters: all but `sent` and `dropped`.
pub fn counts(db: &Connection) -> Result<Vec<(String, i64)>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT state, count(*) FROM outbox WHERE state IN ('pending', 'sending', 'failed', 'unknown') GROUP BY state",
    )?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Forgets what was sent or dropped before `before`, and what was given up before `dead_before`. Returns how many.
pub fn prune(db: &Connection, before: i64, dead_before: i64) -> Result<usize, StoreError> {
    Ok(db
        .prepare_cached(
            "DELETE FROM outbox WHERE (state IN ('sent', 'dropped') AND ended_at < ?1)
                                   OR (state IN ('failed', 'unknown') AND ended_at < ?2)",
        )?
        .execute([before, dead_before])?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::store::schema;

    pub fn row(id: &str, target: &str) -> OutboxRow {
        OutboxRow {
            id: id.into(),
            channel: "webhook".into(),
            account: "default".into(),
            target: target.into(),
            thread: None,
            reply_to: None,
            session_key: None,
            run_id: None,
            state: SendState::Pending,
            body: "{}".into(),
            attempts: 0,
            doubt: false,
            queued_at: 1,
            next_at: 1,
            ended_at: None,
            receipt: None,
            error: None,
        }
    }

    #[test]
    fn a_part_is_queued_once_and_leaves_the_queue_with_its_end() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        assert!(add(&db, &row("r:0", "c")).unwrap());
        assert!(!add(&db, &row("r:0", "c")).unwrap());
        let sending =
            Change { state: SendState::Sending, attempts: 1, doubt: false, next_at: 1, receipt: None, error: None };
        assert!(change(&db, "r:0", &[SendState::Pending], &sending, 2).unwrap());
        assert!(!change(&db, "r:0", &[SendState::Pending], &sending, 2).unwrap(), "somebody else has it");
        assert_eq!(open(&db, "webhook", "default", 9).unwrap().len(), 1);
        let sent = Change { state: SendState::Sent, receipt: Some("{}".into()), ..sending };
        assert!(change(&db, "r:0", &[SendState::Sending], &sent, 3).unwrap());
        assert!(open(&db, "webhook", "default", 9).unwrap().is_empty());
        assert_eq!(get(&db, "r:0").unwrap().unwrap().ended_at, Some(3));
        assert_eq!(prune(&db, 4, 0).unwrap(), 1);
    }

    #[test]
    fn the_parts_after_one_that_was_given_up_are_given_up_too() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        for id in ["a:0", "a:1", "b:0", "a:2", "a:10:0"] {
            add(&db, &row(id, "c")).unwrap();
        }
        assert_eq!(fail_rest(&db, &row("a:0", "c"), "the part before it failed", 5).unwrap(), 2);
        let states: Vec<_> = open(&db, "webhook", "default", 9).unwrap().into_iter().map(|row| row.id).collect();
        assert_eq!(states, ["a:0", "b:0", "a:10:0"]);
        let revived: Vec<_> = revive(&db, "a:2", 6).unwrap().into_iter().map(|row| row.id).collect();
        assert_eq!(revived, ["a:1", "a:2"]);
        assert_eq!(discard(&db, &row("a:1", "c"), 7).unwrap(), 2);
        assert_eq!(open(&db, "webhook", "default", 9).unwrap().len(), 3);
    }
}
