//! What has happened and is to be told to a conversation: lines that go in front of its next turn, and are gone then.

use rusqlite::{Connection, params};

use super::StoreError;

/// Lines that wait for one conversation; the oldest goes first.
pub const CAP: i64 = 20;

/// One line. `ts` is milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemEvent {
    pub session_key: String,
    pub text: String,
    pub ts: i64,
    /// A later line about the same replaces this one.
    pub about: Option<String>,
    /// Said by the gateway or its owner, not by a stranger.
    pub trusted: bool,
}

/// Keeps a line. The same as the newest one is no news; returns whether it was kept.
pub fn add(db: &Connection, event: &SystemEvent) -> Result<bool, StoreError> {
    let waiting = list(db, &event.session_key)?;
    if waiting.last().is_some_and(|last| last.text == event.text && last.trusted == event.trusted) {
        return Ok(false);
    }
    if event.about.is_some() {
        db.prepare_cached("DELETE FROM system_events WHERE session_key = ?1 AND about = ?2")?
            .execute(params![event.session_key, event.about])?;
    }
    db.prepare_cached("INSERT INTO system_events (session_key, text, ts, about, trusted) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![event.session_key, event.text, event.ts, event.about, event.trusted])?;
    db.prepare_cached(
        "DELETE FROM system_events WHERE session_key = ?1 AND id NOT IN (
             SELECT id FROM system_events WHERE session_key = ?1 ORDER BY id DESC LIMIT ?2)",
    )?
    .execute(params![event.session_key, CAP])?;
    Ok(true)
}

/// What waits for a conversation, oldest first.
pub fn list(db: &Connection, session_key: &str) -> Result<Vec<SystemEvent>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT session_key, text, ts, about, trusted FROM system_events WHERE session_key = ?1 ORDER BY id",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(SystemEvent {
            session_key: row.get(0)?,
            text: row.get(1)?,
            ts: row.get(2)?,
            about: row.get(3)?,
            trusted: row.get(4)?,
        })
    };
    let rows = query.query_map([session_key], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Takes everything that waits for a conversation.
pub fn drain(db: &Connection, session_key: &str) -> Result<Vec<SystemEvent>, StoreError> {
    let waiting = list(db, session_key)?;
    if !waiting.is_empty() {
        db.prepare_cached("DELETE FROM system_events WHERE session_key = ?1")?.execute([session_key])?;
    }
    Ok(waiting)
}

/// Conversations that something waits for.
pub fn sessions(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut query = db.prepare_cached("SELECT DISTINCT session_key FROM system_events")?;
    let keys = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    fn event(text: &str, about: Option<&str>) -> SystemEvent {
        let about = about.map(str::to_owned);
        SystemEvent { session_key: "agent:main:main".into(), text: text.into(), ts: 1, about, trusted: true }
    }

    #[test]
    fn lines_wait_in_order_without_repetition_and_the_oldest_makes_room() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        assert!(add(&db, &event("one", Some("node"))).unwrap());
        assert!(!add(&db, &event("one", Some("node"))).unwrap());
        add(&db, &event("two", None)).unwrap();
        add(&db, &event("three", Some("node"))).unwrap();
        let texts = |db: &Connection| -> Vec<String> {
            list(db, "agent:main:main").unwrap().into_iter().map(|event| event.text).collect()
        };
        assert_eq!(texts(&db), ["two", "three"], "what is known better is not told twice");
        for number in 0..CAP {
            add(&db, &event(&number.to_string(), None)).unwrap();
        }
        let all = texts(&db);
        assert_eq!((all.len() as i64, all[0].as_str()), (CAP, "0"));
        assert_eq!(sessions(&db).unwrap(), ["agent:main:main"]);
        assert_eq!(drain(&db, "agent:main:main").unwrap().len() as i64, CAP);
        assert!(drain(&db, "agent:main:main").unwrap().is_empty() && sessions(&db).unwrap().is_empty());
    }
}
