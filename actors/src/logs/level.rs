//! Log levels, where they come from, and the cell that lets them change while the gateway runs.
//!
//! `silent` is only a threshold: no record has it, and a sink at `silent` takes nothing.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use super::sink::Follows;

/// Severity of a record, and threshold of a sink: a sink takes records up to its own level.
/// Source: logging documentation of 2026.5.12 (names), recorded log lines (`logLevelId`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    Silent,
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// A level name that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown log level \"{0}\" (use silent, fatal, error, warn, info, debug or trace)")]
pub struct UnknownLevel(pub String);

impl Level {
    pub const ALL: [Level; 7] =
        [Level::Silent, Level::Fatal, Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

    /// Lower-case name, as in the configuration and on a rendered line.
    pub fn name(self) -> &'static str {
        match self {
            Level::Silent => "silent",
            Level::Fatal => "fatal",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }

    /// `_meta.logLevelId` of a record: 1 (trace) to 6 (fatal).
    pub fn id(self) -> u8 {
        7 - (self as u8).max(1)
    }

    /// Does a sink with this threshold take a record of `severity`?
    pub fn admits(self, severity: Level) -> bool {
        severity != Level::Silent && severity <= self
    }

    pub(super) fn of(level: &tracing::Level) -> Level {
        match *level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        }
    }

    fn from_u8(value: u8) -> Level {
        Level::ALL[usize::from(value).min(Level::ALL.len() - 1)]
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    /// Accepts any case and surrounding spaces.
    fn from_str(text: &str) -> Result<Level, UnknownLevel> {
        let name = text.trim();
        let found = Level::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| UnknownLevel(name.to_owned()))
    }
}

/// Thresholds of the two main sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    pub file: Level,
    pub console: Level,
}

/// Decides both thresholds: `--log-level`, else `OPENCLAW_LOG_LEVEL`, else `logging.level` and `logging.consoleLevel`, else info.
///
/// Flag and variable hold for both sinks. `verbose` raises a configured console to debug and never touches the file.
/// A name nobody knows counts as absent: configuration and command line refuse it where it is written, and a bad
/// variable must not keep a gateway from starting.
/// Source: logging documentation of 2026.5.12.
pub fn levels(
    flag: Option<Level>,
    env: Option<&str>,
    config_file: Option<&str>,
    config_console: Option<&str>,
    verbose: bool,
) -> Levels {
    let known = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    if let Some(level) = flag.or_else(|| known(env)) {
        return Levels { file: level, console: level };
    }
    let console = known(config_console).unwrap_or(Level::Info);
    Levels {
        file: known(config_file).unwrap_or(Level::Info),
        console: if verbose { console.max(Level::Debug) } else { console },
    }
}

/// The thresholds in force; read for every event, changed by a configuration reload.
#[derive(Debug)]
pub(super) struct LiveLevels {
    file: AtomicU8,
    console: AtomicU8,
    /// Most talkative of the files with a level of their own; silent when there are none.
    extra: AtomicU8,
}

impl LiveLevels {
    pub fn new(levels: Levels) -> Self {
        let cell = |level: Level| AtomicU8::new(level as u8);
        Self { file: cell(levels.file), console: cell(levels.console), extra: cell(Level::Silent) }
    }

    pub fn file(&self) -> Level {
        Level::from_u8(self.file.load(Ordering::Relaxed))
    }

    pub fn console(&self) -> Level {
        Level::from_u8(self.console.load(Ordering::Relaxed))
    }

    /// The most talkative of all files.
    pub fn any_file(&self) -> Level {
        self.file().max(Level::from_u8(self.extra.load(Ordering::Relaxed)))
    }

    pub fn set_extra(&self, level: Level) {
        self.extra.store(level as u8, Ordering::Relaxed);
    }

    pub fn of(&self, follows: Follows) -> Level {
        match follows {
            Follows::File => self.file(),
            Follows::Console => self.console(),
        }
    }

    pub fn set(&self, levels: Levels) {
        self.file.store(levels.file as u8, Ordering::Relaxed);
        self.console.store(levels.console as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(file: Level, console: Level) -> Levels {
        Levels { file, console }
    }

    #[test]
    fn the_flag_beats_the_variable_which_beats_the_configuration() {
        let config = (Some("error"), Some("debug"));
        let flag = levels(Some(Level::Trace), Some("warn"), config.0, config.1, false);
        assert_eq!(flag, pair(Level::Trace, Level::Trace));
        let env = levels(None, Some("WARN "), config.0, config.1, true);
        assert_eq!(env, pair(Level::Warn, Level::Warn));
        let file = levels(None, Some("loud"), config.0, config.1, false);
        assert_eq!(file, pair(Level::Error, Level::Debug));
        assert_eq!(levels(None, None, None, None, false), pair(Level::Info, Level::Info));
    }

    #[test]
    fn verbose_raises_the_console_and_never_the_file() {
        assert_eq!(levels(None, None, Some("warn"), None, true), pair(Level::Warn, Level::Debug));
        assert_eq!(levels(None, None, None, Some("trace"), true), pair(Level::Info, Level::Trace));
    }

    #[test]
    fn a_threshold_takes_everything_at_least_as_severe() {
        assert!(Level::Warn.admits(Level::Fatal) && Level::Warn.admits(Level::Warn));
        assert!(!Level::Warn.admits(Level::Info));
        assert!(!Level::Silent.admits(Level::Fatal));
        assert!(!Level::Trace.admits(Level::Silent));
    }

    #[test]
    fn level_ids_are_those_of_the_recorded_lines() {
        let ids: Vec<u8> = Level::ALL[1..].iter().map(|level| level.id()).collect();
        assert_eq!(ids, [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn an_unknown_level_is_named_in_the_error() {
        assert_eq!("loud".parse::<Level>(), Err(UnknownLevel("loud".into())));
    }
}
