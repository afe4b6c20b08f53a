//! Puts the log together: layer, threads, and the handle that changes them while the gateway runs.
//!
//! What is not asked for does not exist: without a file there is no file thread, with a direct console no console thread.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;

use super::console::Style;
use super::counters::{Counters, Counts};
use super::extra::Extra;
use super::file::{CurrentFile, LogFile};
use super::layer::{Clock, Console, LogLayer};
use super::level::{Level, Levels, LiveLevels};
use super::outputs::{ConsoleOutput, FileOutput, LiveStyle};
use super::path::LogPath;
use super::record::LineContext;
use super::redact::Redactor;
use super::retention::FilePolicy;
use super::sink::{Command, Follows, Queue, Sink, Sinks};

/// How long the end of the process waits for the last lines.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Everything the log needs to know.
pub struct LogOptions {
    pub levels: Levels,
    /// Absent: no file.
    pub file: Option<FileOptions>,
    /// Absent: nothing on the console.
    pub console: Option<ConsoleOptions>,
    /// `logging.outputs[]`.
    pub extra: Extra,
    pub redactor: Redactor,
    pub context: LineContext,
    pub clock: Clock,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    pub path: LogPath,
    pub policy: FilePolicy,
}

pub struct ConsoleOptions {
    pub style: Style,
    /// Decided by the caller: only for a terminal, and only when nobody forbade it.
    pub colour: bool,
    /// Shows this subsystem alone.
    pub only: Option<String>,
    /// `true` for the service: lines go through a thread. `false` for commands: lines are written at once.
    pub queued: bool,
    /// Usually stderr.
    pub out: Box<dyn Write + Send>,
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("cannot start the log thread: {0}")]
    Thread(#[from] io::Error),
    #[error("a log is already set up in this process")]
    AlreadySet,
}

/// Changes the log while it runs. A cheap clone.
#[derive(Clone)]
pub struct LogHandle {
    live: Arc<LiveLevels>,
    style: Arc<LiveStyle>,
    counters: Arc<Counters>,
    current: CurrentFile,
    context: Arc<LineContext>,
    redactor: Redactor,
    files: Option<Queue>,
    console: Option<Queue>,
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle")
            .field("levels", &self.levels())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// Keeps the log alive; dropping it writes what is queued (at most two seconds) and ends the threads.
#[must_use = "dropping the guard ends the log"]
#[derive(Debug)]
pub struct LogGuard(LogHandle);

/// Sets the log of this process. Call once, in `main`.
pub fn init(options: LogOptions) -> Result<LogGuard, LogError> {
    let (layer, guard) = build(options)?;
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySet)?;
    Ok(guard)
}

/// Builds a log without making it the process's own: for tests and for whoever combines layers.
pub fn build(options: LogOptions) -> Result<(LogLayer, LogGuard), LogError> {
    let handle = LogHandle {
        live: Arc::new(LiveLevels::new(options.levels)),
        style: Arc::default(),
        counters: Arc::default(),
        current: CurrentFile::default(),
        context: Arc::new(options.context),
        redactor: options.redactor.clone(),
        files: None,
        console: None,
    };
    handle.live.set_extra(options.extra.level());
    let sinks = handle.file_sinks(options.file.as_ref(), &options.extra);
    let files = match sinks.is_empty() {
        true => None,
        false => Some(Queue::start("log-file", handle.sinks(sinks, Follows::File), handle.counters.clone())?),
    };
    let console = options.console.map(|console| handle.console(console)).transpose()?;
    let queued = match &console {
        Some(Console::Queued(queue)) => Some(queue.clone()),
        _ => None,
    };
    let layer = LogLayer {
        live: handle.live.clone(),
        redactor: options.redactor,
        clock: options.clock,
        files: files.clone(),
        console,
    };
    Ok((layer, LogGuard(LogHandle { files, console: queued, ..handle })))
}

impl LogHandle {
    pub fn levels(&self) -> Levels {
        Levels { file: self.live.file(), console: self.live.console() }
    }

    /// Takes effect with the next event.
    pub fn set_levels(&self, levels: Levels) {
        self.live.set(levels);
        tracing::callsite::rebuild_interest_cache();
    }

    pub fn set_style(&self, style: Style) {
        self.style.set(style);
    }

