//! `$include`: a configuration in several files.
//!
//! A file may only be read below the directory of the main file or an extra root, judged by its real path, so that neither `..`
//! nor a symlink leads out. Objects merge, later files win, keys beside `$include` win over all files; any other value is replaced.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::issue::{Issue, IssueCode, ROOT};
use super::{env::Env, parse, paths};

/// The key.
pub const KEY: &str = "$include";
/// Longest chain of files that include each other, the main file not counted.
pub const DEPTH_MAX: usize = 10;

/// Where includes may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// Directory of the main file; the one that messages name.
    pub main: PathBuf,
    pub extra: Vec<PathBuf>,
}

impl Roots {
    /// The directory of `config` and the roots of `OPENCLAW_INCLUDE_ROOTS` (a path list, tilde allowed).
    pub fn new(config: &Path, home: &Path, env: &Env) -> Self {
        let list = env.non_empty("OPENCLAW_INCLUDE_ROOTS").unwrap_or_default();
        let extra = list.split(':').filter(|root| !root.is_empty()).map(|root| paths::expand_tilde(root, home));
        Self { main: config.parent().unwrap_or(Path::new("/")).to_owned(), extra: extra.collect() }
    }

    fn contains(&self, path: &Path) -> bool {
        [&self.main].into_iter().chain(&self.extra).any(|root| path.starts_with(lexical(root)))
    }

    fn contains_real(&self, real: &Path) -> bool {
        [&self.main]
            .into_iter()
            .chain(&self.extra)
            .any(|root| root.canonicalize().is_ok_and(|root| real.starts_with(root)))
    }
}

/// A configuration without `$include`, and the files that went into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Flattened {
    pub value: Value,
    /// Every included file, in order of first use; for the watcher.
    pub files: Vec<PathBuf>,
}

/// Texts that are about to be written: read in place of the included files of the same paths.
pub type Pending = BTreeMap<PathBuf, String>;

/// Replaces every `$include` in `value`, which was read from `file`.
pub fn flatten(value: Value, file: &Path, roots: &Roots, pending: &Pending) -> Result<Flattened, Issue> {
    let mut reader = Reader { roots, pending, chain: vec![file.to_owned()], files: Vec::new() };
    let value = reader.resolve(value)?;
    Ok(Flattened { value, files: reader.files })
}

/// The absolute path that an include means, if it may be read there. No file is touched.
pub fn target(written: &str, including: &Path, roots: &Roots) -> Result<PathBuf, Issue> {
    let path = lexical(&including.parent().unwrap_or(Path::new("/")).join(written));
    if roots.contains(&path) { Ok(path) } else { Err(escapes(written, roots)) }
}

struct Reader<'a> {
    roots: &'a Roots,
    pending: &'a Pending,
    /// The main file and the includes that are open, outermost first.
    chain: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Reader<'_> {
    fn resolve(&mut self, value: Value) -> Result<Value, Issue> {
        match value {
            Value::Array(items) => {
                let items: Result<Vec<Value>, Issue> = items.into_iter().map(|item| self.resolve(item)).collect();
                items.map(Value::Array)
            }
            Value::Object(mut object) => match object.shift_remove(KEY) {
                None => self.resolve_entries(object).map(Value::Object),
                Some(include) => {
                    let included = self.included(&include)?;
                    let siblings = self.resolve_entries(object)?;
                    with_siblings(included, siblings)
                }
            },
            other => Ok(other),
        }
    }

    fn resolve_entries(&mut self, object: Map<String, Value>) -> Result<Map<String, Value>, Issue> {
        object.into_iter().map(|(key, value)| Ok((key, self.resolve(value)?))).collect()
    }

    fn included(&mut self, include: &Value) -> Result<Value, Issue> {
        match include {
            Value::String(written) => self.read(written),
            Value::Array(list) if list.iter().all(Value::is_string) => {
                let mut merged = Value::Object(Map::new());
                for written in list.iter().filter_map(Value::as_str) {
                    deep_merge(&mut merged, self.read(written)?);
                }
                Ok(merged)
            }
            _ => Err(issue("$include must be a path or a list of paths")),
        }
    }

    fn read(&mut self, written: &str) -> Result<Value, Issue> {
        let including = self.chain.last().cloned().unwrap_or_default();
        let path = target(written, &including, self.roots)?;
        if self.chain.contains(&path) {
            return Err(issue(format!("Circular include detected: {} -> {}", including.display(), path.display())));
        }
        if self.chain.len() > DEPTH_MAX {
            return Err(issue(format!("Maximum include depth ({DEPTH_MAX}) exceeded at: {written}")));
        }
        let failed = || issue(format!("Failed to read include file: {written} (resolved: {})", path.display()));
        let real = path.canonicalize().map_err(|_| failed())?;
        if !self.roots.contains_real(&real) {
            return Err(escapes(written, self.roots));
        }
        let text = match self.pending.get(&path) {
            Some(text) => text.clone(),
            None => parse::read_regular(&real).map_err(|_| failed())?,
        };
        let value = parse::json5(&text).map_err(|error| {
            issue(format!("Failed to parse include file: {written} (resolved: {}): {error}", path.display()))
        })?;
        if !self.files.contains(&path) {
            self.files.push(path.clone());
        }
        self.chain.push(path);
        let resolved = self.resolve(value);
        self.chain.pop();
        resolved
    }
}

fn with_siblings(included: Value, siblings: Map<String, Value>) -> Result<Value, Issue> {
    if siblings.is_empty() {
        return Ok(included);
    }
    if !included.is_object() {
        return Err(issue("keys beside $include need included content that is an object"));
    }
    let mut merged = included;
    deep_merge(&mut merged, Value::Object(siblings));
    Ok(merged)
}

