//! How far each account has read its platform. Written in the transaction that keeps what was read, so that a cursor never
//! stands behind an event that is not on disk.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;

/// As the adapter wrote it; `None` for one that has read nothing yet.
pub fn get(db: &Connection, channel: &str, account: &str) -> Result<Option<String>, StoreError> {
    let mut query = db.prepare_cached("SELECT position FROM cursors WHERE channel = ?1 AND account = ?2")?;
    Ok(query.query_row([channel, account], |row| row.get(0)).optional()?)
}

pub fn set(db: &Connection, channel: &str, account: &str, position: &str) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO cursors (channel, account, position) VALUES (?1, ?2, ?3)
         ON CONFLICT (channel, account) DO UPDATE SET position = ?3",
    )?
    .execute(params![channel, account, position])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    #[test]
    fn each_account_has_its_own_cursor() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        assert_eq!(get(&db, "telegram", "a").unwrap(), None);
        for (account, position) in [("a", "1"), ("b", "2"), ("a", "3")] {
            set(&db, "telegram", account, position).unwrap();
        }
        assert_eq!(get(&db, "telegram", "a").unwrap().as_deref(), Some("3"));
        assert_eq!(get(&db, "telegram", "b").unwrap().as_deref(), Some("2"));
    }
}