    /// Other files from now on. Has no effect when the log was set up without any.
    pub fn set_files(&self, file: Option<&FileOptions>, extra: &Extra) {
        if let Some(queue) = &self.files {
            self.current.store(None);
            self.live.set_extra(extra.level());
            tracing::callsite::rebuild_interest_cache();
            if !queue.command(Command::Replace(self.file_sinks(file, extra))) {
                self.counters.add_failure();
            }
        }
    }

    /// Opens the files anew: somebody moved them (SIGHUP).
    pub fn reopen(&self) {
        if self.files.as_ref().is_some_and(|queue| !queue.command(Command::Reopen)) {
            self.counters.add_failure();
        }
    }

    /// Waits until all that was logged before is written, at most `limit`; blocks. `false`: some of it was not.
    pub fn flush(&self, limit: Duration) -> bool {
        let stuck = self.queues().filter(|queue| !queue.flush(limit)).count();
        stuck == 0
    }

    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// The main file that is written now; absent until its first line.
    pub fn current_file(&self) -> Option<PathBuf> {
        self.current.load_full().map(|path| (*path).clone())
    }

    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.files.iter().chain(self.console.iter())
    }

    fn sinks(&self, sinks: Vec<Sink>, follows: Follows) -> Sinks {
        Sinks { sinks, live: self.live.clone(), follows }
    }

    fn file_sinks(&self, main: Option<&FileOptions>, extra: &Extra) -> Vec<Sink> {
        let main = main.map(|file| (file, None, self.current.clone()));
        let others = extra.files.iter().map(|file| (&file.file, file.level, CurrentFile::default()));
        let sink = |(options, level, current): (&FileOptions, Option<Level>, CurrentFile)| {
            let zone = self.context.zone.clone();
            let file = LogFile::new(options.path.clone(), options.policy, zone, self.counters.clone(), current);
            Sink { level, output: Box::new(FileOutput { context: self.context.clone(), file }) }
        };
        main.into_iter().chain(others).map(sink).collect()
    }

    fn console(&self, options: ConsoleOptions) -> Result<Console, LogError> {
        self.style.set(options.style);
        let output = Box::new(ConsoleOutput {
            out: options.out,
            style: self.style.clone(),
            colour: options.colour,
            only: options.only,
            zone: self.context.zone.clone(),
            batch: Vec::new(),
        });
        let sinks = self.sinks(vec![Sink { level: None, output }], Follows::Console);
        Ok(match options.queued {
            true => Console::Queued(Queue::start("log-console", sinks, self.counters.clone())?),
            false => Console::Direct(Mutex::new(sinks)),
        })
    }
}

