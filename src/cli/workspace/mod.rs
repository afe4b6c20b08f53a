//! The first files of an agent's workspace.
//!
//! Invariant: a file that exists is never touched, and a link is never followed out of the workspace.

use std::io;
use std::path::Path;

use openclaw_actors::files;

/// Files of every workspace, in the order in which an agent reads them.
const ALWAYS: &[(&str, &str)] = &[
    ("AGENTS.md", include_str!("templates/AGENTS.md")),
    ("SOUL.md", include_str!("templates/SOUL.md")),
    ("IDENTITY.md", include_str!("templates/IDENTITY.md")),
    ("USER.md", include_str!("templates/USER.md")),
    ("TOOLS.md", include_str!("templates/TOOLS.md")),
];
/// Only in a new workspace; the agent deletes it after the first conversation.
const FIRST: (&str, &str) = ("BOOTSTRAP.md", include_str!("templates/BOOTSTRAP.md"));

/// Creates the folder and what is missing in it. `greet`: a new workspace also gets the file for the first conversation.
///
/// Returns how many files were written.
pub fn create(dir: &Path, greet: bool) -> io::Result<usize> {
    files::ensure_dir(dir)?;
    let is_new = ALWAYS.iter().all(|(name, _)| !present(&dir.join(name)));
    let first = (is_new && greet).then_some(&FIRST);
    let mut written = 0;
    for (name, text) in ALWAYS.iter().chain(first) {
        let path = dir.join(name);
        if !present(&path) {
            files::replace(&path, text.as_bytes())?;
            written += 1;
        }
    }
    Ok(written)
}

/// The names of `ALWAYS` that a workspace has.
pub fn files_present(dir: &Path) -> usize {
    ALWAYS.iter().filter(|(name, _)| present(&dir.join(name))).count()
}

/// Is something there, even a link to nowhere?
fn present(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_workspace_is_greeted_once_and_never_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("workspace");
        assert_eq!(create(&dir, true).unwrap(), ALWAYS.len() + 1);
        files::replace(&dir.join("SOUL.md"), b"mine").unwrap();
        std::fs::remove_file(dir.join("BOOTSTRAP.md")).unwrap();
        std::fs::remove_file(dir.join("USER.md")).unwrap();
        assert_eq!(create(&dir, true).unwrap(), 1);
        assert_eq!(std::fs::read(dir.join("SOUL.md")).unwrap(), b"mine");
        assert!(!dir.join("BOOTSTRAP.md").exists());
        assert_eq!(files_present(&dir), ALWAYS.len());
    }

    #[test]
    fn a_development_workspace_has_no_greeting() {
        let root = tempfile::tempdir().unwrap();
        create(root.path(), false).unwrap();
        assert!(!root.path().join("BOOTSTRAP.md").exists());
    }

    #[test]
    fn a_link_to_nowhere_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let (outside, link) = (root.path().join("outside"), root.path().join("SOUL.md"));
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        create(root.path(), false).unwrap();
        assert!(!outside.exists());
    }
}
