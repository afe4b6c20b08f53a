//! The few files of a workspace that clients may see and edit.
//!
//! Only known names, only regular files that lie in the workspace themselves: no link leads out, neither to read nor to
//! write. Blocking. Source: `agents.files.*` of 2026.5.12.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use openclaw_actors::files;
use serde_json::{Value, json};

/// Names in the order in which they are listed.
pub const NAMES: [&str; 8] =
    ["AGENTS.md", "SOUL.md", "TOOLS.md", "IDENTITY.md", "USER.md", "HEARTBEAT.md", "BOOTSTRAP.md", "MEMORY.md"];
/// Largest file that is shown or written, bytes.
const BYTES_MAX: u64 = 2 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("unsupported file \"{0}\"")]
    Unsupported(String),
    #[error("{0} is larger than 2 MiB")]
    TooLarge(String),
    #[error("{0} is no regular file of the workspace")]
    NotOurs(String),
    #[error("workspace file: {0}")]
    Io(#[from] io::Error),
}

/// The row of a list: `{name, path, missing, size?, updatedAtMs?}`. What cannot be shown has no size.
pub fn about(dir: &Path, name: &str) -> Value {
    let path = dir.join(name);
    match fs::symlink_metadata(&path) {
        Ok(about) if about.is_file() => present(&path, name, &about),
        Ok(_) => json!({ "name": name, "path": path.display().to_string(), "missing": false }),
        Err(_) => missing(&path, name),
    }
}

/// The row with its content; a missing file is no error.
pub fn read(dir: &Path, name: &str) -> Result<Value, FileError> {
    let path = known(dir, name)?;
    let about = match fs::symlink_metadata(&path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(missing(&path, name)),
        Err(error) => return Err(error.into()),
    };
    if !about.is_file() {
        return Err(FileError::NotOurs(name.to_owned()));
    }
    if about.len() > BYTES_MAX {
        return Err(FileError::TooLarge(name.to_owned()));
    }
    let mut bytes = Vec::new();
    fs::File::open(&path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    let mut row = present(&path, name, &about);
    row["content"] = json!(String::from_utf8_lossy(&bytes));
    Ok(row)
}

/// Replaces the file and answers with its row. A link in its place is replaced, not followed.
pub fn write(dir: &Path, name: &str, content: &str) -> Result<Value, FileError> {
    let path = known(dir, name)?;
    if content.len() as u64 > BYTES_MAX {
        return Err(FileError::TooLarge(name.to_owned()));
    }
    files::ensure_dir(dir)?;
    files::replace(&path, content.as_bytes())?;
    let mut row = present(&path, name, &fs::symlink_metadata(&path)?);
    row["content"] = json!(content);
    Ok(row)
}

fn known(dir: &Path, name: &str) -> Result<PathBuf, FileError> {
    if NAMES.contains(&name) { Ok(dir.join(name)) } else { Err(FileError::Unsupported(name.to_owned())) }
}

fn missing(path: &Path, name: &str) -> Value {
    json!({ "name": name, "path": path.display().to_string(), "missing": true })
}

fn present(path: &Path, name: &str, about: &fs::Metadata) -> Value {
    let changed = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let changed = changed.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    json!({
        "name": name, "path": path.display().to_string(), "missing": false, "size": about.len(),
        "updatedAtMs": changed.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_listed() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = dir.path().join("new");
        assert_eq!(read(&workspace, "SOUL.md").unwrap()["missing"], true);
        assert_eq!(write(&workspace, "SOUL.md", "# me\n").unwrap()["size"], 5);
        let row = read(&workspace, "SOUL.md").unwrap();
        assert_eq!((&row["content"], &row["missing"]), (&json!("# me\n"), &json!(false)));
        assert!(row["updatedAtMs"].as_u64().unwrap() > 0);
        let listed = about(&workspace, "SOUL.md");
        assert_eq!((&listed["size"], &listed["content"]), (&json!(5), &Value::Null));
    }

    #[test]
    fn only_known_names_can_be_reached() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../SOUL.md", "notes.md", "soul.md", "", "/etc/passwd"] {
            let text = format!("unsupported file \"{name}\"");
            assert_eq!(read(dir.path(), name).unwrap_err().to_string(), text);
            assert_eq!(write(dir.path(), name, "x").unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn a_link_is_neither_read_nor_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("secret");
        files::replace(&outside, b"canary").unwrap();
        let workspace = dir.path().join("workspace");
        files::ensure_dir(&workspace).unwrap();
        symlink(&outside, workspace.join("USER.md")).unwrap();
        assert!(matches!(read(&workspace, "USER.md"), Err(FileError::NotOurs(_))));
        assert_eq!(about(&workspace, "USER.md")["size"], Value::Null);
        write(&workspace, "USER.md", "mine").unwrap();
        assert_eq!(fs::read(&outside).unwrap(), b"canary");
        assert_eq!(read(&workspace, "USER.md").unwrap()["content"], "mine");
    }
}
