//! The one way this program changes the configuration file: locked, checked, backed up, atomic, recorded.
//!
//! Nothing is written unless the whole result loads. Writers are this process's config actor and commands of the same user; they
//! meet at a lock file and compare the hash of what they read. Blocking: call it from a thread that may wait.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

use super::env::Env;
use super::handle::Snapshot;
use super::include::{Pending, Roots};
use super::issue::{ConfigError, Issue, dotted};
use super::paths::Paths;
use super::{audit, backup, diff, edit, include, load, owner, parse, patch, redact, substitute, tree};
use crate::files;

/// Longest wait for another writer.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(25);
/// Files from this size on must not lose more than half, bytes.
const SHRINK_FROM: usize = 512;

/// Who writes, and under which conditions.
#[derive(Debug, Clone)]
pub struct Writer<'a> {
    /// For the record: `cli`, `rpc <who>`, `doctor`.
    pub actor: &'a str,
    pub base: Base<'a>,
    /// The whole file is meant to be replaced: a much smaller one is fine.
    pub replace: bool,
    /// Active secrets that are known to be missing refuse the write.
    pub secrets_required: bool,
    /// Our version, for `meta.lastTouchedVersion`; `None` leaves `meta` alone.
    pub version: Option<&'a str>,
    pub now: Timestamp,
}

/// Which content the writer has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base<'a> {
    /// The writer reads under the lock itself.
    Any,
    /// Hash from an earlier read; required when a file exists.
    Hash(Option<&'a str>),
}

