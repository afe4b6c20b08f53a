//! The files of an agent's workspace that go into its prompt, and the templates of a new workspace.
//!
//! Nothing is read through a link that leads out of the workspace, and no existing file is written.
//! Source: workspace files of 2026.5.12; the templates' words are ours.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::files;
use crate::protocol::session::ChatType;
use crate::session::key::{KeyKind, SessionKey};

/// Files that every session gets, in prompt order; a missing one is mentioned.
const ALWAYS: [&str; 5] = ["AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "TOOLS.md"];
/// Only while it exists: what a new agent does first. The agent deletes it afterwards.
pub const BOOTSTRAP: &str = "BOOTSTRAP.md";
/// Private memory; see [`sees_memory`].
pub const MEMORY: &str = "MEMORY.md";
/// Larger files are not read at all, bytes.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Sizes in characters. Source: `agents.defaults.bootstrapMaxChars`, `bootstrapTotalMaxChars`.
#[derive(Debug, Clone, Copy)]
pub struct WorkspaceLimits {
    pub file_chars: usize,
    pub total_chars: usize,
}

/// One file as the prompt shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceFile {
    pub name: &'static str,
    pub path: PathBuf,
    pub content: FileContent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// `chars` counts the file, not the text that is left of it.
    Text {
        text: String,
        chars: usize,
        truncated: bool,
    },
    Missing,
    /// There is something, but it is not shown; the reason is for the prompt.
    Withheld(&'static str),
}

/// May a session see the agent's private memory? Not when others read along or when nobody does.
pub fn sees_memory(key: &SessionKey) -> bool {
    !matches!(key.kind(), KeyKind::Subagent | KeyKind::Cron | KeyKind::Hook)
        && !matches!(key.chat_type(), Some(ChatType::Group | ChatType::Channel))
}

/// Reads the files for a prompt. Blocking: a handful of small local files.
///
/// A file that cannot be read for any other reason than being absent is withheld, never an error: a broken file
/// must not silence the agent.
pub fn load(dir: &Path, limits: WorkspaceLimits, with_memory: bool) -> Vec<WorkspaceFile> {
    let mut left = limits.total_chars;
    let optional = [Some(BOOTSTRAP), with_memory.then_some(MEMORY)];
    let mut loaded = Vec::new();
    for name in ALWAYS.into_iter().chain(optional.into_iter().flatten()) {
        let content = match read(dir, name) {
            Ok(text) => limited(name, text, limits.file_chars.min(left)),
            Err(content) => content,
        };
        if content == FileContent::Missing && !ALWAYS.contains(&name) {
            continue;
        }
        if let FileContent::Text { text, .. } = &content {
            left = left.saturating_sub(text.chars().count());
        }
        loaded.push(WorkspaceFile { name, path: dir.join(name), content });
    }
    loaded
}

/// Cuts a text to a budget: three quarters from its head, one from its tail, and a note in between.
fn limited(name: &str, text: String, budget: usize) -> FileContent {
    let chars = text.chars().count();
    if chars <= budget {
        return FileContent::Text { text, chars, truncated: false };
    }
    let head_chars = budget * 3 / 4;
    let tail_chars = budget - head_chars;
    let head: String = text.chars().take(head_chars).collect();
    let tail: String = text.chars().skip(chars - tail_chars).collect();
    let note =
        format!("[{name}: {} of {chars} characters are left out here; read the file for the rest]", chars - budget);
    FileContent::Text { text: format!("{head}\n\n{note}\n\n{tail}"), chars, truncated: true }
}

fn read(dir: &Path, name: &str) -> Result<String, FileContent> {
    let path = dir.join(name);
    if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(FileContent::Missing);
    }
    let unreadable = |_| FileContent::Withheld("not readable");
    let real = path.canonicalize().map_err(unreadable)?;
    if !real.starts_with(dir.canonicalize().map_err(unreadable)?) {
        return Err(FileContent::Withheld("leads out of the workspace"));
    }
    let about = fs::metadata(&real).map_err(unreadable)?;
    if !about.is_file() {
        return Err(FileContent::Withheld("not a file"));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(FileContent::Withheld("larger than 2 MiB"));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(&real).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What [`ensure_templates`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates {
    pub created: Vec<&'static str>,
    /// Had the workspace none of the files? Only then it gets `BOOTSTRAP.md`.
    pub brand_new: bool,
}

/// Creates the workspace and those of its template files that are missing.
pub fn ensure_templates(dir: &Path) -> io::Result<Templates> {
    files::ensure_dir(dir)?;
    let is_there = |name: &str| fs::symlink_metadata(dir.join(name)).is_ok();
    let brand_new = !ALWAYS.iter().chain([&BOOTSTRAP, &MEMORY]).any(|name| is_there(name));
    let mut created = Vec::new();
    for (name, text) in TEMPLATES {
        if name == BOOTSTRAP && !brand_new {
            continue;
        }
        match files::create_private(&dir.join(name)) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                created.push(name);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Templates { created, brand_new })
}

const TEMPLATES: [(&str, &str); 6] = [
    ("AGENTS.md", include_str!("templates/AGENTS.md")),
    ("SOUL.md", include_str!("templates/SOUL.md")),
    ("IDENTITY.md", include_str!("templates/IDENTITY.md")),
    ("USER.md", include_str!("templates/USER.md")),
    ("TOOLS.md", include_str!("templates/TOOLS.md")),
    (BOOTSTRAP, include_str!("templates/BOOTSTRAP.md")),
];

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config::settings::SessionScope;
    use crate::session::key::{AgentId, KeyRules};

    const LIMITS: WorkspaceLimits = WorkspaceLimits { file_chars: 100, total_chars: 1000 };

    fn put(dir: &Path, name: &str, text: &str) {
        files::replace(&dir.join(name), text.as_bytes()).unwrap();
    }

    fn content(files: &[WorkspaceFile], name: &str) -> Option<FileContent> {
        files.iter().find(|file| file.name == name).map(|file| file.content.clone())
    }

    #[test]
    fn files_come_in_prompt_order_and_missing_ones_are_mentioned() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["MEMORY.md", "SOUL.md", "BOOTSTRAP.md"] {
            put(dir.path(), name, name);
        }
        let names = |memory| -> Vec<&str> { load(dir.path(), LIMITS, memory).iter().map(|file| file.name).collect() };
        assert_eq!(
            names(true),
            ["AGENTS.md", "SOUL.md", "IDENTITY.md", "USER.md", "TOOLS.md", "BOOTSTRAP.md", "MEMORY.md"]
        );
        assert_eq!(names(false).last(), Some(&"BOOTSTRAP.md"));
        assert_eq!(content(&load(dir.path(), LIMITS, true), "AGENTS.md"), Some(FileContent::Missing));
    }

    #[test]
    fn a_long_file_keeps_its_head_and_its_tail() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "AGENTS.md", &format!("{}{}", "ä".repeat(500), "z".repeat(500)));
        let Some(FileContent::Text { text, chars, truncated }) = content(&load(dir.path(), LIMITS, true), "AGENTS.md")
        else {
            panic!("no text");
        };
        assert_eq!((chars, truncated), (1000, true));
        assert_eq!((text.matches('ä').count(), text.matches('z').count()), (75, 25));
        assert!(text.contains("[AGENTS.md: 900 of 1000 characters are left out here"));
    }

    #[test]
    fn the_files_share_one_budget() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "AGENTS.md", &"a".repeat(90));
        put(dir.path(), "SOUL.md", &"b".repeat(90));
        let files = load(dir.path(), WorkspaceLimits { file_chars: 100, total_chars: 100 }, true);
        let Some(FileContent::Text { text, truncated: true, .. }) = content(&files, "SOUL.md") else { panic!() };
        assert_eq!(text.matches('b').count(), 10);
    }

    #[test]
    fn links_and_odd_files_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        put(outside.path(), "secret", "secret");
        let dir = tempfile::tempdir().unwrap();
        symlink(outside.path().join("secret"), dir.path().join("AGENTS.md")).unwrap();
        symlink("nowhere", dir.path().join("SOUL.md")).unwrap();
        fs::create_dir(dir.path().join("USER.md")).unwrap();
        put(dir.path(), "notes", "inside");
        symlink("notes", dir.path().join("TOOLS.md")).unwrap();
        let files = load(dir.path(), LIMITS, true);
        assert_eq!(content(&files, "AGENTS.md"), Some(FileContent::Withheld("leads out of the workspace")));
        assert_eq!(content(&files, "SOUL.md"), Some(FileContent::Withheld("not readable")));
        assert_eq!(content(&files, "USER.md"), Some(FileContent::Withheld("not a file")));
        assert!(matches!(content(&files, "TOOLS.md"), Some(FileContent::Text { .. })));
    }

    #[test]
    fn templates_fill_gaps_and_never_overwrite() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("new/workspace");
        let first = ensure_templates(&new).unwrap();
        assert_eq!((first.created.len(), first.brand_new), (6, true));
        fs::remove_file(new.join(BOOTSTRAP)).unwrap();
        fs::remove_file(new.join("USER.md")).unwrap();
        put(&new, "SOUL.md", "mine");
        let second = ensure_templates(&new).unwrap();
        assert_eq!(second, Templates { created: vec!["USER.md"], brand_new: false });
        assert_eq!(fs::read_to_string(new.join("SOUL.md")).unwrap(), "mine");
    }

    #[test]
    fn private_memory_stays_out_of_groups_and_unattended_sessions() {
        let rules = KeyRules { default_agent: AgentId::main(), scope: SessionScope::PerSender };
        for (key, sees) in [
            ("main", true),
            ("notes", true),
            ("telegram:direct:1", true),
            ("telegram:group:1", false),
            ("discord:channel:1:thread:2", false),
            ("subagent:1", false),
            ("cron:1", false),
        ] {
            assert_eq!(sees_memory(&SessionKey::parse(key, &rules).unwrap()), sees, "{key}");
        }
    }
}
