//! Strangers who asked to write, and those of them whom an operator let in: one row a sender of an account.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;

/// A stranger who asked. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingRow {
    pub channel: String,
    pub account: String,
    pub sender: String,
    /// What a person calls the sender.
    pub label: String,
    /// Where he is told that he was let in.
    pub target: String,
    /// `None`: he was let in.
    pub code: Option<String>,
    pub created_at: i64,
    pub last_seen_at: i64,
}

const COLUMNS: &str = "channel, account, sender, label, target, code, created_at, last_seen_at";

fn read(row: &Row<'_>) -> rusqlite::Result<PairingRow> {
    Ok(PairingRow {
        channel: row.get(0)?,
        account: row.get(1)?,
        sender: row.get(2)?,
        label: row.get(3)?,
        target: row.get(4)?,
        code: row.get(5)?,
        created_at: row.get(6)?,
        last_seen_at: row.get(7)?,
    })
}

pub fn get(db: &Connection, channel: &str, account: &str, sender: &str) -> Result<Option<PairingRow>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pairing WHERE channel = ?1 AND account = ?2 AND sender = ?3"
    ))?;
    Ok(query.query_row([channel, account, sender], read).optional()?)
}

/// Writes a row over the one that is there.
pub fn put(db: &Connection, row: &PairingRow) -> Result<(), StoreError> {
    db.prepare_cached(&format!("INSERT OR REPLACE INTO pairing ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"))?
        .execute(params![
            row.channel,
            row.account,
            row.sender,
            row.label,
            row.target,
            row.code,
            row.created_at,
            row.last_seen_at
        ])?;
    Ok(())
}

pub fn remove(db: &Connection, row: &PairingRow) -> Result<bool, StoreError> {
    let removed = db
        .prepare_cached("DELETE FROM pairing WHERE channel = ?1 AND account = ?2 AND sender = ?3")?
        .execute([&row.channel, &row.account, &row.sender])?;
    Ok(removed > 0)
}

/// Who waits to be let in, the first one first.
pub fn waiting(db: &Connection) -> Result<Vec<PairingRow>, StoreError> {
    let mut query =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM pairing WHERE code IS NOT NULL ORDER BY created_at, rowid"))?;
    let rows = query.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Senders of an account that were let in.
pub fn approved(db: &Connection, channel: &str, account: &str) -> Result<Vec<String>, StoreError> {
    let mut query =
        db.prepare_cached("SELECT sender FROM pairing WHERE channel = ?1 AND account = ?2 AND code IS NULL")?;
    let rows = query.query_map([channel, account], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Forgets who asked before `before` and was not let in.
pub fn expire(db: &Connection, before: i64) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM pairing WHERE code IS NOT NULL AND created_at < ?1")?.execute([before])?;
    Ok(())
}