/// A write that happened, or was not necessary.
#[derive(Debug)]
pub struct Written {
    /// The configuration as it is now; not yet published.
    pub snapshot: Snapshot,
    /// The file that changed: the main one or an included one. `None`: nothing had to change.
    pub file: Option<PathBuf>,
    pub backup: Option<PathBuf>,
    pub previous_hash: Option<String>,
    /// Changed places, as messages show them.
    pub changed: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("config base hash required; re-run config.get and retry")]
    BaseHashRequired,
    #[error("config changed since last load; re-run config.get and retry")]
    BaseHashMismatch,
    #[error("config is being written by somebody else ({} is locked)", .0.display())]
    Locked(PathBuf),
    #[error("config file {} is a symlink; edit {} instead", path.display(), real.display())]
    Symlink { path: PathBuf, real: PathBuf },
    #[error(transparent)]
    Owner(#[from] owner::OwnerError),
    #[error(transparent)]
    Edit(#[from] edit::EditError),
    #[error("invalid config: {0}")]
    Invalid(#[from] ConfigError),
    /// The request itself does not fit the configuration, such as a placeholder with nothing behind it.
    #[error("{0}")]
    Refused(Box<Issue>),
    #[error("config write refused: a secret is unavailable: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Secrets(Vec<Issue>),
    #[error("Config write rejected: {} ({}). Rejected payload saved to {}.", path.display(), reasons.join(", "), saved.display())]
    Rejected { path: PathBuf, reasons: Vec<String>, saved: PathBuf },
    #[error("config write failed: {path}: {error}", path = path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// Replaces the whole main file by `text`; redaction placeholders in it become the stored values again.
pub fn replace(paths: &Paths, env: &Env, writer: &Writer<'_>, text: &str) -> Result<Written, WriteError> {
    let session = Session::open(paths, env, writer)?;
    let submitted = parse::config(text).map_err(ConfigError::from)?;
    let stored = match &session.text {
        // a broken file has nothing that could be restored
        Some(old) => parse::config(old).unwrap_or_else(|_| json!({})),
        None => json!({}),
    };
    let restored = session.with_stored_texts(submitted.clone(), &stored)?;
    let text = if restored == submitted { text.to_owned() } else { edit::rewrite(text, &restored)? };
    session.commit(&paths.config_path, text)
}

/// Changes the configuration: `make` gets it as authored, with includes flattened, and returns what it shall be.
///
/// Redaction placeholders become the stored values again. Only the changed spans of one file are written.
pub fn change(
    paths: &Paths,
    env: &Env,
    writer: &Writer<'_>,
    make: impl FnOnce(&Value) -> Value,
) -> Result<Written, WriteError> {
    let session = Session::open(paths, env, writer)?;
    let before = session.flattened()?; // not validated: a wrong file may be repaired key by key
    let after = patch::without_prototype_keys(&make(&before));
    let after = session.with_stored_texts(after, &before)?;
    let changes = diff::changed(&before, &after);
    let main = parse::config(session.text.as_deref().unwrap_or("{}")).map_err(ConfigError::from)?;
    let roots = Roots::new(&paths.config_path, &paths.home, env);
    let mut owners = Vec::new();
    for keys in &changes {
        owners.push((owner::find(&paths.config_path, &main, keys, &roots)?, tree::get(&after, keys)));
    }
    let file = owners.first().map_or(&paths.config_path, |(owner, _)| &owner.file).clone();
    if owners.iter().any(|(owner, _)| owner.file != file) {
        return Err(owner::OwnerError::SeveralFiles.into());
    }
    let text = if file == paths.config_path { session.text.clone().unwrap_or_default() } else { read(&file)? };
    let mut target =
        if text.trim().is_empty() { json!({}) } else { parse::json5(&text).map_err(edit::EditError::from)? };
    for (owner, value) in owners {
        match value {
            Some(value) => drop(tree::set(&mut target, &owner.keys, value.clone())), // `rewrite` proves the result
            None => drop(tree::remove(&mut target, &owner.keys)),
        }
    }
    let text = edit::rewrite(&text, &target)?;
    session.commit(&file, text)
}

/// Has the writer seen this text? Every write asks it under the lock; who asks before learns only which error comes first.
pub fn check_base(base: Base<'_>, text: Option<&str>) -> Result<(), WriteError> {
    match base {
        Base::Hash(None) if text.is_some() => Err(WriteError::BaseHashRequired),
        Base::Hash(Some(base)) if text.map(load::hash).as_deref() != Some(base) => Err(WriteError::BaseHashMismatch),
        _ => Ok(()),
    }
}

/// One writer holding the lock, and what it read under it.
struct Session<'a> {
    paths: &'a Paths,
    env: &'a Env,
    writer: &'a Writer<'a>,
    /// The main file; `None` when there is none.
    text: Option<String>,
    _lock: Flock<File>,
}

impl<'a> Session<'a> {
    fn open(paths: &'a Paths, env: &'a Env, writer: &'a Writer<'a>) -> Result<Self, WriteError> {
        let path = &paths.config_path;
        if let Some(dir) = path.parent() {
            files::ensure_dir(dir).map_err(|error| io_error(dir, error))?;
        }
        let lock = lock(&backup::beside(path, ".lock"))?;
        refuse_symlink(path)?;
        let text = if path.exists() { Some(read(path)?) } else { None };
        check_base(writer.base, text.as_deref())?;
        Ok(Self { paths, env, writer, text, _lock: lock })
    }

    /// The configuration as authored, whatever it contains.
    fn flattened(&self) -> Result<Value, WriteError> {
        let main = parse::config(self.text.as_deref().unwrap_or("{}")).map_err(ConfigError::from)?;
        let roots = Roots::new(&self.paths.config_path, &self.paths.home, self.env);
        let flat = include::flatten(main, &self.paths.config_path, &roots, &Pending::new());
        Ok(flat.map_err(ConfigError::from)?.value)
    }

    /// Placeholders become the stored secrets again, resolved variables their stored `${NAME}`.
    fn with_stored_texts(&self, submitted: Value, stored: &Value) -> Result<Value, WriteError> {
        let mut restored = redact::restore(submitted, stored).map_err(|issue| WriteError::Refused(issue.into()))?;
        let env = load::with_own_variables(stored, self.env);
        substitute::keep_variables(&mut restored, stored, &env);
        Ok(restored)
    }

    fn commit(self, file: &Path, text: String) -> Result<Written, WriteError> {
        let is_main = file == self.paths.config_path;
        let previous = if is_main { self.text.clone() } else { Some(read(file)?) };
        if previous.as_ref() == Some(&text) {
            let snapshot = self.candidate(file, text)?;
            return Ok(Written {
                previous_hash: snapshot.hash.clone(),
                snapshot,
                file: None,
                backup: None,
                changed: Vec::new(),
            });
        }
        refuse_symlink(file)?;
        let text = if is_main { self.stamped(text)? } else { text };
        let snapshot = self.candidate(file, text.clone())?;
        let failures = snapshot.secrets.failures();
        if self.writer.secrets_required && !failures.is_empty() {
            return Err(WriteError::Secrets(failures.to_vec()));
        }
        let before = self.flattened().unwrap_or_else(|_| json!({}));
        let changed: Vec<String> = diff::changed(&before, &snapshot.source).iter().map(|keys| dotted(keys)).collect();
        let reasons = refusals(&before, &snapshot.source, previous.as_deref(), &text, self.writer.replace);
        let previous_hash = self.text.as_deref().map(load::hash);
        if !reasons.is_empty() {
            let saved = backup::keep_rejected(file, &text, self.writer.now).map_err(|error| io_error(file, error))?;
            self.record("rejected", previous_hash.as_deref(), snapshot.hash.as_deref(), &changed, &reasons);
            return Err(WriteError::Rejected { path: file.to_owned(), reasons, saved });
        }
        let backup = match previous {
            Some(previous) => Some(backup::push(file, &previous).map_err(|error| io_error(file, error))?),
            None => None,
        };
        files::replace(file, text.as_bytes()).map_err(|error| io_error(file, error))?;
        self.record("written", previous_hash.as_deref(), snapshot.hash.as_deref(), &changed, &[]);
        Ok(Written { snapshot, file: Some(file.to_owned()), backup, previous_hash, changed })
    }

    /// The configuration as it would be with `text` in `file`.
    fn candidate(&self, file: &Path, text: String) -> Result<Snapshot, WriteError> {
        let mut pending = Pending::new();
        let main = if file == self.paths.config_path {
            Some(text)
        } else {
            pending.insert(file.to_owned(), text);
            self.text.clone()
        };
        Ok(load::from_text(main, &pending, self.paths, self.env)?)
    }

    fn stamped(&self, text: String) -> Result<String, WriteError> {
        let Some(version) = self.writer.version else { return Ok(text) };
        let mut value =
            if text.trim().is_empty() { json!({}) } else { parse::json5(&text).map_err(edit::EditError::from)? };
        tree::set(&mut value, &["meta", "lastTouchedVersion"], json!(version));
        tree::set(&mut value, &["meta", "lastTouchedAt"], json!(self.writer.now.to_string()));
        Ok(edit::rewrite(&text, &value)?)
    }

    fn record(&self, result: &str, previous: Option<&str>, next: Option<&str>, changed: &[String], reasons: &[String]) {
        let entry = audit::Entry {
            ts: self.writer.now,
            actor: self.writer.actor,
            config_path: &self.paths.config_path,
            previous_hash: previous,
            next_hash: next,
            changed_paths: changed,
            result,
            reasons,
        };
        if let Err(error) = audit::append(&self.paths.state_dir, &entry) {
            tracing::warn!(%error, "config audit line not written");
        }
    }
}

/// Why a result that loads must not be written all the same.
fn refusals(before: &Value, after: &Value, previous: Option<&str>, text: &str, replace: bool) -> Vec<String> {
    let mode = |value: &Value| tree::get(value, &["gateway", "mode"]).is_some();
    let mut reasons = Vec::new();
    if mode(before) && !mode(after) {
        reasons.push("gateway-mode-removed".to_owned());
    }
    if let Some(previous) = previous
        && !replace
        && previous.len() >= SHRINK_FROM
        && text.len() < previous.len() / 2
    {
        reasons.push(format!("size-drop:{}->{}", previous.len(), text.len()));
    }
    reasons
}

fn lock(path: &Path) -> Result<Flock<File>, WriteError> {
    let mut file = files::open_private(path).map_err(|error| io_error(path, error))?;
    let mut waited = Duration::ZERO;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err(_) if waited >= LOCK_WAIT => return Err(WriteError::Locked(path.to_owned())),
            Err((same, _)) => file = same,
        }
        std::thread::sleep(LOCK_POLL);
        waited += LOCK_POLL;
    }
}

