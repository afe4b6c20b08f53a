//! The log of the service, as the configuration and the command line want it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use openclaw_actors::config::handle::Snapshot;
use openclaw_actors::config::paths::expand_tilde;
use openclaw_actors::logs::console::Style;
use openclaw_actors::logs::extra::{self, Extra};
use openclaw_actors::logs::path::LogPath;
use openclaw_actors::logs::record::LineContext;
use openclaw_actors::logs::retention::FilePolicy;
use openclaw_actors::logs::{
    self, ConsoleOptions, FileOptions, Levels, LogGuard, LogHandle, LogOptions, Redactor, directory,
};
use openclaw_actors::supervision::task;
use serde_json::Value;

use crate::cli::Failure;
use crate::cli::gateway::run::RunOptions;

/// Where daily files go when it can be made ours alone.
const DIRECTORY: &str = "/tmp/openclaw";
/// Rotations of one file.
const ROTATIONS: u32 = 5;

/// Starts the log. Every resolved secret is masked in it from the first line on.
pub fn init(options: &RunOptions) -> Result<LogGuard, Failure> {
    let snapshot = &options.snapshot;
    let redactor = Redactor::new();
    register(&redactor, snapshot);
    let extra = outputs(snapshot, &options.paths.home);
    let guard = logs::init(LogOptions {
        levels: levels(options, snapshot),
        file: Some(file(snapshot, &options.paths.home, options.paths.profile.as_deref())?),
        console: Some(ConsoleOptions {
            style: snapshot.settings.logging.console_style.parse().unwrap_or(Style::Pretty),
            colour: options.colour,
            only: None,
            queued: true,
            out: Box::new(std::io::stderr()),
        }),
        extra,
        redactor,
        context: LineContext { hostname: hostname(), version: super::VERSION.to_owned(), zone: TimeZone::system() },
        clock: Arc::new(Timestamp::now),
    });
    guard.map_err(|error| Failure::error(format!("the log could not be started: {error}")))
}

/// Panics go where everything else goes: one redacted line with the place. What died is told by its supervisor.
pub fn note_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = task::panic_message(panic.payload());
        let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(target: "gateway", thread, "panic at {place}: {message}");
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|wanted| wanted != "0") {
            tracing::error!(target: "gateway", "{}", std::backtrace::Backtrace::force_capture());
        }
    }));
}

/// Takes over what a reload may change: levels, style, patterns, new secrets.
pub fn apply(handle: &LogHandle, options: &RunOptionsForLogs, snapshot: &Snapshot) {
    handle.set_levels(options.levels(snapshot));
    handle.set_style(snapshot.settings.logging.console_style.parse().unwrap_or(Style::Pretty));
    register(handle.redactor(), snapshot);
}

/// What of the command line outlives the start, for the levels of later configurations.
#[derive(Debug, Clone)]
pub struct RunOptionsForLogs {
    pub log_level: Option<String>,
    pub verbose: bool,
}

impl RunOptionsForLogs {
    pub fn levels(&self, snapshot: &Snapshot) -> Levels {
        let logging = &snapshot.settings.logging;
        logs::levels(
            self.log_level.as_deref().and_then(|level| level.parse().ok()),
            snapshot.env.get("OPENCLAW_LOG_LEVEL"),
            Some(&logging.level),
            logging.console_level.as_deref(),
            self.verbose,
        )
    }
}

fn levels(options: &RunOptions, snapshot: &Snapshot) -> Levels {
    RunOptionsForLogs { log_level: options.log_level.clone(), verbose: options.verbose }.levels(snapshot)
}

fn register(redactor: &Redactor, snapshot: &Snapshot) {
    if let Err(error) = redactor.register(snapshot.secrets.values()) {
        tracing::error!(%error, "secrets could not be registered for redaction");
    }
    if let Err(error) = redactor.set_patterns(&snapshot.settings.logging.redact_patterns) {
        tracing::warn!(%error, "logging.redactPatterns are not in force");
    }
}

fn file(snapshot: &Snapshot, home: &Path, profile: Option<&str>) -> Result<FileOptions, Failure> {
    let logging = &snapshot.settings.logging;
    let path = path(snapshot, home, profile)?;
    let policy = FilePolicy {
        file_bytes_max: logging.max_file_bytes,
        rotations_max: ROTATIONS,
        days_max: logging.retention_days,
        total_bytes_max: logging.max_total_bytes,
    };
    Ok(FileOptions { path, policy })
}

fn path(snapshot: &Snapshot, home: &Path, profile: Option<&str>) -> Result<LogPath, Failure> {
    if let Some(file) = &snapshot.settings.logging.file {
        return Ok(LogPath::Fixed(expand_tilde(file, home)));
    }
    let uid = nix::unistd::geteuid().as_raw();
    let temp: PathBuf = std::env::temp_dir();
    let dir = directory::choose(Path::new(DIRECTORY), &temp, uid)
        .map_err(|error| Failure::error(format!("no directory for log files: {error}")))?;
    Ok(LogPath::Daily { dir, profile: profile.map(str::to_owned) })
}

/// `logging.outputs`; what is wrong with it was reported when the configuration was checked.
fn outputs(snapshot: &Snapshot, home: &Path) -> Extra {
    let list = snapshot.value.pointer("/logging/outputs").and_then(Value::as_array).cloned().unwrap_or_default();
    extra::parse(&list, home).unwrap_or_default()
}

/// Name of this host.
pub fn hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "localhost".into())
}
