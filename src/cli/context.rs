//! What a command runs in: profile, paths, environment, configuration, streams.
//!
//! Invariant: nothing here writes; the configuration is read at most once per process, and only if somebody asks.

use std::cell::OnceCell;
use std::future::Future;
use std::path::{Path, PathBuf};

use openclaw_actors::config::env::Env;
use openclaw_actors::config::load;
use openclaw_actors::config::parse;
use openclaw_actors::config::paths::{self, ConfigOrigin, PathInputs, Paths};
use openclaw_actors::config::settings::{SecretInput, SecretSource};
use openclaw_actors::config::{ConfigError, Snapshot, dotenv};
use openclaw_actors::logs::directory;
use openclaw_actors::logs::path::LogPath;
use serde_json::Value;

use super::GlobalArgs;
use super::exit::Failure;
use super::keys::{self, GatewayKeys};
use super::output::Output;

/// Directory of the daily log file. Source: logging documentation of 2026.5.12.
const LOG_DIR: &str = "/tmp/openclaw";

/// Everything that a command needs to know about where it runs.
pub struct Context {
    pub global: GlobalArgs,
    pub paths: Paths,
    /// The process environment with the `.env` files below it.
    pub env: Env,
    pub process_env: Env,
    pub output: Output,
    /// The answer is one document.
    pub json: bool,
    pub cwd: PathBuf,
    loaded: OnceCell<Result<Snapshot, ConfigError>>,
}

impl Context {
    pub fn new(global: GlobalArgs, process: Env, output: Output, json: bool) -> Result<Self, Failure> {
        let cwd = std::env::current_dir().map_err(|error| Failure::error(format!("working directory: {error}")))?;
        let inputs = PathInputs {
            profile: global.profile.clone(),
            dev: global.dev,
            config: global.config.clone(),
            cwd: cwd.clone(),
        };
        let paths = paths::resolve(&inputs, &process).map_err(|error| Failure::usage(error.to_string()))?;
        let env = dotenv::layered(process.clone(), &cwd, &paths);
        let context = Self { global, paths, env, process_env: process, output, json, cwd, loaded: OnceCell::new() };
        context.warn_about_names();
        Ok(context)
    }

    /// The configuration as the gateway would read it now.
    pub fn loaded(&self) -> Result<&Snapshot, &ConfigError> {
        self.loaded.get_or_init(|| load::load(&self.paths, &self.env)).as_ref()
    }

    /// The configuration, for a command that cannot work with an invalid one.
    pub fn snapshot(&self) -> Result<&Snapshot, Failure> {
        self.loaded().map_err(|error| {
            let first = Failure::config("OpenClaw config is invalid");
            self.invalid_config(error).into_iter().fold(first, Failure::line)
        })
    }

    /// The configuration if it is valid; otherwise says on stderr what is wrong, for a command that goes on without.
    pub fn snapshot_or_note(&self) -> Option<&Snapshot> {
        match self.loaded() {
            Ok(snapshot) => Some(snapshot),
            Err(error) => {
                self.output.note("OpenClaw config is invalid");
                for line in self.invalid_config(error) {
                    self.output.note(line);
                }
                self.output.note("Status, health, logs and doctor still run with an invalid config.");
                None
            }
        }
    }

    /// The keys that a client needs, from a valid configuration; its `exec` secrets are resolved here.
    pub fn keys(&self) -> Result<GatewayKeys, Failure> {
        match self.plain_keys() {
            Some(keys) => Ok(keys),
            None => self.keys_of(self.snapshot()?),
        }
    }

    /// The same for a command that goes on with an invalid configuration, after a note: then as much as can be read.
    pub fn keys_or_note(&self) -> Result<GatewayKeys, Failure> {
        match self.plain_keys() {
            Some(keys) => Ok(keys),
            None => self.snapshot_or_note().map_or_else(|| Ok(self.salvaged_keys()), |snapshot| self.keys_of(snapshot)),
        }
    }

    /// The same without a word: for a command that shows the state of the configuration itself.
    pub fn keys_or_salvage(&self) -> Result<GatewayKeys, Failure> {
        self.loaded().map_or_else(|_| Ok(self.salvaged_keys()), |snapshot| self.keys_of(snapshot))
    }

