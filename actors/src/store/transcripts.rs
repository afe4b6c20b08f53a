//! Rows of transcripts: lines in order, append only. An archived transcript was reset or deleted and is kept.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;

/// One line of a transcript as stored. `seq` counts from 1 without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub seq: i64,
    pub entry_id: String,
    /// JSON text of the entry.
    pub body: String,
}

/// Creates the transcript if it is missing. `header` is the JSON text of its first line in an export.
pub fn create(db: &Connection, session_id: &str, session_key: &str, header: &str, now: i64) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO transcripts (session_id, session_key, header, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (session_id) DO NOTHING",
    )?
    .execute(params![session_id, session_key, header, now])?;
    Ok(())
}

/// Appends a line and returns its `seq`.
pub fn append(db: &Connection, session_id: &str, entry_id: &str, body: &str) -> Result<i64, StoreError> {
    let mut statement = db.prepare_cached(
        "INSERT INTO entries (session_id, seq, entry_id, body)
         VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM entries WHERE session_id = ?1), ?2, ?3)
         RETURNING seq",
    )?;
    Ok(statement.query_row(params![session_id, entry_id, body], |row| row.get(0))?)
}

/// Is there an entry with this id?
pub fn contains(db: &Connection, session_id: &str, entry_id: &str) -> Result<bool, StoreError> {
    let mut query = db.prepare_cached("SELECT 1 FROM entries WHERE session_id = ?1 AND entry_id = ?2")?;
    Ok(query.exists(params![session_id, entry_id])?)
}

/// The id of the last line: the parent of the next one.
pub fn last_id(db: &Connection, session_id: &str) -> Result<Option<String>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT entry_id FROM entries WHERE session_id = ?1 ORDER BY seq DESC LIMIT 1")?;
    Ok(query.query_row([session_id], |row| row.get(0)).optional()?)
}

/// All lines, oldest first.
pub fn lines(db: &Connection, session_id: &str) -> Result<Vec<Line>, StoreError> {
    let mut query = db.prepare_cached("SELECT seq, entry_id, body FROM entries WHERE session_id = ?1 ORDER BY seq")?;
    let rows = query.query_map([session_id], line)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// The last `limit` lines, oldest first.
pub fn tail(db: &Connection, session_id: &str, limit: usize) -> Result<Vec<Line>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT seq, entry_id, body FROM entries WHERE session_id = ?1 ORDER BY seq DESC LIMIT ?2")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows: Vec<Line> = query.query_map(params![session_id, limit], line)?.collect::<Result<_, _>>()?;
    rows.reverse();
    Ok(rows)
}

fn line(row: &rusqlite::Row<'_>) -> rusqlite::Result<Line> {
    Ok(Line { seq: row.get(0)?, entry_id: row.get(1)?, body: row.get(2)? })
}

/// The header line and the session key.
pub fn header(db: &Connection, session_id: &str) -> Result<Option<(String, String)>, StoreError> {
    let mut query = db.prepare_cached("SELECT header, session_key FROM transcripts WHERE session_id = ?1")?;
    Ok(query.query_row([session_id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Marks a transcript as archived; `why` is `reset` or `deleted`.
pub fn archive(db: &Connection, session_id: &str, why: &str, now: i64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE transcripts SET archived_at = ?2, archived_for = ?3 WHERE session_id = ?1")?
        .execute(params![session_id, now, why])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    #[test]
    fn lines_are_numbered_from_one_and_read_back_in_order() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        create(&db, "s", "agent:main:main", "{}", 1).unwrap();
        assert_eq!(last_id(&db, "s").unwrap(), None);
        for (n, id) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(append(&db, "s", id, "{}").unwrap(), n as i64 + 1);
        }
        assert_eq!(append(&db, "other", "x", "{}").unwrap(), 1);
        assert_eq!(last_id(&db, "s").unwrap().as_deref(), Some("c"));
        let ids = |lines: Vec<Line>| lines.into_iter().map(|l| l.entry_id).collect::<Vec<_>>();
        assert_eq!(ids(lines(&db, "s").unwrap()), ["a", "b", "c"]);
        assert_eq!(ids(tail(&db, "s", 2).unwrap()), ["b", "c"]);
    }
}
