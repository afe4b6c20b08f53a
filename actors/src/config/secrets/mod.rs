//! Secrets: which references count, what they resolve to, and nothing of it in any debug form.
//!
//! All active references of a snapshot are resolved once, before it is published; request paths read memory only.
//! `env` and `file` references are resolved while a configuration is loaded, `exec` references when it is activated.

mod exec;
mod file;
mod surface;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::env::Env;
use super::issue::{Issue, IssueCode, KeyPath};
use super::secret_ref;
use super::settings::{SecretInput, SecretSource, Settings};

pub use surface::INACTIVE;

/// A reference with its provider named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRef {
    pub source: Source,
    pub provider: String,
    pub id: String,
}

/// Where a secret comes from, ordered so that it can be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Env,
    File,
    Exec,
}

impl From<SecretSource> for Source {
    fn from(source: SecretSource) -> Self {
        match source {
            SecretSource::Env => Self::Env,
            SecretSource::File => Self::File,
            SecretSource::Exec => Self::Exec,
        }
    }
}

impl Source {
    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Exec => "exec",
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.word(), self.provider, self.id)
    }
}

/// Why a reference has no value. The texts name references and places, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("Environment variable \"{0}\" is missing or empty.")]
    EnvMissing(String),
    #[error("Environment variable \"{name}\" is not in the allowlist of secret provider \"{provider}\".")]
    NotAllowed { provider: String, name: String },
    #[error("secret provider \"{provider}\": {problem}")]
    Provider { provider: String, problem: String },
    #[error("secret {reference}: {problem}")]
    Value { reference: SecretRef, problem: String },
}

/// The resolved secrets of one snapshot.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<SecretRef, String>,
    /// `secrets.defaults`: provider of a reference that names none.
    defaults: BTreeMap<Source, String>,
    /// Active references that have no value, at their places.
    failures: Vec<Issue>,
    /// Active `exec` references that [`Secrets::resolve_exec`] has yet to ask for.
    pending: Vec<(KeyPath, SecretRef)>,
}

impl Secrets {
    /// The value of a setting: its plain text, or what its reference resolved to.
    pub fn resolve<'a>(&'a self, input: &'a SecretInput) -> Option<&'a str> {
        match input {
            SecretInput::Plain(text) => Some(text),
            SecretInput::Ref { source, provider, id } => {
                let source = Source::from(*source);
                let provider = provider.clone().or_else(|| self.defaults.get(&source).cloned());
                let provider = provider.unwrap_or_else(|| secret_ref::ENV_PROVIDER.to_owned());
                self.values.get(&SecretRef { source, provider, id: id.clone() }).map(String::as_str)
            }
        }
    }

    /// Active references without a value; empty once everything is resolved.
    pub fn failures(&self) -> &[Issue] {
        &self.failures
    }

    /// Are there references that only [`Secrets::resolve_exec`] can resolve?
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Every resolved value, for exact-value redaction of logs.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.values().map(String::as_str)
    }

    /// Asks the `exec` providers for everything that is pending. Failures are collected, never returned early.
    pub async fn resolve_exec(&mut self, config: &Value, env: &Env) {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return;
        }
        let references = pending.iter().map(|(_, reference)| reference.clone()).collect();
        let answers = exec::resolve(references, &providers(config), &limits(config), env).await;
        for (keys, reference) in pending {
            if let Some(answer) = answers.get(&reference) {
                self.record(&keys, reference, answer.clone()); // one answer may serve several places
            }
        }
    }

    fn record(&mut self, keys: &[String], reference: SecretRef, answer: Result<String, SecretError>) {
        match answer {
            Ok(value) => drop(self.values.insert(reference, value)),
            Err(error) => self.failures.push(Issue::new(IssueCode::Unresolved, keys, error.to_string())),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("resolved", &self.values.keys().map(ToString::to_string).collect::<Vec<_>>())
            .field("failures", &self.failures.len())
            .field("pending", &self.pending.len())
            .finish()
    }
}

/// One entry of `secrets.providers`; fields of other sources keep their defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Provider {
    /// Absent: all names.
    allowlist: Option<Vec<String>>,
    path: String,
    /// `json` or `singleValue`
    mode: String,
    max_bytes: u64,
    command: String,
    args: Vec<String>,
    pass_env: Vec<String>,
    env: BTreeMap<String, String>,
    json_only: bool,
    timeout_ms: u64,
    /// Absent: the same as `timeout_ms`.
    no_output_timeout_ms: Option<u64>,
    max_output_bytes: u64,
    allow_symlink_command: bool,
    trusted_dirs: Vec<String>,
    allow_insecure_path: bool,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            allowlist: None,
            path: String::new(),
            mode: "json".to_owned(),
            max_bytes: 1024 * 1024,
            command: String::new(),
            args: Vec::new(),
            pass_env: Vec::new(),
            env: BTreeMap::new(),
            json_only: true,
            timeout_ms: 5000,
            no_output_timeout_ms: None,
            max_output_bytes: 1024 * 1024,
            allow_symlink_command: false,
            trusted_dirs: Vec::new(),
            allow_insecure_path: false,
        }
    }
}