impl LogGuard {
    pub fn handle(&self) -> &LogHandle {
        &self.0
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        for queue in self.0.queues() {
            queue.stop(STOP_LIMIT); // what could not be written in time is lost with the process
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::PoisonError;

    use jiff::tz::TimeZone;
    use serde_json::{Value, json};

    use super::super::extra;
    use super::*;

    /// A console that the test reads.
    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Screen {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn options(dir: &Path, screen: &Screen, levels: Levels) -> LogOptions {
        LogOptions {
            levels,
            file: Some(FileOptions {
                path: LogPath::Daily { dir: dir.join("logs"), profile: Some("t".into()) },
                policy: FilePolicy::default(),
            }),
            console: Some(ConsoleOptions {
                style: Style::Pretty,
                colour: false,
                only: None,
                queued: true,
                out: Box::new(screen.clone()),
            }),
            extra: Extra::default(),
            redactor: Redactor::new(),
            context: LineContext { hostname: "host".into(), version: "1".into(), zone: TimeZone::UTC },
            clock: Arc::new(|| "2026-03-01T12:00:00Z".parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH)),
        }
    }

    const INFO: Levels = Levels { file: Level::Info, console: Level::Info };

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_event_reaches_file_and_console_with_the_fields_of_its_spans() {
        let (dir, screen) = (tempfile::tempdir().unwrap(), Screen::default());
        let (layer, guard) = build(options(dir.path(), &screen, INFO)).unwrap();
        guard.handle().redactor().register(["canary-secret"]).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let session = tracing::info_span!("session", session = "agent:main:main", run = tracing::field::Empty);
            let _inside = session.enter();
            session.record("run", "r1");
            tracing::info!(target: "gateway/ws", duration_ms = 12, note = "canary-secret", "done");
            tracing::debug!("too quiet");
            tracing::error!(fatal = true, error = %"boom", "over");
        });
        drop(guard);
        let file = dir.path().join("logs/openclaw-t-2026-03-01.log");
        let lines = lines(&file);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "done duration_ms=12 note=***");
        for (key, value) in [("session_id", json!("agent:main:main")), ("run", json!("r1")), ("durationMs", json!(12))]
        {
            assert_eq!(lines[0][key], value, "{key}");
        }
        assert_eq!(lines[0]["0"], "{\"subsystem\":\"gateway/ws\"}");
        assert!(lines[0]["_meta"]["path"]["fileNameWithLine"].as_str().unwrap().starts_with("setup.rs:"));
        assert_eq!(
            (&lines[1]["_meta"]["logLevelName"], &lines[1]["_meta"]["logLevelId"]),
            (&json!("FATAL"), &json!(6))
        );
        assert_eq!(lines[1]["0"], "{\"subsystem\":\"logs\"}");
        let expected = "2026-03-01T12:00:00.000+00:00 [gateway/ws] done duration_ms=12 note=***\n\
                        2026-03-01T12:00:00.000+00:00 fatal [logs] over error=boom\n";
        assert_eq!(screen.text(), expected);
    }

    #[test]
    fn levels_style_and_files_change_while_it_runs() {
        let (dir, screen) = (tempfile::tempdir().unwrap(), Screen::default());
        let quiet = Levels { file: Level::Silent, console: Level::Error };
        let (layer, guard) = build(options(dir.path(), &screen, quiet)).unwrap();
        let log = guard.handle().clone();
        // One callsite, so that its cached interest is what changes.
        let speak = |text: &str| tracing::debug!(target: "gateway", "{text}");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            speak("nobody hears");
            log.set_levels(Levels { file: Level::Debug, console: Level::Debug });
            log.set_style(Style::Compact);
            speak("heard");
            assert!(log.flush(Duration::from_secs(20)));
            assert_eq!(log.current_file().unwrap(), dir.path().join("logs/openclaw-t-2026-03-01.log"));
            let other = FileOptions { path: LogPath::Fixed(dir.path().join("b.log")), policy: FilePolicy::default() };
            let file = json!({"type": "file", "path": dir.path().join("c.log"), "level": "trace"});
            log.set_files(Some(&other), &extra::parse(&[file], dir.path()).unwrap());
            log.set_levels(quiet);
            speak("only in c");
            assert!(log.flush(Duration::from_secs(20)));
        });
        assert_eq!(log.levels(), quiet);
        assert_eq!(screen.text(), "12:00:00 debug [gateway] heard\n");
        assert_eq!(lines(&dir.path().join("logs/openclaw-t-2026-03-01.log")).len(), 1);
        assert_eq!(lines(&dir.path().join("c.log"))[0]["message"], "only in c");
        assert!(!dir.path().join("b.log").exists());
        assert_eq!(log.counts().written, 2);
    }

    #[test]
    fn a_command_writes_at_once_and_starts_no_thread() {
        let (dir, screen) = (tempfile::tempdir().unwrap(), Screen::default());
        let mut options = options(dir.path(), &screen, INFO);
        options.file = None;
        if let Some(console) = &mut options.console {
            console.queued = false;
            console.only = Some("agent/cli-backend".into());
        }
        let (layer, guard) = build(options).unwrap();
        assert!(guard.handle().queues().next().is_none());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(target: "agent/cli-backend", "now");
            tracing::warn!(target: "gateway", "another subsystem");
            assert_eq!(screen.text(), "2026-03-01T12:00:00.000+00:00 warn [agent/cli-backend] now\n");
        });
        assert!(!dir.path().join("logs").exists());
    }

    #[test]
    fn a_moved_file_is_opened_anew_when_told_so() {
        let (dir, screen) = (tempfile::tempdir().unwrap(), Screen::default());
        let (layer, guard) = build(options(dir.path(), &screen, INFO)).unwrap();
        let file = dir.path().join("logs/openclaw-t-2026-03-01.log");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!("one");
            assert!(guard.handle().flush(Duration::from_secs(20)));
            fs::rename(&file, dir.path().join("moved.log")).unwrap();
            guard.handle().reopen();
            tracing::info!("two");
        });
        drop(guard);
        assert_eq!(lines(&file)[0]["message"], "two");
        assert_eq!(lines(&dir.path().join("moved.log"))[0]["message"], "one");
    }
}
