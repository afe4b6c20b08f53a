//! From the file to a snapshot, in the one order that start, reload, writes and `config validate` share.
//!
//! Read · JSON5 · `$include` · `${NAME}` · key tree · canonical spelling · rules between keys · settings · secrets.
//! The key tree is checked in the authored spelling, so that every message names a key of the file.
//! Anything that fails leaves no snapshot; a snapshot with `start_blocks` is for reading commands only.

use std::path::Path;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::aliases::{self, Normalised};
use super::env::Env;
use super::handle::Snapshot;
use super::include::{self, Flattened, Pending, Roots};
use super::issue::{ConfigError, Issue, IssueCode, KeyPath, Phase, ROOT};
use super::paths::{ConfigOrigin, Paths};
use super::secrets;
use super::settings::{SecretInput, Settings};
use super::start_rules::{self, SharedSecrets};
use super::{effect, parse, position, rules, substitute, tree, validate};

/// Reads and checks the configuration. A file that is missing means the defaults.
///
/// `env` is the environment with the `.env` files (`dotenv::layered`). `exec` secrets stay pending: see [`activate`].
pub fn load(paths: &Paths, env: &Env) -> Result<Snapshot, ConfigError> {
    let text = match std::fs::metadata(&paths.config_path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        _ => Some(parse::read_regular(&paths.config_path).map_err(|problem| unreadable(&paths.config_path, &problem))?),
    };
    from_text(text, &Pending::new(), paths, env)
}

fn unreadable(path: &Path, problem: &str) -> Issue {
    Issue::at(IssueCode::Parse, ROOT, format!("Failed to read config file: {} ({problem})", path.display()))
}

/// The same for texts that are not, or not yet, in their files: the main one and, in `pending`, included ones.
pub fn from_text(text: Option<String>, pending: &Pending, paths: &Paths, env: &Env) -> Result<Snapshot, ConfigError> {
    let file = match &text {
        Some(text) => parse::config(text)?,
        None => Value::Object(Map::new()),
    };
    let roots = Roots::new(&paths.config_path, &paths.home, env);
    let flattened = include::flatten(file, &paths.config_path, &roots, pending)?;
    from_source(flattened, text, paths, env)
}

/// A new configuration in which some changes are held back: at these paths it is still as `current` is.
///
/// An error means that it makes no sense without them.
pub fn holding_back(
    next: &Snapshot,
    current: &Snapshot,
    held: &[KeyPath],
    paths: &Paths,
    env: &Env,
) -> Result<Snapshot, ConfigError> {
    let mut value = next.source.clone();
    for keys in held {
        match tree::get(&current.source, keys) {
            Some(old) => drop(tree::set(&mut value, keys, old.clone())),
            None => drop(tree::remove(&mut value, keys)),
        }
    }
    from_source(Flattened { value, files: next.includes.clone() }, next.text.clone(), paths, env)
}

fn from_source(flattened: Flattened, text: Option<String>, paths: &Paths, env: &Env) -> Result<Snapshot, ConfigError> {
    let Flattened { value: source, files } = flattened;
    let checked = check(&source, env).map_err(|mut issues| {
        locate(&mut issues, text.as_deref());
        ConfigError::new(Phase::Schema, issues)
    })?;
    let Checked { normalised, settings, env, missing } = checked;
    let (secrets, inactive) = secrets::resolve_local(&normalised.value, &settings, &env, &paths.home);
    let mut snapshot = Snapshot {
        generation: 0,
        path: paths.config_path.clone(),
        exists: text.is_some(),
        hash: text.as_deref().map(hash),
        text,
        source,
        secrets,
        env,
        includes: files,
        start_blocks: missing,
        warnings: normalised.warnings.clone(),
        notes: normalised.notes.clone(),
        settings,
        value: Value::Null,
    };
    let broken = start_rules::broken(&snapshot.settings, &normalised.value, shared_secrets(&snapshot));
    snapshot.start_blocks.extend(broken.into_iter().map(|issue| authored(&normalised, issue)));
    let idle = inactive.into_iter().chain(effect::not_in_effect(&normalised.value));
    snapshot.notes.extend(idle.map(|issue| authored(&normalised, issue)));
    snapshot.warnings.extend(place(paths));
    let text = snapshot.text.as_deref();
    for issues in [&mut snapshot.start_blocks, &mut snapshot.warnings, &mut snapshot.notes] {
        locate(issues, text);
    }
    snapshot.value = normalised.value;
    Ok(snapshot)
}

