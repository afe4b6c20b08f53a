//! Rows of paired devices, each the upstream record as JSON. Requests to pair live in memory: they expire in minutes.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;

/// The JSON text of one record.
pub fn get(db: &Connection, device_id: &str) -> Result<Option<String>, StoreError> {
    let mut query = db.prepare_cached("SELECT record FROM devices WHERE device_id = ?1")?;
    Ok(query.query_row([device_id], |row| row.get(0)).optional()?)
}

/// The JSON text of every record, by device id.
pub fn all(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut query = db.prepare_cached("SELECT record FROM devices ORDER BY device_id")?;
    let rows = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(rows)
}

pub fn put(db: &Connection, device_id: &str, record: &str) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO devices (device_id, record) VALUES (?1, ?2) ON CONFLICT (device_id) DO UPDATE SET record = ?2",
    )?
    .execute(params![device_id, record])?;
    Ok(())
}

/// Returns whether there was a record.
pub fn delete(db: &Connection, device_id: &str) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("DELETE FROM devices WHERE device_id = ?1")?.execute([device_id])? > 0)
}
