//! Copies beside the configuration file: the ring before each write, the last good one, and what was refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::files;

/// Backups kept: `.bak`, `.bak.1` … `.bak.4`.
const RING: usize = 5;

/// The file's name with something after it.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Moves the ring on and puts `text` in front. Returns the newest backup.
pub fn push(path: &Path, text: &str) -> io::Result<PathBuf> {
    let slot = |index: usize| beside(path, &if index == 0 { ".bak".to_owned() } else { format!(".bak.{index}") });
    for index in (1..RING).rev() {
        match fs::rename(slot(index - 1), slot(index)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    files::replace(&slot(0), text.as_bytes())?;
    Ok(slot(0))
}

/// Keeps a text that was refused, for the person to look at.
pub fn keep_rejected(path: &Path, text: &str, now: Timestamp) -> io::Result<PathBuf> {
    let saved = beside(path, &format!(".rejected.{}", now.strftime("%Y%m%dT%H%M%S%3fZ")));
    files::replace(&saved, text.as_bytes())?;
    Ok(saved)
}

/// Where the last configuration that a service ran with is kept.
pub fn last_good_path(path: &Path) -> PathBuf {
    beside(path, ".last-good")
}

/// Keeps the text of a configuration that a service just took over.
pub fn keep_last_good(path: &Path, text: &str) -> io::Result<()> {
    files::replace(&last_good_path(path), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_five_newest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openclaw.json");
        for n in 0..7 {
            push(&path, &n.to_string()).unwrap();
        }
        let read = |suffix: &str| fs::read_to_string(beside(&path, suffix)).unwrap();
        assert_eq!([".bak", ".bak.1", ".bak.2", ".bak.3", ".bak.4"].map(read), ["6", "5", "4", "3", "2"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
    }
}
