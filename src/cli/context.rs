//! What a command runs in: profile, paths, environment, configuration, streams.
//!
//! Invariant: nothing here writes; the configuration is read at most once per process, and only if somebody asks.

use std::cell::OnceCell;
use std::future::Future;
use std::path::{Path, PathBuf};

use openclaw_actors::config::dotenv;
use openclaw_actors::config::env::Env;
use openclaw_actors::config::issue::ConfigError;
use openclaw_actors::config::load;
use openclaw_actors::config::paths::{self, ConfigOrigin, PathInputs, Paths};
use openclaw_actors::config::snapshot::Snapshot;

use super::GlobalArgs;
use super::exit::{Exit, Failure};
use super::output::Output;

/// Everything that a command needs to know about where it runs.
pub struct Context {
    pub global: GlobalArgs,
    pub paths: Paths,
    /// The process environment with the `.env` files below it.
    pub env: Env,
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
        let env = dotenv::layered(process, &cwd, &paths);
        let context = Self { global, paths, env, output, json, cwd, loaded: OnceCell::new() };
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
            self.invalid_config(error).into_iter().fold(
                Failure::config("OpenClaw config is invalid").exit(Exit::Failed),
                |failure, line| failure.line(line),
            )
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