    /// Most files are plain; then nothing else has to be checked to reach the gateway.
    fn plain_keys(&self) -> Option<GatewayKeys> {
        if self.loaded.get().is_some() {
            return None; // the whole configuration is there already
        }
        match std::fs::read_to_string(&self.paths.config_path) {
            Ok(text) => keys::plain(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(GatewayKeys::default()),
            Err(_) => None, // the loader says it better
        }
    }

    pub fn keys_of(&self, snapshot: &Snapshot) -> Result<GatewayKeys, Failure> {
        let gateway = &snapshot.settings.gateway;
        let inputs = [&gateway.auth.token, &gateway.auth.password, &gateway.remote.token, &gateway.remote.password];
        let is_exec =
            |input: &&Option<SecretInput>| matches!(input, Some(SecretInput::Ref { source: SecretSource::Exec, .. }));
        let mut secrets = snapshot.secrets.clone();
        if inputs.iter().any(is_exec) {
            self.block_on(secrets.resolve_exec(&snapshot.value, &snapshot.env))?;
        }
        Ok(GatewayKeys::read(&snapshot.value, &|value| {
            let input: SecretInput = serde_json::from_value(value.clone()).ok()?;
            secrets.resolve(&input).map(str::to_owned)
        }))
    }

    fn salvaged_keys(&self) -> GatewayKeys {
        let text = std::fs::read_to_string(&self.paths.config_path).unwrap_or_default();
        let value = parse::json5(&text).unwrap_or(Value::Null);
        GatewayKeys::read(&value, &|value| value.as_str().map(str::to_owned))
    }

    /// `OPENCLAW_GATEWAY_PORT`
    pub fn env_port(&self) -> Result<Option<u16>, Failure> {
        let Some(text) = self.env.non_empty("OPENCLAW_GATEWAY_PORT") else { return Ok(None) };
        let port = text.parse().ok().filter(|port| *port > 0);
        port.map(Some)
            .ok_or_else(|| Failure::usage(format!("OPENCLAW_GATEWAY_PORT \"{text}\" is no port from 1 to 65535")))
    }

    /// Where the gateway of this profile logs.
    pub fn log_path(&self, keys: &GatewayKeys) -> LogPath {
        match &keys.log_file {
            Some(file) => LogPath::Fixed(self.paths.state_dir.join(paths::expand_tilde(file, &self.paths.home))),
            None => {
                let uid = nix::unistd::getuid().as_raw();
                let dir = directory::find(Path::new(LOG_DIR), &std::env::temp_dir(), uid);
                LogPath::Daily { dir, profile: self.paths.profile.clone() }
            }
        }
    }

    /// The lines below `OpenClaw config is invalid`.
    fn invalid_config(&self, error: &ConfigError) -> Vec<String> {
        let problems = error.issues.iter().map(|issue| format!("  - {}", issue.to_text()));
        [format!("File: {}", self.show(&self.paths.config_path)), "Problem:".to_owned()]
            .into_iter()
            .chain(problems)
            .chain([
                format!("Fix: {}", self.hint("doctor --fix")),
                format!("Inspect: {}", self.hint("config validate")),
            ])
            .collect()
    }

    /// A command for the reader to type, with the profile of this one.
    pub fn hint(&self, command: &str) -> String {
        match &self.paths.profile {
            Some(profile) => format!("openclaw --profile {profile} {command}"),
            None => format!("openclaw {command}"),
        }
    }

    /// A path for people: the home directory is `~`.
    pub fn show(&self, path: &Path) -> String {
        match path.strip_prefix(&self.paths.home) {
            Ok(rest) if !rest.as_os_str().is_empty() => format!("~/{}", rest.display()),
            _ => path.display().to_string(),
        }
    }

    /// Runs a client command on this thread.
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(future))
    }

    fn warn_about_names(&self) {
        let ignored = |name: &str| name.starts_with("CLAWDBOT_") || name.starts_with("MOLTBOT_");
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name).filter(|name| ignored(name)).collect();
        if !names.is_empty() {
            self.output.note(format!("Ignored environment variables of an older product: {}", names.join(", ")));
        }
        if self.paths.config_origin == ConfigOrigin::StandardBesideOther {
            self.output.note("Both openclaw.json and config.json exist in the state directory; openclaw.json is used.");
        }
    }
}