/// Objects merge key by key; anything else is replaced by what comes later.
fn deep_merge(into: &mut Value, later: Value) {
    match (into, later) {
        (Value::Object(into), Value::Object(later)) => {
            for (key, value) in later {
                deep_merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, later) => *into = later,
    }
}

/// The path without `.` and `..`, without asking the file system.
fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            other => out.push(other),
        }
    }
    out
}

fn escapes(written: &str, roots: &Roots) -> Issue {
    issue(format!("Include path escapes config directory: {written} (root: {})", roots.main.display()))
}

fn issue(message: impl Into<String>) -> Issue {
    Issue::at(IssueCode::Parse, ROOT, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            crate::files::ensure_dir(path.parent().unwrap()).unwrap();
            crate::files::replace(&path, text.as_bytes()).unwrap();
        }
        dir
    }

    fn run(dir: &tempfile::TempDir, main: Value) -> Result<Flattened, String> {
        let file = dir.path().join("openclaw.json");
        let roots = Roots::new(&file, Path::new("/home/u"), &Env::default());
        flatten(main, &file, &roots, &Pending::new()).map_err(|issue| issue.to_string())
    }

    #[test]
    fn includes_replace_merge_and_yield_to_their_siblings() {
        let dir = dir(&[
            ("a.json5", "{ x: 1, list: [1], deep: { a: 1 } }"),
            ("sub/b.json5", "{ x: 2, list: [2], deep: { $include: './c.json5' } }"),
            ("sub/c.json5", "{ b: 2 }"),
            ("list.json5", "[1, 2]"),
        ]);
        let single = run(&dir, json!({ "s": { KEY: "./a.json5" }, "l": { KEY: "list.json5" } })).unwrap();
        assert_eq!(single.value, json!({ "s": { "x": 1, "list": [1], "deep": { "a": 1 } }, "l": [1, 2] }));
        let merged = run(&dir, json!({ KEY: ["./a.json5", "./sub/b.json5"], "x": 3 })).unwrap();
        assert_eq!(merged.value, json!({ "x": 3, "list": [2], "deep": { "a": 1, "b": 2 } }));
        let names: Vec<_> =
            merged.files.iter().map(|f| f.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.json5", "sub/b.json5", "sub/c.json5"]);
        let error = run(&dir, json!({ KEY: "list.json5", "x": 3 })).unwrap_err();
        assert_eq!(error, "<root>: keys beside $include need included content that is an object");
    }

    #[test]
    fn errors_have_their_exact_beginnings() {
        let dir = dir(&[("loop.json5", "{ $include: './loop.json5' }"), ("bad.json5", "{ a: ")]);
        let root = dir.path().display();
        for (include, message) in [
            ("./none.json5", format!("Failed to read include file: ./none.json5 (resolved: {root}/none.json5)")),
            ("./loop.json5", format!("Circular include detected: {root}/loop.json5 -> {root}/loop.json5")),
            ("./openclaw.json", format!("Circular include detected: {root}/openclaw.json -> {root}/openclaw.json")),
            ("/etc/hosts", format!("Include path escapes config directory: /etc/hosts (root: {root})")),
            ("../x.json5", format!("Include path escapes config directory: ../x.json5 (root: {root})")),
            (
                "./bad.json5",
                format!("Failed to parse include file: ./bad.json5 (resolved: {root}/bad.json5): JSON5 parse failed"),
            ),
        ] {
            let error = run(&dir, json!({ "agents": { KEY: include } })).unwrap_err();
            assert!(error.starts_with(&format!("<root>: {message}")), "{error}");
        }
        assert!(run(&dir, json!({ KEY: 5 })).unwrap_err().contains("must be a path"));
    }

    #[test]
    fn a_symlink_does_not_lead_out_unless_its_target_is_a_root() {
        let outside = dir(&[("secret.json5", "{ a: 1 }")]);
        let dir = dir(&[]);
        std::os::unix::fs::symlink(outside.path().join("secret.json5"), dir.path().join("in.json5")).unwrap();
        let file = dir.path().join("openclaw.json");
        let with = |env: Env| {
            flatten(
                json!({ KEY: "./in.json5" }),
                &file,
                &Roots::new(&file, Path::new("/home/u"), &env),
                &Pending::new(),
            )
        };
        assert!(
            with(Env::default()).unwrap_err().message.starts_with("Include path escapes config directory: ./in.json5")
        );
        let roots = format!("/nowhere:{}", outside.path().display());
        assert_eq!(with(Env::from_iter([("OPENCLAW_INCLUDE_ROOTS", roots)])).unwrap().value, json!({ "a": 1 }));
    }

    #[test]
    fn ten_levels_are_read_and_the_eleventh_is_not() {
        let chain: Vec<(String, String)> =
            (1..=11).map(|n| (format!("{n}.json5"), format!("{{ $include: './{}.json5' }}", n + 1))).collect();
        let mut files: Vec<(&str, &str)> = chain.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        files[9].1 = "{ end: true }";
        assert_eq!(run(&dir(&files), json!({ KEY: "./1.json5" })).unwrap().value, json!({ "end": true }));
        files[9].1 = "{ $include: './11.json5' }";
        files[10].1 = "{ end: true }";
        let error = run(&dir(&files), json!({ KEY: "./1.json5" })).unwrap_err();
        assert_eq!(error, "<root>: Maximum include depth (10) exceeded at: ./11.json5");
    }
}