fn refuse_symlink(path: &Path) -> Result<(), WriteError> {
    if !fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink()) {
        return Ok(());
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Err(WriteError::Symlink { path: path.to_owned(), real })
}

fn read(path: &Path) -> Result<String, WriteError> {
    parse::read_regular(path).map_err(|problem| io_error(path, io::Error::other(problem)))
}

fn io_error(path: &Path, error: io::Error) -> WriteError {
    WriteError::Io { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::super::paths::{self, PathInputs};
    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        paths: Paths,
        env: Env,
    }

    impl Place {
        fn new(text: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let at = dir.path().to_str().unwrap();
            let env = Env::from_iter([("HOME", at), ("OPENCLAW_STATE_DIR", at)]);
            let inputs = PathInputs { cwd: dir.path().to_owned(), ..PathInputs::default() };
            let paths = paths::resolve(&inputs, &env).unwrap();
            let place = Self { dir, paths, env };
            if !text.is_empty() {
                place.put("openclaw.json", text);
            }
            place
        }

        fn put(&self, name: &str, text: &str) {
            files::replace(&self.dir.path().join(name), text.as_bytes()).unwrap();
        }

        fn get(&self, name: &str) -> String {
            fs::read_to_string(self.dir.path().join(name)).unwrap()
        }

        fn set(&self, path: &str, value: Value) -> Result<Written, WriteError> {
            let keys: Vec<&str> = path.split('.').collect();
            change(&self.paths, &self.env, &writer(), |config| {
                let mut config = config.clone();
                tree::set(&mut config, &keys, value);
                config
            })
        }
    }

    fn writer() -> Writer<'static> {
        Writer {
            actor: "cli",
            base: Base::Any,
            replace: false,
            secrets_required: false,
            version: None,
            now: "2026-07-30T10:00:00Z".parse().unwrap(),
        }
    }

    const TEXT: &str = "// mine\n{\n  gateway: { mode: 'local', port: 1 }, // port\n}\n";

    #[test]
    fn a_change_is_small_backed_up_and_recorded() {
        let place = Place::new(TEXT);
        let written = place.set("gateway.port", json!(2)).unwrap();
        assert_eq!(place.get("openclaw.json"), TEXT.replace("port: 1", "port: 2"));
        assert_eq!(place.get("openclaw.json.bak"), TEXT);
        assert_eq!(
            (written.changed, written.snapshot.settings.gateway.port),
            (vec!["gateway.port".to_owned()], Some(2))
        );
        let line: Value = serde_json::from_str(&place.get("logs/config-audit.jsonl")).unwrap();
        assert_eq!(line["result"], "written");
        assert_eq!(line["changedPaths"], json!(["gateway.port"]));
        assert_eq!(line["previousHash"], load::hash(TEXT));
        assert!(place.set("gateway.port", json!(2)).unwrap().file.is_none());
        assert!(!place.dir.path().join("openclaw.json.bak.1").exists());
    }

    #[test]
    fn the_first_write_makes_the_file_and_stamps_it() {
        let place = Place::new("");
        let stamping = Writer { version: Some("1.2.3"), ..writer() };
        let written =
            change(&place.paths, &place.env, &stamping, |_| json!({ "gateway": { "mode": "local" } })).unwrap();
        assert!(written.backup.is_none());
        assert_eq!(written.snapshot.source["meta"]["lastTouchedVersion"], "1.2.3");
        assert!(place.get("openclaw.json").contains("lastTouchedAt: \"2026-07-30T10:00:00Z\""));
    }

    #[test]
    fn what_does_not_load_is_not_written() {
        let place = Place::new(TEXT);
        let error = place.set("gateway.port", json!("x")).unwrap_err().to_string();
        assert_eq!(error, "invalid config: gateway.port: Invalid input: expected number, received string");
        assert!(matches!(replace(&place.paths, &place.env, &writer(), "{ a: "), Err(WriteError::Invalid(_))));
        assert_eq!(place.get("openclaw.json"), TEXT);
        assert!(!place.dir.path().join("openclaw.json.bak").exists());
    }

    #[test]
    fn the_hash_of_what_was_read_must_still_be_right() {
        let place = Place::new(TEXT);
        let with = |base| {
            let writer = Writer { base, ..writer() };
            replace(&place.paths, &place.env, &writer, &TEXT.replace("port: 1", "port: 3")).map(|_| ())
        };
        assert!(matches!(with(Base::Hash(None)), Err(WriteError::BaseHashRequired)));
        assert!(matches!(with(Base::Hash(Some("00"))), Err(WriteError::BaseHashMismatch)));
        let hash = load::hash(TEXT);
        with(Base::Hash(Some(&hash))).unwrap();
        assert!(matches!(with(Base::Hash(Some(&hash))), Err(WriteError::BaseHashMismatch)));
    }

    #[test]
    fn of_writers_with_one_hash_exactly_one_wins() {
        let place = Place::new(TEXT);
        let hash = load::hash(TEXT);
        let won = std::thread::scope(|scope| {
            let threads: Vec<_> = (10..18)
                .map(|port| {
                    let (place, hash) = (&place, &hash);
                    scope.spawn(move || {
                        let writer = Writer { base: Base::Hash(Some(hash)), ..writer() };
                        let text = TEXT.replace("port: 1", &format!("port: {port}"));
                        replace(&place.paths, &place.env, &writer, &text).is_ok()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
    }

    #[test]
    fn a_write_that_loses_the_mode_or_half_the_file_is_kept_aside() {
        let long = TEXT.replace("// mine", &format!("// {}", "long ".repeat(120)));
        let place = Place::new(&long);
        let error = replace(&place.paths, &place.env, &writer(), "{ gateway: { port: 1 } }").unwrap_err().to_string();
        let path = place.paths.config_path.display();
        let saved = format!("{path}.rejected.20260730T100000000Z");
        let reasons = format!("gateway-mode-removed, size-drop:{}->24", long.len());
        assert_eq!(error, format!("Config write rejected: {path} ({reasons}). Rejected payload saved to {saved}."));
        assert_eq!(
            (fs::read_to_string(saved).unwrap(), place.get("openclaw.json")),
            ("{ gateway: { port: 1 } }".into(), long)
        );
        let whole = Writer { replace: true, ..writer() };
        replace(&place.paths, &place.env, &whole, "{ gateway: { mode: 'local' } }").unwrap();
    }

    #[test]
    fn a_placeholder_becomes_the_stored_secret_again() {
        let place = Place::new("{ gateway: { auth: { token: 'canary-1' } } } // t\n");
        let shown = redact::redact_raw(&place.get("openclaw.json")).unwrap();
        replace(&place.paths, &place.env, &writer(), &shown.replace("} //", ", ui: {} } //")).unwrap();
        assert_eq!(place.get("openclaw.json"), "{ gateway: { auth: { token: \"canary-1\" } } , ui: {} } // t\n");
        assert!(!place.get("logs/config-audit.jsonl").contains("canary"));
        let error = place.set("hooks.token", json!(redact::SENTINEL)).unwrap_err().to_string();
        assert_eq!(error, "hooks.token: redacted placeholder is not a value");
    }

    #[test]
    fn a_resolved_variable_stays_a_variable_in_the_file() {
        let place = Place::new("{ env: { PORT_NAME: 'x' }, logging: { file: '/tmp/${PORT_NAME}' } }");
        let resolved = json!({ "env": { "PORT_NAME": "x" }, "logging": { "file": "/tmp/x", "level": "warn" } });
        change(&place.paths, &place.env, &writer(), |_| resolved).unwrap();
        let after = "{ env: { PORT_NAME: 'x' }, logging: { file: '/tmp/${PORT_NAME}', level: \"warn\" } }";
        assert_eq!(place.get("openclaw.json"), after);
    }

    #[test]
    fn an_included_section_is_written_in_its_file() {
        let place = Place::new("{ agents: { $include: './a.json5' } }");
        place.put("a.json5", "{ defaults: { maxConcurrent: 1 } } // a\n");
        place.set("agents.defaults.maxConcurrent", json!(2)).unwrap();
        assert_eq!(place.get("a.json5"), "{ defaults: { maxConcurrent: 2 } } // a\n");
        assert_eq!(place.get("openclaw.json"), "{ agents: { $include: './a.json5' } }");
        assert_eq!(place.get("a.json5.bak"), "{ defaults: { maxConcurrent: 1 } } // a\n");
        let refused = place.set("agents.defaults.maxConcurrent", json!("x")).unwrap_err().to_string();
        assert!(refused.starts_with("invalid config: agents.defaults.maxConcurrent: Invalid input"), "{refused}");
    }

    #[test]
    fn a_symlink_is_not_written_through() {
        let place = Place::new("");
        place.put("real.json", TEXT);
        std::os::unix::fs::symlink(place.dir.path().join("real.json"), &place.paths.config_path).unwrap();
        assert!(matches!(place.set("gateway.port", json!(2)), Err(WriteError::Symlink { .. })));
        assert_eq!(place.get("real.json"), TEXT);
    }

    #[test]
    fn an_invalid_file_can_be_repaired_key_by_key() {
        let place = Place::new("{ gateway: { port: 'x', mode: 'local' } }");
        place.set("gateway.port", json!(5)).unwrap();
        assert_eq!(place.get("openclaw.json"), "{ gateway: { port: 5, mode: 'local' } }");
    }
}
