//! Opening the database of a state directory, and what happens when it is damaged.
//!
//! A damaged file is never deleted: it is kept aside under a name with the time, the last good backup takes its place,
//! and the caller is told, so that it can say so loudly.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema::{self, MigrationError};
use crate::files;

/// Name of the database in a state directory.
pub const FILE: &str = "openclaw.sqlite";
/// Copy made after a clean start; what a damaged database is replaced by.
pub const BACKUP: &str = "openclaw.sqlite.bak";

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("state directory {dir}: {error}")]
    Dir { dir: PathBuf, error: io::Error },
    #[error("database {path}: {error}")]
    Sql { path: PathBuf, error: rusqlite::Error },
    #[error("database {path}: {error}")]
    Migration { path: PathBuf, error: MigrationError },
}

/// What was done about a damaged database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvage {
    /// Where the damaged file is now.
    pub kept: PathBuf,
    /// Whether a backup took its place; without a good one the database starts empty.
    pub restored: bool,
    /// Where a backup is that was damaged as well.
    pub bad_backup: Option<PathBuf>,
}

/// Opens the writer's connection. `stamp` names a damaged file that is kept aside.
pub fn open_writer(dir: &Path, stamp: &str) -> Result<(Connection, Option<Salvage>), OpenError> {
    files::ensure_dir(dir).map_err(|error| OpenError::Dir { dir: dir.to_owned(), error })?;
    let path = dir.join(FILE);
    match try_open(&path) {
        Ok(db) => Ok((db, None)),
        Err(error) if is_damage(&error) => {
            let io = |error| OpenError::Dir { dir: dir.to_owned(), error };
            let salvage = set_aside(dir, stamp).map_err(io)?;
            match try_open(&path) {
                Err(error) if salvage.restored && is_damage(&error) => {
                    // The backup is no better: start empty, and keep both.
                    let kept = dir.join(format!("{BACKUP}.corrupt.{stamp}"));
                    fs::rename(dir.join(BACKUP), &kept).and_then(|()| fs::remove_file(&path)).map_err(io)?;
                    Ok((try_open(&path)?, Some(Salvage { restored: false, bad_backup: Some(kept), ..salvage })))
                }
                opened => Ok((opened?, Some(salvage))),
            }
        }
        Err(error) => Err(error),
    }
}

/// Opens a connection that cannot write.
pub fn open_reader(dir: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(
        dir.join(FILE),
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "cache_size", -512)?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(db)
}

/// Copies the database to its backup, page by page, while it is in use.
pub fn backup(db: &Connection, dir: &Path) -> rusqlite::Result<()> {
    let target = dir.join(BACKUP);
    let temp = dir.join(format!("{BACKUP}.new"));
    for name in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(dir.join(format!("{BACKUP}.new{name}"))); // left over from a crash, or absent
    }
    db.backup("main", &temp, None::<fn(rusqlite::backup::Progress)>)?;
    // A bad copy must not replace a good one. Who may only read would leave the files that go with a log behind.
    check(&Connection::open_with_flags(&temp, OpenFlags::SQLITE_OPEN_READ_WRITE)?)?;
    fs::rename(&temp, &target).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn try_open(path: &Path) -> Result<Connection, OpenError> {
    let sql = |error| OpenError::Sql { path: path.to_owned(), error };
    if !path.exists() {
        // SQLite would create the file with the process's own mask.
        files::open_private(path).map_err(|error| OpenError::Dir { dir: path.to_owned(), error })?;
    }
    let mut db = Connection::open(path).map_err(sql)?;
    db.busy_timeout(Duration::from_secs(5)).map_err(sql)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(sql)?;
    db.pragma_update(None, "synchronous", "FULL").map_err(sql)?;
    db.pragma_update(None, "foreign_keys", true).map_err(sql)?;
    db.pragma_update(None, "cache_size", -1024).map_err(sql)?;
    db.set_prepared_statement_cache_capacity(64);
    check(&db).map_err(sql)?;
    schema::migrate(&mut db).map_err(|error| match error {
        MigrationError::Sql(error) => sql(error),
        newer => OpenError::Migration { path: path.to_owned(), error: newer },
    })?;
    Ok(db)
}

/// Reads the whole file and compares it with itself.
fn check(db: &Connection) -> rusqlite::Result<()> {
    let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(found)))
}

fn is_damage(error: &OpenError) -> bool {
    let OpenError::Sql { error, .. } = error else { return false };
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn set_aside(dir: &Path, stamp: &str) -> io::Result<Salvage> {
    let path = dir.join(FILE);
    let kept = dir.join(format!("{FILE}.corrupt.{stamp}"));
    fs::rename(&path, &kept)?;
    for suffix in ["-wal", "-shm"] {
        let side = dir.join(format!("{FILE}{suffix}"));
        if side.exists() {
            fs::rename(side, dir.join(format!("{FILE}.corrupt.{stamp}{suffix}")))?;
        }
    }
    let backup = dir.join(BACKUP);
    let restored = backup.exists();
    if restored {
        files::replace(&path, &fs::read(backup)?)?;
    }
    Ok(Salvage { kept, restored, bad_backup: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_database_is_kept_aside_and_the_backup_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (db, salvage) = open_writer(dir.path(), "t0").unwrap();
        assert_eq!(salvage, None);
        db.execute("INSERT INTO facts VALUES ('a', '1')", []).unwrap();
        backup(&db, dir.path()).unwrap();
        drop(db);

        fs::remove_file(dir.path().join(format!("{FILE}-wal"))).ok();
        fs::remove_file(dir.path().join(format!("{FILE}-shm"))).ok();
        files::replace(&dir.path().join(FILE), b"this is not a database, however long it gets").unwrap();
        let (db, salvage) = open_writer(dir.path(), "t1").unwrap();
        let salvage = salvage.unwrap();
        assert!(salvage.restored);
        assert!(salvage.kept.exists());
        let value: String = db.query_row("SELECT value FROM facts WHERE name = 'a'", [], |row| row.get(0)).unwrap();
        assert_eq!(value, "1");
    }

    #[test]
    fn a_damaged_database_without_a_backup_starts_empty_but_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        files::replace(&dir.path().join(FILE), b"garbage garbage garbage garbage").unwrap();
        let (_, salvage) = open_writer(dir.path(), "t").unwrap();
        assert_eq!(
            salvage,
            Some(Salvage { kept: dir.path().join(format!("{FILE}.corrupt.t")), restored: false, bad_backup: None })
        );
    }
}
