//! Which file a change belongs to when a configuration is split by `$include`.
//!
//! A section that is exactly one single include is written in the included file. Anything that several places make up together
//! cannot be changed without flattening it, so it is refused and the file to edit is named.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::include::{self, Roots};
use super::issue::KeyPath;
use super::parse;

/// Where a change goes: a file, and the keys inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub file: PathBuf,
    pub keys: KeyPath,
}

/// Why a change has no single place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    #[error("config is split by $include; edit {}", .0.display())]
    Split(PathBuf),
    #[error("config is split by $include; the change touches several files")]
    SeveralFiles,
    #[error("{0}")]
    Unreadable(String),
}

/// The place of `keys` in `value`, which was read from `file` and still has its includes.
pub fn find(file: &Path, value: &Value, keys: &[String], roots: &Roots) -> Result<Owner, OwnerError> {
    let mut node = value;
    for depth in 0..=keys.len() {
        if let Some(include) = node.get(include::KEY) {
            let single = node.as_object().is_some_and(|object| object.len() == 1);
            return match include {
                Value::String(written) if single && depth > 0 => in_included(written, file, &keys[depth..], roots),
                Value::String(written) => Err(OwnerError::Split(target(written, file, roots)?)),
                _ => Err(OwnerError::Split(file.to_owned())),
            };
        }
        let child = keys.get(depth).and_then(|key| node.get(key).or_else(|| node.get(key.parse::<usize>().ok()?)));
        match child {
            Some(child) => node = child,
            None => break,
        }
    }
    Ok(Owner { file: file.to_owned(), keys: keys.to_vec() })
}

fn target(written: &str, including: &Path, roots: &Roots) -> Result<PathBuf, OwnerError> {
    include::target(written, including, roots).map_err(|issue| OwnerError::Unreadable(issue.message))
}

fn in_included(written: &str, including: &Path, keys: &[String], roots: &Roots) -> Result<Owner, OwnerError> {
    let file = target(written, including, roots)?;
    let text = parse::read_regular(&file).map_err(OwnerError::Unreadable)?;
    let value = parse::json5(&text).map_err(|error| OwnerError::Unreadable(error.to_string()))?;
    find(&file, &value, keys, roots) // ends: the configuration was loaded, so there is no circle
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::env::Env;
    use super::*;

    #[test]
    fn a_change_goes_to_the_one_file_that_has_the_section() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("openclaw.json");
        let path = |name: &str| dir.path().join(name);
        crate::files::replace(&path("agents.json5"), b"{ list: [{ id: 'a' }], defaults: { $include: './d.json5' } }")
            .unwrap();
        crate::files::replace(&path("d.json5"), b"{}").unwrap();
        let roots = Roots::new(&main, Path::new("/home/u"), &Env::default());
        let value = json!({
            "agents": { "$include": "./agents.json5" },
            "tools": { "$include": "./d.json5", "deny": [] },
            "models": { "$include": ["./d.json5"] },
            "gateway": { "port": 1 },
        });
        let check = |keys: &str, expected: Result<(&str, &str), &str>| {
            let keys: Vec<String> = keys.split('.').map(str::to_owned).collect();
            let got = find(&main, &value, &keys, &roots).map(|o| (o.file, o.keys.join("."))).map_err(|e| e.to_string());
            let named = |name: &str| format!("config is split by $include; edit {}", path(name).display());
            assert_eq!(got, expected.map(|(f, k)| (path(f), k.to_owned())).map_err(named), "{keys:?}");
        };
        check("gateway.port", Ok(("openclaw.json", "gateway.port")));
        check("gateway.new.key", Ok(("openclaw.json", "gateway.new.key")));
        check("agents.list.0.id", Ok(("agents.json5", "list.0.id")));
        check("agents.defaults.workspace", Ok(("d.json5", "workspace")));
        check("tools.deny", Err("d.json5"));
        check("models.mode", Err("openclaw.json"));
        let root = json!({ "$include": "./d.json5" });
        assert!(find(&main, &root, &["gateway".to_owned()], &roots).is_err());
    }
}
