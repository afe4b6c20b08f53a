//! Rows of the spool: every event of a chat platform, as it came, before anybody looks at it.
//!
//! An event is acknowledged to its platform when its row is on disk, together with how far the platform was read. The key
//! is the platform's own: delivered again, it is no new event.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventState {
    /// Nobody has decided about it yet.
    Pending,
    /// It was handed to its session, or there was nothing to do.
    Done,
    /// Nobody could make sense of it; it is kept for a while.
    Failed,
}

impl EventState {
    pub const ALL: [Self; 3] = [Self::Pending, Self::Done, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One event. Times are milliseconds since the epoch; `raw` is what the platform sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolRow {
    pub channel: String,
    pub account: String,
    /// The platform's id of the event.
    pub event_key: String,
    /// Events of one lane are taken up in order.
    pub lane: String,
    pub raw: String,
    pub received_at: i64,
    pub state: EventState,
    pub attempts: u32,
    /// What became of it, in a word, or why nothing could.
    pub outcome: Option<String>,
}

impl SpoolRow {
    /// How an operator names it: `channel:account:event`.
    pub fn id(&self) -> String {
        format!("{}:{}:{}", self.channel, self.account, self.event_key)
    }
}

const COLUMNS: &str = "channel, account, event_key, lane, raw, received_at, state, attempts, outcome";

fn read(row: &Row<'_>) -> rusqlite::Result<SpoolRow> {
    let state: String = row.get(6)?;
    Ok(SpoolRow {
        channel: row.get(0)?,
        account: row.get(1)?,
        event_key: row.get(2)?,
        lane: row.get(3)?,
        raw: row.get(4)?,
        received_at: row.get(5)?,
        state: EventState::parse(&state).unwrap_or(EventState::Failed),
        attempts: row.get(7)?,
        outcome: row.get(8)?,
    })
}

/// Keeps an event. Returns whether it is new.
pub fn add(db: &Connection, row: &SpoolRow) -> Result<bool, StoreError> {
    let added = db
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO spool ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        ))?
        .execute(params![
            row.channel,
            row.account,
            row.event_key,
            row.lane,
            row.raw,
            row.received_at,
            row.state.as_str(),
            row.attempts,
            row.outcome
        ])?;
    Ok(added > 0)
}

/// The first event of each lane that an account has not decided about yet, in the order in which they came.
pub fn heads(db: &Connection, channel: &str, account: &str, limit: u32) -> Result<Vec<SpoolRow>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM spool AS event
         WHERE state = 'pending' AND channel = ?1 AND account = ?2 AND NOT EXISTS (
             SELECT 1 FROM spool AS earlier
             WHERE earlier.state = 'pending' AND earlier.channel = ?1 AND earlier.account = ?2
               AND earlier.lane = event.lane AND earlier.rowid < event.rowid)
         ORDER BY rowid LIMIT ?3"
    ))?;
    let rows = query.query_map(params![channel, account, limit], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

pub fn get(db: &Connection, channel: &str, account: &str, event_key: &str) -> Result<Option<SpoolRow>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM spool WHERE channel = ?1 AND account = ?2 AND event_key = ?3"
    ))?;
    Ok(query.query_row(params![channel, account, event_key], read).optional()?)
}

/// The event of this [id](SpoolRow::id).
pub fn find(db: &Connection, id: &str) -> Result<Option<SpoolRow>, StoreError> {
    let Some((channel, rest)) = id.split_once(':') else { return Ok(None) };
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM spool WHERE channel = ?1 AND account || ':' || event_key = ?2"
    ))?;
    Ok(query.query_row([channel, rest], read).optional()?)
}

/// Which events are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub state: Option<EventState>,
    pub channel: Option<String>,
}

