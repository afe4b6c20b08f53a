//! The record of every write to the configuration: who, what changed, how it ended. Paths and hashes, never values.

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::files;

/// One line of `<state>/logs/config-audit.jsonl`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    /// RFC 3339, UTC.
    pub ts: Timestamp,
    /// `cli`, `rpc <actor>`, `doctor`.
    pub actor: &'a str,
    pub config_path: &'a Path,
    /// Hex SHA-256 of the main file before and after; absent when there was none.
    pub previous_hash: Option<&'a str>,
    pub next_hash: Option<&'a str>,
    pub changed_paths: &'a [String],
    /// `written` or `rejected`.
    pub result: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub reasons: &'a [String],
}

/// Appends one line.
pub fn append(state_dir: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let dir = state_dir.join("logs");
    files::ensure_dir(&dir)?;
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    files::append_private(&dir.join("config-audit.jsonl"))?.write_all(&line)
}