/// `secrets.resolution`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Limits {
    max_provider_concurrency: usize,
    max_refs_per_provider: usize,
    max_batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_provider_concurrency: 4, max_refs_per_provider: 512, max_batch_bytes: 262_144 }
    }
}

fn section<T: for<'de> Deserialize<'de> + Default>(config: &Value, name: &str) -> T {
    let section = config.get("secrets").and_then(|secrets| secrets.get(name)).cloned();
    section.and_then(|section| serde_json::from_value(section).ok()).unwrap_or_default() // validated before
}

fn providers(config: &Value) -> BTreeMap<String, Provider> {
    section(config, "providers")
}

fn limits(config: &Value) -> Limits {
    section(config, "resolution")
}

/// Resolves the active `env` and `file` references of a canonical, validated configuration and collects the `exec` ones.
///
/// The issues are notes about references that are left alone because their feature is off.
pub fn resolve_local(config: &Value, settings: &Settings, env: &Env, home: &Path) -> (Secrets, Vec<Issue>) {
    let surface = surface::references(config, settings);
    let providers = providers(config);
    let words: BTreeMap<String, String> = section(config, "defaults");
    let source = |word: &String| [Source::Env, Source::File, Source::Exec].into_iter().find(|s| s.word() == word);
    let defaults = words.iter().filter_map(|(word, provider)| Some((source(word)?, provider.clone()))).collect();
    let mut secrets = Secrets { defaults, ..Secrets::default() };
    let mut files = BTreeMap::new();
    for (keys, reference) in surface.active {
        let provider = providers.get(&reference.provider).cloned().unwrap_or_default();
        let answer = match reference.source {
            Source::Env => from_env(&reference, &provider, env),
            Source::File => file::resolve(&reference, &provider, home, &mut files),
            Source::Exec => {
                secrets.pending.push((keys, reference));
                continue;
            }
        };
        secrets.record(&keys, reference, answer);
    }
    (secrets, surface.inactive)
}

fn from_env(reference: &SecretRef, provider: &Provider, env: &Env) -> Result<String, SecretError> {
    let name = &reference.id;
    if provider.allowlist.as_ref().is_some_and(|allowed| !allowed.contains(name)) {
        return Err(SecretError::NotAllowed { provider: reference.provider.clone(), name: name.clone() });
    }
    env.non_empty(name).map(str::to_owned).ok_or_else(|| SecretError::EnvMissing(name.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolve(config: &Value, env: &[(&str, &str)]) -> (Secrets, Settings) {
        let settings: Settings = serde_json::from_value(config.clone()).unwrap();
        let env = env.iter().copied().collect();
        (resolve_local(config, &settings, &env, Path::new("/home/u")).0, settings)
    }

    #[test]
    fn environment_references_resolve_once_and_stay_out_of_debug_output() {
        let config = json!({ "gateway": { "auth": { "token": { "source": "env", "id": "T" } } } });
        let (secrets, settings) = resolve(&config, &[("T", "canary")]);
        let token = settings.gateway.auth.token.unwrap();
        assert_eq!(secrets.resolve(&token), Some("canary"));
        assert_eq!(secrets.resolve(&SecretInput::Plain("p".into())), Some("p"));
        assert!(!format!("{secrets:?} {token:?}").contains("canary"));
        let (secrets, _) = resolve(&config, &[("T", " ")]);
        let failure = secrets.failures()[0].to_string();
        assert_eq!(failure, "gateway.auth.token: Environment variable \"T\" is missing or empty.");
    }

    #[test]
    fn an_allowlist_limits_what_a_provider_reads() {
        let config = json!({
            "secrets": { "defaults": { "env": "few" }, "providers": { "few": { "source": "env", "allowlist": ["A"] } } },
            "gateway": { "auth": { "token": { "source": "env", "id": "B" } } },
        });
        let (secrets, _) = resolve(&config, &[("B", "x")]);
        let text = "gateway.auth.token: Environment variable \"B\" is not in the allowlist of secret provider \"few\".";
        assert_eq!(secrets.failures()[0].to_string(), text);
    }
}
