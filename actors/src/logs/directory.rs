//! Chooses the directory of the daily file: a shared temporary place only when nobody else can have prepared it.
//!
//! The directory must be real (no link), ours, and mode 0700; one that is not is left as it is, never repaired.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files;

/// Why there is no directory to log into.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("log directory {path}: {fault}")]
    Unsafe { path: PathBuf, fault: &'static str },
    #[error("log directory {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// `preferred` (`/tmp/openclaw`) if it is or can be made ours alone, else `<temp>/openclaw-<uid>`.
///
/// Source: logging documentation of 2026.5.12 (place, fallback).
pub fn choose(preferred: &Path, temp: &Path, uid: u32) -> Result<PathBuf, DirectoryError> {
    claim(preferred, uid).or_else(|_| claim(&temp.join(format!("openclaw-{uid}")), uid))
}

/// The directory that [`choose`] would give, without creating anything: for commands that only read.
pub fn find(preferred: &Path, temp: &Path, uid: u32) -> PathBuf {
    match fault(preferred, uid) {
        Ok(None) => preferred.to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => preferred.to_owned(),
        _ => temp.join(format!("openclaw-{uid}")),
    }
}

/// Makes the directory if it is missing, and refuses one that somebody else may have prepared.
pub(super) fn claim(path: &Path, uid: u32) -> Result<PathBuf, DirectoryError> {
    let io = |error| DirectoryError::Io { path: path.to_owned(), error };
    files::ensure_dir(path).map_err(io)?;
    match fault(path, uid).map_err(io)? {
        None => Ok(path.to_owned()),
        Some(fault) => Err(DirectoryError::Unsafe { path: path.to_owned(), fault }),
    }
}

fn fault(path: &Path, uid: u32) -> io::Result<Option<&'static str>> {
    let meta = fs::symlink_metadata(path)?;
    Ok(match () {
        () if !meta.is_dir() => Some("not a real directory"),
        () if meta.uid() != uid => Some("owned by another user"),
        () if meta.mode() & 0o777 != 0o700 => Some("mode is not 0700"),
        () => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn me(dir: &Path) -> u32 {
        fs::metadata(dir).unwrap().uid()
    }

    #[test]
    fn a_missing_directory_is_made_private() {
        let temp = tempfile::tempdir().unwrap();
        let wanted = temp.path().join("openclaw");
        assert_eq!(find(&wanted, temp.path(), me(temp.path())), wanted);
        assert!(!wanted.exists());
        assert_eq!(choose(&wanted, temp.path(), me(temp.path())).unwrap(), wanted);
        assert_eq!(fs::metadata(&wanted).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_link_an_open_mode_and_a_file_are_avoided() {
        let temp = tempfile::tempdir().unwrap();
        let uid = me(temp.path());
        let fallback = temp.path().join(format!("openclaw-{uid}"));
        let target = temp.path().join("target");
        files::ensure_dir(&target).unwrap();
        let (link, open, file) = (temp.path().join("link"), temp.path().join("open"), temp.path().join("file"));
        symlink(&target, &link).unwrap();
        files::ensure_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        drop(files::create_private(&file).unwrap());
        for bad in [link, open.clone(), file] {
            assert_eq!(choose(&bad, temp.path(), uid).unwrap(), fallback, "{bad:?}");
            assert_eq!(find(&bad, temp.path(), uid), fallback);
        }
        assert_eq!(fs::metadata(&open).unwrap().mode() & 0o777, 0o755, "left as it was");
    }

    #[test]
    fn somebody_elses_directories_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let other = me(temp.path()) + 1;
        let error = choose(&temp.path().join("openclaw"), temp.path(), other).unwrap_err();
        assert!(error.to_string().contains("owned by another user"), "{error}");
    }
}
