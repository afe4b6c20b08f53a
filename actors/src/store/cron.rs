//! Rows of cron: the jobs, and every slot that was taken, run or missed.
//!
//! A slot of a job is taken once: its row is written in the transaction that says how far the job has come.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;
use crate::cron::job::{DeliveryStatus, RunStatus};
use crate::cron::plan::Planned;
use crate::cron::record::RunEntry;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Asked for by hand, waiting for its turn.
    Queued,
    Running,
    Ended,
}

impl RunState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "queued" => Self::Queued,
            "running" => Self::Running,
            _ => Self::Ended,
        }
    }
}

/// One run, or slots in a row that did not run. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    pub run_id: String,
    pub job_id: String,
    /// The time for which it runs; absent for one by hand.
    pub slot_at: Option<i64>,
    pub state: RunState,
    pub queued_at: i64,
    pub started_at: Option<i64>,
    /// The session that it runs in, once it runs.
    pub session_key: Option<String>,
    /// Of one that is over.
    pub entry: Option<RunEntry>,
}

const COLUMNS: &str = "run_id, job_id, slot_at, state, queued_at, started_at, session_key, entry";

fn read_run(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let (state, entry): (String, Option<String>) = (row.get(3)?, row.get(7)?);
    Ok(RunRow {
        run_id: row.get(0)?,
        job_id: row.get(1)?,
        slot_at: row.get(2)?,
        state: RunState::parse(&state),
        queued_at: row.get(4)?,
        started_at: row.get(5)?,
        session_key: row.get(6)?,
        entry: entry.and_then(|entry| serde_json::from_str(&entry).ok()),
    })
}

/// A job whose row cannot be read is left out, and told of: the others go on.
fn read_job(row: &Row<'_>) -> rusqlite::Result<Option<Planned>> {
    let (id, job, standing): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let read = || Ok(Planned { job: serde_json::from_str(&job)?, standing: serde_json::from_str(&standing)? });
    Ok(read().map_err(|error: serde_json::Error| tracing::error!(job = id, %error, "a cron job cannot be read")).ok())
}

/// Keeps a job as it is now.
pub fn put_job(db: &Connection, planned: &Planned) -> Result<(), StoreError> {
    let (job, standing) = (serde_json::to_string(&planned.job)?, serde_json::to_string(&planned.standing)?);
    db.prepare_cached(
        "INSERT INTO cron_jobs (id, job, standing, next_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET job = ?2, standing = ?3, next_at = ?4",
    )?
    .execute(params![planned.job.id, job, standing, planned.job.state.next_run_at_ms])?;
    Ok(())
}

/// Keeps a new job, if there are fewer than `max`.
///
/// # Errors
///
/// There are as many as may be.
pub fn add_job(db: &Connection, planned: &Planned, max: i64) -> Result<(), StoreError> {
    if count_jobs(db)? >= max {
        return Err(StoreError::Refused(format!("there are {max} cron jobs already; remove one first")));
    }
    put_job(db, planned)
}

pub fn job(db: &Connection, id: &str) -> Result<Option<Planned>, StoreError> {
    let mut query = db.prepare_cached("SELECT id, job, standing FROM cron_jobs WHERE id = ?1")?;
    Ok(query.query_row([id], read_job).optional()?.flatten())
}

/// Every job, by id.
pub fn jobs(db: &Connection) -> Result<Vec<Planned>, StoreError> {
    let mut query = db.prepare_cached("SELECT id, job, standing FROM cron_jobs ORDER BY id")?;
    let rows = query.query_map([], read_job)?.collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().flatten().collect())
}

pub fn count_jobs(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.prepare_cached("SELECT count(*) FROM cron_jobs")?.query_row([], |row| row.get(0))?)
}

/// Returns whether there was such a job. What it did stays for a while.
pub fn delete_job(db: &Connection, id: &str) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("DELETE FROM cron_jobs WHERE id = ?1")?.execute([id])? > 0)
}

/// Jobs that are due and do not run, the longest due first.
pub fn due(db: &Connection, now: i64, limit: u32) -> Result<Vec<Planned>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT id, job, standing FROM cron_jobs
         WHERE next_at <= ?1 AND id NOT IN (SELECT job_id FROM cron_runs WHERE state = 'running')
         ORDER BY next_at, id LIMIT ?2",
    )?;
    let rows = query.query_map(params![now, limit], read_job)?.collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().flatten().collect())
}

/// When the next job is due that does not run.
pub fn next_at(db: &Connection) -> Result<Option<i64>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT min(next_at) FROM cron_jobs WHERE id NOT IN (SELECT job_id FROM cron_runs WHERE state = 'running')",
    )?;
    Ok(query.query_row([], |row| row.get(0))?)
}

