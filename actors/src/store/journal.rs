//! The journal: what operators ask about afterwards. Bounded; the oldest rows go first.

use rusqlite::{Connection, params};
use serde_json::Value;

use super::StoreError;

/// Rows that are kept.
pub const CAP: i64 = 5000;

/// One row. `seq` grows for ever; `ts` is milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    pub seq: i64,
    pub ts: i64,
    pub kind: String,
    pub body: Value,
}

pub fn append(db: &Connection, ts: i64, kind: &str, body: &Value) -> Result<i64, StoreError> {
    db.prepare_cached("INSERT INTO events (ts, type, body) VALUES (?1, ?2, ?3)")?
        .execute(params![ts, kind, body.to_string()])?;
    let seq = db.last_insert_rowid();
    db.prepare_cached("DELETE FROM events WHERE seq <= ?1")?.execute([seq - CAP])?;
    Ok(seq)
}

/// The newest rows after `since`, oldest first; `kind` narrows.
pub fn list(db: &Connection, since: i64, kind: Option<&str>, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT seq, ts, type, body FROM events WHERE seq > ?1 AND (?2 IS NULL OR type = ?2) ORDER BY seq DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = query
        .query_map(params![since, kind, limit], |row| {
            let body: String = row.get(3)?;
            Ok(JournalEntry {
                seq: row.get(0)?,
                ts: row.get(1)?,
                kind: row.get(2)?,
                body: serde_json::from_str(&body).unwrap_or(Value::Null),
            })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    rows.reverse();
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;
    use serde_json::json;

    #[test]
    fn the_journal_keeps_the_newest_rows_and_is_read_oldest_first() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        for n in 0..3 {
            append(&db, n, if n == 1 { "b" } else { "a" }, &json!({ "n": n })).unwrap();
        }
        let seen: Vec<i64> = list(&db, 0, Some("a"), 10).unwrap().into_iter().map(|e| e.ts).collect();
        assert_eq!(seen, [0, 2]);
        assert_eq!(list(&db, 2, None, 10).unwrap().len(), 1);
        db.execute("UPDATE sqlite_sequence SET seq = 10000", []).unwrap();
        append(&db, 9, "c", &json!({})).unwrap();
        assert_eq!(list(&db, 0, None, 10).unwrap().len(), 1, "rows more than CAP behind are gone");
    }
}