/// The newest first.
pub fn list(db: &Connection, filter: &Filter, limit: u32) -> Result<Vec<SpoolRow>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM spool WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR channel = ?2)
         ORDER BY rowid DESC LIMIT ?3"
    ))?;
    let state = filter.state.map(EventState::as_str);
    let rows = query.query_map(params![state, filter.channel, limit], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// How many events of an account nobody has decided about yet.
pub fn count_pending(db: &Connection, channel: &str, account: &str) -> Result<i64, StoreError> {
    let mut query =
        db.prepare_cached("SELECT count(*) FROM spool WHERE state = 'pending' AND channel = ?1 AND account = ?2")?;
    Ok(query.query_row([channel, account], |row| row.get(0))?)
}

/// How many events are in each state that still matters: all but `done`.
pub fn counts(db: &Connection) -> Result<Vec<(String, i64)>, StoreError> {
    let mut query = db.prepare_cached("SELECT state, count(*) FROM spool WHERE state != 'done' GROUP BY state")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Accounts with events that nobody has decided about yet.
pub fn pending_accounts(db: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let mut query = db.prepare_cached("SELECT DISTINCT channel, account FROM spool WHERE state = 'pending'")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// When an account heard something last.
pub fn last_received(db: &Connection, channel: &str, account: &str) -> Result<Option<i64>, StoreError> {
    let mut query = db.prepare_cached("SELECT max(received_at) FROM spool WHERE channel = ?1 AND account = ?2")?;
    Ok(query.query_row([channel, account], |row| row.get(0))?)
}

/// An event is decided. What it said is kept only when nobody could make sense of it: the transcript has the rest.
pub fn settle(db: &Connection, row: &SpoolRow, state: EventState, outcome: &str) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE spool SET state = ?4, outcome = ?5, raw = CASE WHEN ?4 = 'failed' THEN raw ELSE '' END
         WHERE channel = ?1 AND account = ?2 AND event_key = ?3 AND state = 'pending'",
    )?
    .execute(params![row.channel, row.account, row.event_key, state.as_str(), outcome])?;
    Ok(())
}

/// A failed event waits for a decision again. Returns whether it was still failed.
pub fn revive(db: &Connection, row: &SpoolRow) -> Result<bool, StoreError> {
    let revived = db
        .prepare_cached(
            "UPDATE spool SET state = 'pending', attempts = 0
             WHERE channel = ?1 AND account = ?2 AND event_key = ?3 AND state = 'failed'",
        )?
        .execute([&row.channel, &row.account, &row.event_key])?;
    Ok(revived > 0)
}

/// Gives up an event that is not done; it stays known. Returns whether it was not done.
pub fn discard(db: &Connection, row: &SpoolRow) -> Result<bool, StoreError> {
    let discarded = db
        .prepare_cached(
            "UPDATE spool SET state = 'done', outcome = 'dropped', raw = ''
             WHERE channel = ?1 AND account = ?2 AND event_key = ?3 AND state != 'done'",
        )?
        .execute([&row.channel, &row.account, &row.event_key])?;
    Ok(discarded > 0)
}

/// One more try went wrong.
pub fn note_attempt(db: &Connection, row: &SpoolRow, error: &str) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE spool SET attempts = attempts + 1, outcome = ?4
         WHERE channel = ?1 AND account = ?2 AND event_key = ?3 AND state = 'pending'",
    )?
    .execute(params![row.channel, row.account, row.event_key, error])?;
    Ok(())
}

/// Forgets decided events that came before `before`. Returns how many.
pub fn prune(db: &Connection, before: i64) -> Result<usize, StoreError> {
    Ok(db.prepare_cached("DELETE FROM spool WHERE received_at < ?1 AND state != 'pending'")?.execute([before])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    #[test]
    fn an_event_that_comes_again_is_no_new_one_and_is_decided_once() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let row = SpoolRow {
            channel: "webhook".into(),
            account: "default".into(),
            event_key: "m1".into(),
            lane: "c".into(),
            raw: "{}".into(),
            received_at: 1,
            state: EventState::Pending,
            attempts: 0,
            outcome: None,
        };
        assert!(add(&db, &row).unwrap());
        assert!(!add(&db, &row).unwrap());
        note_attempt(&db, &row, "later").unwrap();
        assert_eq!(heads(&db, "webhook", "default", 9).unwrap()[0].attempts, 1);
        for (key, lane) in [("m2", "c"), ("m3", "d")] {
            add(&db, &SpoolRow { event_key: key.into(), lane: lane.into(), ..row.clone() }).unwrap();
        }
        let first: Vec<_> = heads(&db, "webhook", "default", 9).unwrap().into_iter().map(|row| row.event_key).collect();
        assert_eq!(first, ["m1", "m3"], "one of each lane");
        assert_eq!(count_pending(&db, "webhook", "default").unwrap(), 3);
        settle(&db, &row, EventState::Done, "accepted").unwrap();
        settle(&db, &row, EventState::Failed, "too late").unwrap();
        let kept = get(&db, "webhook", "default", "m1").unwrap().unwrap();
        assert_eq!((kept.state, kept.outcome.as_deref(), kept.raw.as_str()), (EventState::Done, Some("accepted"), ""));
        assert!(!add(&db, &row).unwrap(), "decided, it is still known");
        let second = find(&db, "webhook:default:m2").unwrap().unwrap();
        assert!(!revive(&db, &second).unwrap(), "it waits already");
        settle(&db, &second, EventState::Failed, "nonsense").unwrap();
        assert_eq!(counts(&db).unwrap(), [("failed".to_owned(), 1), ("pending".to_owned(), 1)]);
        assert!(revive(&db, &second).unwrap());
        assert_eq!(count_pending(&db, "webhook", "default").unwrap(), 2);
        assert!(discard(&db, &second).unwrap() && !discard(&db, &second).unwrap());
        let dropped = find(&db, "webhook:default:m2").unwrap().unwrap();
        assert_eq!((dropped.state, dropped.outcome.as_deref()), (EventState::Done, Some("dropped")));
        let failed = Filter { state: Some(EventState::Failed), channel: None };
        assert!(list(&db, &failed, 9).unwrap().is_empty() && list(&db, &Filter::default(), 2).unwrap().len() == 2);
        assert_eq!(prune(&db, 2).unwrap(), 2, "what is done; m3 still waits");
    }
}