/// Writes a run down. Returns `false` when its slot is taken already, or its id known.
pub fn add_run(db: &Connection, run: &RunRow) -> Result<bool, StoreError> {
    let entry = run.entry.as_ref().map(serde_json::to_string).transpose()?;
    let added = db
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO cron_runs ({COLUMNS}, status, delivery, ended_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        ))?
        .execute(params![
            run.run_id,
            run.job_id,
            run.slot_at,
            run.state.as_str(),
            run.queued_at,
            run.started_at,
            run.session_key,
            entry,
            run.entry.as_ref().map(|entry| entry.status.as_str()),
            run.entry.as_ref().and_then(|entry| entry.delivery_status).map(DeliveryStatus::as_str),
            run.entry.as_ref().map(|entry| entry.ts),
        ])?;
    Ok(added > 0)
}

/// Runs that are not over, in the order in which they were written down.
pub fn open_runs(db: &Connection) -> Result<Vec<RunRow>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM cron_runs WHERE state IN ('queued', 'running') ORDER BY rowid"
    ))?;
    let rows = query.query_map([], read_run)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// The run of a job that is not over.
pub fn open_run_of(db: &Connection, job: &str) -> Result<Option<RunRow>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM cron_runs WHERE job_id = ?1 AND state IN ('queued', 'running') ORDER BY rowid LIMIT 1"
    ))?;
    Ok(query.query_row([job], read_run).optional()?)
}

pub fn run(db: &Connection, run_id: &str) -> Result<Option<RunRow>, StoreError> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM cron_runs WHERE run_id = ?1"))?;
    Ok(query.query_row([run_id], read_run).optional()?)
}

/// A queued run begins. Returns whether it was queued.
pub fn start_run(db: &Connection, run_id: &str, session_key: Option<&str>, now: i64) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE cron_runs SET state = 'running', started_at = ?2, session_key = ?3
             WHERE run_id = ?1 AND state = 'queued'",
        )?
        .execute(params![run_id, now, session_key])?;
    Ok(changed > 0)
}

/// A run is over. The first end counts: returns whether this was it.
pub fn end_run(db: &Connection, entry: &RunEntry) -> Result<bool, StoreError> {
    let changed = db
        .prepare_cached(
            "UPDATE cron_runs SET state = 'ended', ended_at = ?2, status = ?3, delivery = ?4, entry = ?5
             WHERE run_id = ?1 AND state IN ('queued', 'running')",
        )?
        .execute(params![
            entry.run_id,
            entry.ts,
            entry.status.as_str(),
            entry.delivery_status.map(DeliveryStatus::as_str),
            serde_json::to_string(entry)?
        ])?;
    Ok(changed > 0)
}

/// Which runs are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub job_id: Option<String>,
    /// Empty: all.
    pub statuses: Vec<RunStatus>,
    /// Empty: all.
    pub deliveries: Vec<DeliveryStatus>,
    /// Part of what is told of it.
    pub query: Option<String>,
    pub oldest_first: bool,
}

/// A run, and the name of its job if that is still there.
pub type Named = (RunEntry, Option<String>);

/// Runs that are over, each with the name of its job if that is still there; and how many fit in all.
pub fn ended(db: &Connection, filter: &Filter, offset: u32, limit: u32) -> Result<(Vec<Named>, i64), StoreError> {
    let order = if filter.oldest_first { "ASC" } else { "DESC" };
    let any = |words: Vec<&str>| (!words.is_empty()).then(|| format!(",{},", words.join(",")));
    let statuses = any(filter.statuses.iter().map(|status| status.as_str()).collect());
    let deliveries = any(filter.deliveries.iter().map(|status| status.as_str()).collect());
    let fits = "state = 'ended' AND (?1 IS NULL OR job_id = ?1) AND (?2 IS NULL OR instr(?2, ',' || status || ',') > 0)
                AND (?3 IS NULL OR instr(?3, ',' || delivery || ',') > 0)
                AND (?4 IS NULL OR instr(lower(entry), lower(?4)) > 0)";
    let total = db
        .prepare_cached(&format!("SELECT count(*) FROM cron_runs WHERE {fits}"))?
        .query_row(params![filter.job_id, statuses, deliveries, filter.query], |row| row.get(0))?;
    let mut query = db.prepare_cached(&format!(
        "SELECT entry, (SELECT json_extract(job, '$.name') FROM cron_jobs WHERE id = job_id) FROM cron_runs
         WHERE {fits} ORDER BY ended_at {order}, rowid {order} LIMIT ?5 OFFSET ?6"
    ))?;
    let values = params![filter.job_id, statuses, deliveries, filter.query, limit, offset];
    let read = |row: &Row<'_>| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?));
    let rows = query.query_map(values, read)?.collect::<Result<Vec<_>, _>>()?;
    let entry = |text: Option<String>| serde_json::from_str(&text?).ok();
    Ok((rows.into_iter().filter_map(|(text, name)| Some((entry(text)?, name))).collect(), total))
}

