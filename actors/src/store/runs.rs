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

    pub fn parse(text: &str) -> Option<Self> {
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
    /// `agent`, `chat`, `http`, `channel` or `cron`: by which way it came.
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
    if let Some(known) = current(db, &run.run_id)? {
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

/// The run with this id or, where that was cut off, the one that went on in its place.
pub fn current(db: &Connection, run_id: &str) -> Result<Option<RunRecord>, StoreError> {
    let mut found = get(db, run_id)?;
    while let Some(next) = found.as_ref().and_then(resumed_by) {
        match get(db, &next)? {
            Some(run) => found = Some(run),
            None => break, // pruned
        }
    }
    Ok(found)
}

fn resumed_by(run: &RunRecord) -> Option<String> {
    if run.state == RunState::Interrupted { named(run, "resumedBy") } else { None }
}

/// The run that this one has joined, while both are under way.
pub fn joined(run: &RunRecord) -> Option<String> {
    if run.state == RunState::Running { named(run, "steeredInto") } else { None }
}

fn named(run: &RunRecord, key: &str) -> Option<String> {
    let outcome: serde_json::Value = serde_json::from_str(run.outcome.as_deref()?).ok()?;
    outcome.get(key)?.as_str().map(str::to_owned)
}

/// A queued run begins. Returns `false` for one that has begun already.
pub fn start(db: &Connection, run_id: &str, session_id: &str, now: i64) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE runs SET state = 'running', session_id = ?2, started_at = ?3 WHERE run_id = ?1 AND state = 'queued'",
        )?
        .execute(params![run_id, session_id, now])?;
    Ok(changed > 0)
}

/// The message of a queued run joins the transcript of another one, and is worked on with it.
pub fn join(db: &Connection, run_id: &str, into: &str, now: i64) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE runs SET state = 'running', started_at = ?3, outcome = json_object('steeredInto', ?2)
         WHERE run_id = ?1 AND state = 'queued'",
    )?
    .execute(params![run_id, into, now])?;
    Ok(())
}

/// A run is over. The first end counts: returns whether this was it. What was asked is kept only of a run that was cut
/// off: it may hold images, and the transcript has it anyway. What it went on with is always kept.
pub fn end(db: &Connection, run_id: &str, state: RunState, outcome: &str, now: i64) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE runs SET state = ?2, outcome = ?3, ended_at = ?4,
                             request = CASE WHEN ?2 = 'interrupted' THEN request
                                            WHEN json_extract(request, '$.resume') IS NULL THEN '{}'
                                            ELSE json_object('resume', json(json_extract(request, '$.resume'))) END
             WHERE run_id = ?1 AND state IN ('queued', 'running')",
        )?
        .execute(params![run_id, state.as_str(), outcome, now])?;
    Ok(changed > 0)
}

/// Which runs are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub state: Option<RunState>,
    pub session_key: Option<String>,
    /// Only those that were cut off, and that nothing goes on with.
    pub dead: bool,
}

/// Runs that are cut off for good: nothing goes on with them, and whoever asked for them still waits.
const DEAD: &str =
    "state = 'interrupted' AND kind NOT IN ('http', 'cron') AND json_extract(outcome, '$.resumedBy') IS NULL";

/// The newest runs first.
pub fn list(db: &Connection, filter: &Filter, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
    let dead = if filter.dead { DEAD } else { "1" };
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs
         WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR session_key = ?2) AND {dead}
         ORDER BY rowid DESC LIMIT ?3"
    ))?;
    let state = filter.state.map(RunState::as_str);
    let rows = query.query_map(params![state, filter.session_key, limit], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// How many runs are in each state, and how many are dead.
pub fn counts(db: &Connection) -> Result<Vec<(String, i64)>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT state, count(*) FROM runs GROUP BY state UNION ALL SELECT 'dead', count(*) FROM runs WHERE {DEAD}"
    ))?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// How many runs are dead.
pub fn dead(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.prepare_cached(&format!("SELECT count(*) FROM runs WHERE {DEAD}"))?.query_row([], |row| row.get(0))?)
}

/// Something goes on with a dead run, or nobody wants it any more. Returns whether it was dead.
pub fn bury(db: &Connection, run_id: &str, state: RunState, outcome: &str) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached(&format!("UPDATE runs SET state = ?2, outcome = ?3 WHERE run_id = ?1 AND {DEAD}"))?
        .execute(params![run_id, state.as_str(), outcome])?;
    Ok(changed > 0)
}

/// Runs that are not over, in the order in which they were accepted.
pub fn open(db: &Connection) -> Result<Vec<RunRecord>, StoreError> {
    let mut query =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE state IN ('queued', 'running') ORDER BY rowid"))?;
    let rows = query.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// The same of one session.
pub fn open_of(db: &Connection, session_key: &str) -> Result<Vec<RunRecord>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE state IN ('queued', 'running') AND session_key = ?1 ORDER BY rowid"
    ))?;
    let rows = query.query_map([session_key], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Sessions with runs that are not over.
pub fn open_sessions(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT DISTINCT session_key FROM runs WHERE state IN ('queued', 'running') ORDER BY 1")?;
    let rows = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
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