/// Resolves what is still pending and refuses a configuration that a service must not run with.
pub async fn activate(mut snapshot: Snapshot) -> Result<Snapshot, ConfigError> {
    let mut resolved = std::mem::take(&mut snapshot.secrets);
    resolved.resolve_exec(&snapshot.value, &snapshot.env).await;
    snapshot.secrets = resolved;
    let mut issues = snapshot.start_blocks.clone();
    let broken = start_rules::broken(&snapshot.settings, &snapshot.value, shared_secrets(&snapshot));
    issues.extend(broken.into_iter().filter(|new| snapshot.start_blocks.iter().all(|old| old.message != new.message)));
    issues.extend_from_slice(snapshot.secrets.failures());
    locate(&mut issues, snapshot.text.as_deref());
    if issues.is_empty() { Ok(snapshot) } else { Err(ConfigError::new(Phase::Start, issues)) }
}

/// The shared secrets that the server accepts: configuration first, then environment.
pub fn shared_secrets(snapshot: &Snapshot) -> SharedSecrets<'_> {
    let auth = &snapshot.settings.gateway.auth;
    SharedSecrets {
        token: shared(snapshot, auth.token.as_ref(), "OPENCLAW_GATEWAY_TOKEN"),
        password: shared(snapshot, auth.password.as_ref(), "OPENCLAW_GATEWAY_PASSWORD"),
    }
}

fn shared<'a>(snapshot: &'a Snapshot, input: Option<&'a SecretInput>, variable: &str) -> Option<&'a str> {
    match input {
        Some(input) => snapshot.secrets.resolve(input).map(str::trim).filter(|secret| !secret.is_empty()),
        None => snapshot.env.non_empty(variable),
    }
}

/// Hex SHA-256 of a file's text.
pub fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// A configuration that passed every check that needs no file and no secret.
#[derive(Debug)]
pub struct Checked {
    pub normalised: Normalised,
    pub settings: Settings,
    /// The given environment with the configuration's `env` below it.
    pub env: Env,
    /// Variables without a value; a start refuses them.
    pub missing: Vec<Issue>,
}

/// Checks a flattened configuration. The issues are those of the schema phase, at their authored places.
pub fn check(source: &Value, env: &Env) -> Result<Checked, Vec<Issue>> {
    let env = with_own_variables(source, env);
    let mut value = source.clone();
    let missing = substitute::substitute(&mut value, &env);
    let issues = validate::validate(&value);
    if !issues.is_empty() {
        return Err(issues);
    }
    let mut normalised = aliases::normalise(value);
    let mut issues = std::mem::take(&mut normalised.errors);
    issues.extend(rules::broken(&normalised.value).into_iter().map(|issue| authored(&normalised, issue)));
    if !issues.is_empty() {
        return Err(issues);
    }
    match serde_json::from_value::<Settings>(normalised.value.clone()) {
        Ok(settings) => Ok(Checked { normalised, settings, env, missing }),
        // the key tree allows less than the settings, so this is a gap in the tree; serde's text may quote a value
        Err(_) => Err(vec![Issue::at(IssueCode::Invalid, ROOT, "a value does not fit its key")]),
    }
}

/// `env.<NAME>` and `env.vars.<NAME>`, below everything that is set already.
pub fn with_own_variables(source: &Value, env: &Env) -> Env {
    let mut all = env.clone();
    for block in [tree::get(source, &["env"]), tree::get(source, &["env", "vars"])] {
        for (name, value) in block.and_then(Value::as_object).into_iter().flatten() {
            if let Some(text) = value.as_str() {
                all.add(name, substitute::expand(text, env).0);
            }
        }
    }
    all
}

/// The issue at the place where the file has it.
fn authored(normalised: &Normalised, issue: Issue) -> Issue {
    let keys = normalised.authored(&issue.keys);
    Issue { path: super::issue::dotted(&keys), keys, ..issue }
}

fn locate(issues: &mut [Issue], text: Option<&str>) {
    for issue in issues.iter_mut().filter(|issue| issue.position.is_none()) {
        issue.position = text.and_then(|text| position::locate(text, &issue.keys));
    }
}

fn place(paths: &Paths) -> Option<Issue> {
    let message = match paths.config_origin {
        ConfigOrigin::OtherName => "read from config.json; the usual name is openclaw.json",
        ConfigOrigin::StandardBesideOther => "openclaw.json is read; config.json beside it is ignored",
        ConfigOrigin::Explicit | ConfigOrigin::Standard => return None,
    };
    Some(Issue::at(IssueCode::Warning, ROOT, message))
}