/// Forgets what a job did before its last `keep` runs. Returns how many.
pub fn prune(db: &Connection, job: &str, keep: u32) -> Result<usize, StoreError> {
    Ok(db
        .prepare_cached(
            "DELETE FROM cron_runs WHERE job_id = ?1 AND state = 'ended' AND rowid <= (
                 SELECT rowid FROM cron_runs WHERE job_id = ?1 AND state = 'ended' ORDER BY rowid DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![job, keep])?)
}

/// Forgets what jobs did that are gone, if it ended before `before`. Returns how many.
pub fn prune_gone(db: &Connection, before: i64) -> Result<usize, StoreError> {
    Ok(db
        .prepare_cached(
            "DELETE FROM cron_runs
             WHERE state = 'ended' AND ended_at < ?1 AND job_id NOT IN (SELECT id FROM cron_jobs)",
        )?
        .execute([before])?)
}

/// Removes conversations of runs that nobody has touched since `before`, with all that was said. Returns how many.
pub fn forget_sessions(db: &Connection, before: i64, limit: u32) -> Result<usize, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT key FROM sessions WHERE updated_at < ?1 AND key GLOB 'agent:*:cron:*:run:*'
            AND key NOT IN (SELECT session_key FROM runs WHERE state IN ('queued', 'running')) LIMIT ?2",
    )?;
    let keys = query.query_map(params![before, limit], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for key in &keys {
        db.prepare_cached(
            "DELETE FROM entries WHERE session_id IN (SELECT session_id FROM transcripts WHERE session_key = ?1)",
        )?
        .execute([key])?;
        db.prepare_cached("DELETE FROM transcripts WHERE session_key = ?1")?.execute([key])?;
        db.prepare_cached("DELETE FROM sessions WHERE key = ?1")?.execute([key])?;
    }
    Ok(keys.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::schema;

    fn db() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        db
    }

    fn planned(id: &str, next: Option<i64>) -> Planned {
        let job = json!({
            "id": id, "name": format!("job {id}"), "enabled": true, "createdAtMs": 1, "updatedAtMs": 1,
            "schedule": { "kind": "every", "everyMs": 10 }, "sessionTarget": "isolated", "wakeMode": "now",
            "payload": { "kind": "agentTurn", "message": "m" }, "state": { "nextRunAtMs": next }
        });
        Planned { job: serde_json::from_value(job).unwrap(), standing: crate::cron::plan::Standing::default() }
    }

    fn running(job: &str, slot: Option<i64>) -> RunRow {
        RunRow {
            run_id: format!("{job}:{slot:?}"),
            job_id: job.into(),
            slot_at: slot,
            state: RunState::Running,
            queued_at: 1,
            started_at: Some(1),
            session_key: None,
            entry: None,
        }
    }

    #[test]
    fn a_slot_is_taken_once_and_a_run_ends_once() {
        let db = db();
        assert!(add_run(&db, &running("j", Some(10))).unwrap());
        let again = RunRow { run_id: "another".into(), ..running("j", Some(10)) };
        assert!(!add_run(&db, &again).unwrap(), "the slot is taken");
        for name in ["by hand", "by hand again"] {
            let by_hand = RunRow { run_id: name.into(), state: RunState::Queued, ..running("j", None) };
            assert!(add_run(&db, &by_hand).unwrap(), "no slot, none to take");
        }
        assert!(start_run(&db, "by hand", Some("s"), 5).unwrap());
        assert!(!start_run(&db, "by hand", Some("s"), 6).unwrap());
        assert_eq!(run(&db, "by hand").unwrap().unwrap().started_at, Some(5));
        assert_eq!(open_runs(&db).unwrap().len(), 3);
        let entry = RunEntry::new("j", "j:Some(10)".into(), 1, RunStatus::Ok, 20);
        assert!(end_run(&db, &entry).unwrap());
        assert!(!end_run(&db, &RunEntry { status: RunStatus::Error, ..entry.clone() }).unwrap());
        assert_eq!(run(&db, "j:Some(10)").unwrap().unwrap().entry, Some(entry));
        assert_eq!(open_run_of(&db, "j").unwrap().unwrap().run_id, "by hand");
    }

    #[test]
    fn the_longest_due_comes_first_and_what_runs_is_not_due() {
        let db = db();
        for (id, next) in [("a", Some(30)), ("b", Some(10)), ("c", Some(20)), ("d", None), ("e", Some(99))] {
            put_job(&db, &planned(id, next)).unwrap();
        }
        add_run(&db, &running("b", Some(10))).unwrap();
        let ids = |limit| due(&db, 50, limit).unwrap().into_iter().map(|due| due.job.id).collect::<Vec<_>>();
        assert_eq!((ids(9), ids(1)), (vec!["c".to_owned(), "a".to_owned()], vec!["c".to_owned()]));
        assert_eq!(next_at(&db).unwrap(), Some(20));
        assert_eq!((jobs(&db).unwrap().len(), count_jobs(&db).unwrap()), (5, 5));
        assert!(delete_job(&db, "c").unwrap() && !delete_job(&db, "c").unwrap());
        assert_eq!((job(&db, "c").unwrap(), job(&db, "a").unwrap()), (None, Some(planned("a", Some(30)))));
    }

    #[test]
    fn there_are_only_so_many_jobs() {
        let db = db();
        add_job(&db, &planned("a", None), 1).unwrap();
        let refused = add_job(&db, &planned("b", None), 1).unwrap_err().to_string();
        assert_eq!(refused, "there are 1 cron jobs already; remove one first");
        assert_eq!(count_jobs(&db).unwrap(), 1);
    }

    #[test]
    fn conversations_of_old_runs_go_with_all_that_was_said() {
        let db = db();
        for (key, at) in [("agent:main:cron:j:run:old", 5), ("agent:main:cron:j:run:new", 50), ("agent:main:main", 5)] {
            db.execute("INSERT INTO sessions VALUES (?1, 'main', ?1, ?2, NULL, '{}')", params![key, at]).unwrap();
            db.execute("INSERT INTO transcripts VALUES (?1, ?1, '{}', 1, NULL, NULL)", [key]).unwrap();
            db.execute("INSERT INTO entries VALUES (?1, 1, 'e', '{}')", [key]).unwrap();
        }
        assert_eq!(forget_sessions(&db, 10, 9).unwrap(), 1);
        for table in ["sessions", "transcripts", "entries"] {
            let count: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
            assert_eq!(count, 2, "{table}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_read_does_not_hide_the_others() {
        let db = db();
        put_job(&db, &planned("a", Some(1))).unwrap();
        db.execute("INSERT INTO cron_jobs (id, job, standing, next_at) VALUES ('b', '{', '{}', 1)", []).unwrap();
        assert_eq!(jobs(&db).unwrap().len(), 1);
        assert_eq!(due(&db, 5, 9).unwrap().len(), 1);
        assert_eq!(job(&db, "b").unwrap(), None);
    }

    #[test]
    fn runs_are_listed_newest_first_and_forgotten_oldest_first() {
        let db = db();
        put_job(&db, &planned("a", None)).unwrap();
        for (number, status) in (0..6).zip([RunStatus::Ok, RunStatus::Error].into_iter().cycle()) {
            let job = if number < 4 { "a" } else { "gone" };
            let entry = RunEntry {
                error: (status == RunStatus::Error).then(|| "It Broke".to_owned()),
                delivery_status: Some(DeliveryStatus::NotRequested),
                ..RunEntry::new(job, format!("r{number}"), number, status, number)
            };
            let row = RunRow {
                run_id: entry.run_id.clone(),
                state: RunState::Ended,
                entry: Some(entry),
                ..running(job, None)
            };
            add_run(&db, &row).unwrap();
        }
        let ids = |filter: Filter, offset, limit| {
            let (found, total) = ended(&db, &filter, offset, limit).unwrap();
            let ids = found.into_iter().map(|(entry, name)| format!("{} {}", entry.run_id, name.unwrap_or_default()));
            (ids.collect::<Vec<_>>(), total)
        };
        let all = Filter::default();
        assert_eq!(ids(all.clone(), 1, 2), (vec!["r4 ".to_owned(), "r3 job a".to_owned()], 6));
        assert_eq!(ids(Filter { oldest_first: true, ..all.clone() }, 0, 1).0, ["r0 job a"]);
        let of_a = Filter { job_id: Some("a".into()), statuses: vec![RunStatus::Error], ..all.clone() };
        assert_eq!(ids(of_a, 0, 9), (vec!["r3 job a".to_owned(), "r1 job a".to_owned()], 2));
        assert_eq!(ids(Filter { query: Some("it broke".into()), ..all.clone() }, 0, 9).1, 3);
        assert_eq!(ids(Filter { deliveries: vec![DeliveryStatus::Delivered], ..all.clone() }, 0, 9).1, 0);
        assert_eq!(prune(&db, "a", 3).unwrap(), 1);
        assert_eq!(prune(&db, "a", 3).unwrap(), 0);
        assert_eq!(prune_gone(&db, 5).unwrap(), 1);
        assert_eq!(ids(all, 0, 9).1, 4);
    }
}
