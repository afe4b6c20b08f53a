//! Rows of sessions: one a key, the upstream entry as JSON.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;

/// One session as stored. `entry` is the JSON text of the session entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    pub key: String,
    pub agent_id: String,
    pub session_id: String,
    /// Milliseconds since the epoch.
    pub updated_at: i64,
    pub label: Option<String>,
    pub entry: String,
}

const COLUMNS: &str = "key, agent_id, session_id, updated_at, label, entry";

fn read(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    Ok(SessionRecord {
        key: row.get(0)?,
        agent_id: row.get(1)?,
        session_id: row.get(2)?,
        updated_at: row.get(3)?,
        label: row.get(4)?,
        entry: row.get(5)?,
    })
}

pub fn get(db: &Connection, key: &str) -> Result<Option<SessionRecord>, StoreError> {
    let mut query = db.prepare_cached("SELECT key, agent_id, session_id, updated_at, label, entry FROM sessions WHERE key = ?1")?;
    Ok(query.query_row([key], read).optional()?)
}

/// Writes the whole row. `Refused` when another session of the agent has the label.
pub fn put(db: &Connection, record: &SessionRecord) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(
        "INSERT INTO sessions (key, agent_id, session_id, updated_at, label, entry) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (key) DO UPDATE SET agent_id = ?2, session_id = ?3, updated_at = ?4, label = ?5, entry = ?6",
    )?;
    let SessionRecord { key, agent_id, session_id, updated_at, label, entry } = record;
    match statement.execute(params![key, agent_id, session_id, updated_at, label, entry]) {
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == rusqlite::ErrorCode::ConstraintViolation => {
            Err(StoreError::Refused(format!("label already in use: {}", label.as_deref().unwrap_or_default())))
        }
        other => Ok(other.map(drop)?),
    }
}

/// Returns whether there was a row.
pub fn delete(db: &Connection, key: &str) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("DELETE FROM sessions WHERE key = ?1")?.execute([key])? > 0)
}

/// What a list of sessions is narrowed by; absent means not narrowed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub agent_id: Option<String>,
    /// Updated at or after this time, milliseconds since the epoch.
    pub updated_since: Option<i64>,
    pub label: Option<String>,
    /// Part of the key, the label or the display name, any case.
    pub search: Option<String>,
}

/// Newest first, with the number of all that match.
pub fn list(db: &Connection, filter: &Filter, limit: usize) -> Result<(Vec<SessionRecord>, usize), StoreError> {
    const WHERE: &str = "WHERE (?1 IS NULL OR agent_id = ?1) AND (?2 IS NULL OR updated_at >= ?2)
        AND (?3 IS NULL OR label = ?3)
        AND (?4 IS NULL OR instr(lower(key), ?4) OR instr(lower(coalesce(label, '')), ?4)
             OR instr(lower(coalesce(entry ->> '$.displayName', '')), ?4))";
    let search = filter.search.as_ref().map(|text| text.to_lowercase());
    let bound = params![filter.agent_id, filter.updated_since, filter.label, search];
    let total: i64 = db.prepare_cached(&format!("SELECT count(*) FROM sessions {WHERE}"))?.query_row(bound, |r| r.get(0))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM sessions {WHERE} ORDER BY updated_at DESC, key LIMIT ?5"
    ))?;
    let rows = query
        .query_map(params![filter.agent_id, filter.updated_since, filter.label, search, limit], read)?
        .collect::<Result<_, _>>()?;
    Ok((rows, usize::try_from(total).unwrap_or(0)))
}

/// The session that has this id now.
pub fn by_session_id(db: &Connection, session_id: &str) -> Result<Option<SessionRecord>, StoreError> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM sessions WHERE session_id = ?1"))?;
    Ok(query.query_row([session_id], read).optional()?)
}

/// Number of sessions of one agent, or of all.
pub fn count(db: &Connection, agent_id: Option<&str>) -> Result<usize, StoreError> {
    let mut query = db.prepare_cached("SELECT count(*) FROM sessions WHERE ?1 IS NULL OR agent_id = ?1")?;
    let count: i64 = query.query_row([agent_id], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    fn database() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        db
    }

    fn record(key: &str, updated_at: i64, label: Option<&str>) -> SessionRecord {
        SessionRecord {
            key: key.into(),
            agent_id: "main".into(),
            session_id: format!("id-{key}"),
            updated_at,
            label: label.map(Into::into),
            entry: r#"{"displayName":"Kitchen"}"#.into(),
        }
    }

    #[test]
    fn a_list_is_newest_first_narrowed_and_counted_beyond_its_limit() {
        let db = database();
        for (key, at) in [("a", 1), ("b", 3), ("c", 2)] {
            put(&db, &record(key, at, None)).unwrap();
        }
        let (rows, total) = list(&db, &Filter::default(), 2).unwrap();
        assert_eq!(rows.iter().map(|r| r.key.as_str()).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(total, 3);
        let since = Filter { updated_since: Some(2), ..Filter::default() };
        assert_eq!(list(&db, &since, 10).unwrap().1, 2);
        let search = Filter { search: Some("KITCH".into()), ..Filter::default() };
        assert_eq!(list(&db, &search, 10).unwrap().1, 3);
    }

    #[test]
    fn a_label_belongs_to_one_session_of_an_agent() {
        let db = database();
        put(&db, &record("a", 1, Some("x"))).unwrap();
        put(&db, &record("a", 2, Some("x"))).unwrap();
        let error = put(&db, &record("b", 1, Some("x"))).unwrap_err();
        assert_eq!(error.to_string(), "label already in use: x");
    }
}
