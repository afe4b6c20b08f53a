//! How the last heartbeat of each agent went.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::StoreError;

/// What was said last because a heartbeat found something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub text: String,
    /// Milliseconds since the epoch.
    pub at: i64,
}

/// Keeps the record of a heartbeat, and what it said if it said something.
pub fn put(db: &Connection, agent: &str, ts: i64, record: &Value, alert: Option<&Alert>) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO heartbeats (agent_id, ts, record, alert, alert_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (agent_id) DO UPDATE SET ts = excluded.ts, record = excluded.record,
             alert = coalesce(excluded.alert, alert), alert_at = coalesce(excluded.alert_at, alert_at)",
    )?
    .execute(params![
        agent,
        ts,
        record.to_string(),
        alert.map(|alert| &alert.text),
        alert.map(|alert| alert.at)
    ])?;
    Ok(())
}

/// The newest record of all agents.
pub fn last(db: &Connection) -> Result<Option<Value>, StoreError> {
    let mut query = db.prepare_cached("SELECT record FROM heartbeats ORDER BY ts DESC LIMIT 1")?;
    let record: Option<String> = query.query_row([], |row| row.get(0)).optional()?;
    Ok(record.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// What an agent said last.
pub fn last_alert(db: &Connection, agent: &str) -> Result<Option<Alert>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT alert, alert_at FROM heartbeats WHERE agent_id = ?1 AND alert IS NOT NULL")?;
    Ok(query.query_row([agent], |row| Ok(Alert { text: row.get(0)?, at: row.get(1)? })).optional()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::schema;

    #[test]
    fn the_newest_record_is_kept_and_the_last_alert_beside_it() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        assert_eq!(last(&db).unwrap(), None);
        let alert = Alert { text: "the oven".into(), at: 5 };
        put(&db, "main", 5, &json!({ "status": "sent" }), Some(&alert)).unwrap();
        put(&db, "main", 6, &json!({ "status": "ok-token" }), None).unwrap();
        put(&db, "ops", 4, &json!({ "status": "skipped" }), None).unwrap();
        assert_eq!(last(&db).unwrap(), Some(json!({ "status": "ok-token" })));
        assert_eq!(last_alert(&db, "main").unwrap(), Some(alert));
        assert_eq!(last_alert(&db, "ops").unwrap(), None);
    }
}
