//! Rows of runs: what was accepted, what became of it. The run id is the caller's idempotency key.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Accepted, waiting for its session.
    Queued,
    Running,
    Done,
    Failed,
    Aborted,
    Timeout,
    /// The gateway ended while it ran.
    Interrupted,
}

impl RunState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Aborted, Self::Timeout, Self::Interrupted]
            .into_iter()
            .find(|state| state.as_str() == text)
    }

    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// One run as stored. Times are milliseconds since the epoch; `request` and `outcome` are JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    pub run_id: String,
    pub session_key: String,
    pub session_id: String,
    /// `agent`, `chat` or `http`: by which way it came.
    pub kind: String,
    pub state: RunState,
    pub accepted_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub request: String,
    pub outcome: Option<String>,
}

const COLUMNS: &str =
    "run_id, session_key, session_id, kind, state, accepted_at, started_at, ended_at, request, outcome";

fn read(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let state: String = row.get(4)?;
    Ok(RunRecord {
        run_id: row.get(0)?,
        session_key: row.get(1)?,
        session_id: row.get(2)?,
        kind: row.get(3)?,
        state: RunState::parse(&state).unwrap_or(RunState::Failed),
        accepted_at: row.get(5)?,
        started_at: row.get(6)?,
        ended_at: row.get(7)?,
        request: row.get(8)?,
        outcome: row.get(9)?,
    })
}

/// Records an accepted run. Returns the row that was there already when the id is known.
pub fn accept(db: &Connection, run: &RunRecord) -> Result<Option<RunRecord>, StoreError> {
    if let Some(known) = get(db, &run.run_id)? {
        return Ok(Some(known));
    }
    db.prepare_cached(&format!("INSERT INTO runs ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"))?
        .execute(params![
            run.run_id,
            run.session_key,
            run.session_id,
            run.kind,
            run.state.as_str(),
            run.accepted_at,
            run.started_at,
            run.ended_at,
            run.request,
            run.outcome
        ])?;
    Ok(None)
}

pub fn get(db: &Connection, run_id: &str) -> Result<Option<RunRecord>, StoreError> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE run_id = ?1"))?;
    Ok(query.query_row([run_id], read).optional()?)
}

/// A queued run begins.
pub fn start(db: &Connection, run_id: &str, session_id: &str, now: i64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE runs SET state = 'running', session_id = ?2, started_at = ?3 WHERE run_id = ?1")?
        .execute(params![run_id, session_id, now])?;
    Ok(())
}

/// A run is over. The first end counts: returns whether this was it. What was asked is kept only of a run that was cut
/// off: it may hold images, and the transcript has it anyway.
pub fn end(db: &Connection, run_id: &str, state: RunState, outcome: &str, now: i64) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE runs SET state = ?2, outcome = ?3, ended_at = ?4,
                             request = CASE ?2 WHEN 'interrupted' THEN request ELSE '{}' END
             WHERE run_id = ?1 AND state IN ('queued', 'running')",
        )?
        .execute(params![run_id, state.as_str(), outcome, now])?;
    Ok(changed > 0)
}

/// Runs that are not over, in the order in which they were accepted.
pub fn open(db: &Connection) -> Result<Vec<RunRecord>, StoreError> {
    let mut query =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE state IN ('queued', 'running') ORDER BY rowid"))?;
    let rows = query.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Forgets runs that ended before `before`. Returns how many.
pub fn prune(db: &Connection, before: i64) -> Result<usize, StoreError> {
    Ok(db.prepare_cached("DELETE FROM runs WHERE ended_at < ?1")?.execute([before])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    fn run(id: &str) -> RunRecord {
        RunRecord {
            run_id: id.into(),
            session_key: "agent:main:main".into(),
            session_id: "s".into(),
            kind: "chat".into(),
            state: RunState::Queued,
            accepted_at: 1,
            started_at: None,
            ended_at: None,
            request: "{}".into(),
            outcome: None,
        }
    }

    #[test]
    fn a_run_is_accepted_once_and_ends_once() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        assert_eq!(accept(&db, &run("r")).unwrap(), None);
        start(&db, "r", "s2", 5).unwrap();
        let known = accept(&db, &run("r")).unwrap().unwrap();
        assert_eq!((known.state, known.session_id.as_str()), (RunState::Running, "s2"));
        assert_eq!(open(&db).unwrap().len(), 1);
        assert!(end(&db, "r", RunState::Done, "{}", 9).unwrap());
        assert!(!end(&db, "r", RunState::Interrupted, "{}", 10).unwrap());
        assert_eq!(get(&db, "r").unwrap().unwrap().state, RunState::Done);
        assert!(open(&db).unwrap().is_empty());
        assert_eq!(prune(&db, 10).unwrap(), 1);
    }
}
