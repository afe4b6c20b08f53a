//! Tables and their migrations. Rule: never edit a step that was released; append one.

use rusqlite::{Connection, TransactionBehavior};

/// Step `n` brings a database from `user_version` `n` to `n + 1`.
const STEPS: &[&str] = &["
    -- One row a session key; `entry` is the upstream session entry as JSON, unknown fields included.
    CREATE TABLE sessions (
        key         TEXT PRIMARY KEY,
        agent_id    TEXT NOT NULL,
        session_id  TEXT NOT NULL,
        updated_at  INTEGER NOT NULL,
        label       TEXT,
        entry       TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX sessions_by_update ON sessions (updated_at DESC);
    CREATE INDEX sessions_by_id ON sessions (session_id);
    CREATE UNIQUE INDEX sessions_by_label ON sessions (agent_id, label) WHERE label IS NOT NULL;

    -- One row a transcript; archived ones were reset or deleted.
    CREATE TABLE transcripts (
        session_id   TEXT PRIMARY KEY,
        session_key  TEXT NOT NULL,
        header       TEXT NOT NULL,
        created_at   INTEGER NOT NULL,
        archived_at  INTEGER,
        archived_for TEXT
    ) WITHOUT ROWID;
    CREATE INDEX transcripts_by_key ON transcripts (session_key);

    -- One row a transcript line, in order; `body` is the line.
    CREATE TABLE entries (
        session_id  TEXT NOT NULL,
        seq         INTEGER NOT NULL,
        entry_id    TEXT NOT NULL,
        body        TEXT NOT NULL,
        PRIMARY KEY (session_id, seq)
    ) WITHOUT ROWID;
    CREATE INDEX entries_by_entry_id ON entries (session_id, entry_id);

    -- One row an accepted request. state: queued, running, done, failed, aborted, timeout, interrupted.
    CREATE TABLE runs (
        run_id       TEXT PRIMARY KEY,
        session_key  TEXT NOT NULL,
        session_id   TEXT NOT NULL,
        kind         TEXT NOT NULL,
        state        TEXT NOT NULL,
        accepted_at  INTEGER NOT NULL,
        started_at   INTEGER,
        ended_at     INTEGER,
        request      TEXT NOT NULL,
        outcome      TEXT
    );  -- with a rowid: it keeps the order of acceptance
    CREATE INDEX runs_by_state ON runs (state) WHERE state IN ('queued', 'running');
    CREATE INDEX runs_by_end ON runs (ended_at);

    -- What operators ask about afterwards: restarts, reloads, recoveries. Bounded by the store itself.
    CREATE TABLE events (
        seq   INTEGER PRIMARY KEY AUTOINCREMENT,
        ts    INTEGER NOT NULL,
        type  TEXT NOT NULL,
        body  TEXT NOT NULL
    );

    -- Paired devices and requests to pair, each as the upstream record in JSON.
    CREATE TABLE devices (
        device_id  TEXT PRIMARY KEY,
        record     TEXT NOT NULL
    ) WITHOUT ROWID;

    -- Small single values.
    CREATE TABLE facts (
        name   TEXT PRIMARY KEY,
        value  TEXT NOT NULL
    ) WITHOUT ROWID;
", "
    -- Messages that nothing goes on with, and rows by their state, without reading all of them.
    CREATE INDEX runs_cut_off ON runs (run_id) WHERE state = 'interrupted';

    -- What is to be said in a chat: one row a part that is sent by itself. state: pending, sending, sent, failed, unknown,
    -- dropped.
    CREATE TABLE outbox (
        id           TEXT PRIMARY KEY,
        channel      TEXT NOT NULL,
        account      TEXT NOT NULL,
        target       TEXT NOT NULL,
        thread       TEXT,
        reply_to     TEXT,
        session_key  TEXT,
        run_id       TEXT,
        state        TEXT NOT NULL,
        body         TEXT NOT NULL,
        attempts     INTEGER NOT NULL,
        doubt        INTEGER NOT NULL,
        queued_at    INTEGER NOT NULL,
        next_at      INTEGER NOT NULL,
        ended_at     INTEGER,
        receipt      TEXT,
        error        TEXT
    );  -- with a rowid: it keeps the order
    CREATE INDEX outbox_open ON outbox (channel, account, target) WHERE state IN ('pending', 'sending');
    CREATE INDEX outbox_dead ON outbox (state) WHERE state IN ('pending', 'sending', 'failed', 'unknown');
    CREATE INDEX outbox_by_end ON outbox (ended_at);

    -- What chat platforms have sent, as it came. state: pending, done, failed.
    CREATE TABLE spool (
        channel      TEXT NOT NULL,
        account      TEXT NOT NULL,
        event_key    TEXT NOT NULL,
        lane         TEXT NOT NULL,
        raw          TEXT NOT NULL,
        received_at  INTEGER NOT NULL,
        state        TEXT NOT NULL,
        attempts     INTEGER NOT NULL,
        outcome      TEXT,
        UNIQUE (channel, account, event_key)
    );  -- with a rowid: it keeps the order
    CREATE INDEX spool_pending ON spool (channel, account, lane) WHERE state = 'pending';
    CREATE INDEX spool_failed ON spool (state) WHERE state != 'done';
    CREATE INDEX spool_by_time ON spool (received_at);
", "
    -- What is to be told to a conversation with its next turn.
    CREATE TABLE system_events (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        session_key  TEXT NOT NULL,
        text         TEXT NOT NULL,
        ts           INTEGER NOT NULL,
        about        TEXT,
        trusted      INTEGER NOT NULL
    );
    CREATE INDEX system_events_by_session ON system_events (session_key, id);

    -- How the last heartbeat of each agent went, and what it said last.
    CREATE TABLE heartbeats (
        agent_id     TEXT PRIMARY KEY,
        ts           INTEGER NOT NULL,
        record       TEXT NOT NULL,
        alert        TEXT,
        alert_at     INTEGER
    ) WITHOUT ROWID;
", "
    -- How far an account has read its platform, as its adapter writes it.
    CREATE TABLE cursors (
        channel   TEXT NOT NULL,
        account   TEXT NOT NULL,
        position  TEXT NOT NULL,
        PRIMARY KEY (channel, account)
    ) WITHOUT ROWID;

    -- Strangers who have written directly: with a code while they wait, without one when they were let in.
    CREATE TABLE pairing (
        channel       TEXT NOT NULL,
        account       TEXT NOT NULL,
        sender        TEXT NOT NULL,
        label         TEXT NOT NULL,
        target        TEXT NOT NULL,
        code          TEXT,
        created_at    INTEGER NOT NULL,
        last_seen_at  INTEGER NOT NULL,
        PRIMARY KEY (channel, account, sender)
    );
", "
    -- One row a cron job: as clients see it, how far it has come, and when it runs next by itself.
    CREATE TABLE cron_jobs (
        id        TEXT PRIMARY KEY,
        job       TEXT NOT NULL,
        standing  TEXT NOT NULL,
        next_at   INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX cron_jobs_due ON cron_jobs (next_at) WHERE next_at IS NOT NULL;

    -- One row a run of a job, and one for slots in a row that did not run. state: queued, running, ended. A slot is taken
    -- once; a run by hand has none. `entry` is what is told of it.
    CREATE TABLE cron_runs (
        run_id       TEXT NOT NULL UNIQUE,
        job_id       TEXT NOT NULL,
        slot_at      INTEGER,
        state        TEXT NOT NULL,
        queued_at    INTEGER NOT NULL,
        started_at   INTEGER,
        ended_at     INTEGER,
        session_key  TEXT,
        status       TEXT,
        delivery     TEXT,
        entry        TEXT,
        UNIQUE (job_id, slot_at)
    );  -- with a rowid: it keeps the order
    CREATE INDEX cron_runs_open ON cron_runs (state, job_id) WHERE state IN ('queued', 'running');
    CREATE INDEX cron_runs_by_end ON cron_runs (ended_at);
"];

/// The version that this program writes.
pub const VERSION: u32 = STEPS.len() as u32;

/// A database that this program must not touch.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error("the database has version {found}, written by a newer release; this one knows {VERSION}")]
    Newer { found: u32 },
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

/// Brings the database up to date, each step in its own transaction.
pub fn migrate(db: &mut Connection) -> Result<(), MigrationError> {
    let found: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Err(MigrationError::Newer { found });
    }
    for version in found..VERSION {
        let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(STEPS[version as usize])?;
        step.pragma_update(None, "user_version", version + 1)?;
        step.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_reaches_the_current_version_and_stays_there() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, VERSION);
    }

    #[test]
    fn a_database_of_a_newer_release_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert!(matches!(migrate(&mut db), Err(MigrationError::Newer { .. })));
    }
}
