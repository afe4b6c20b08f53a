//! Watches the configuration file and its includes, and says when a settled change is there.
//!
//! Directories are watched, because editors replace files; a look every five seconds catches what a network file system does not
//! tell. Ticks from the operating system are coalesced into a queue of one. Does not read or judge the files: the owner does.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::settle::{self, About, Change, Event, Look, Seen, State};

/// Time between two looks without any tick.
const POLL: Duration = Duration::from_secs(5);

/// A watch over one configuration. Dropping it ends it.
pub struct Watch {
    /// The main file first.
    files: Vec<PathBuf>,
    /// `None`: the operating system refused; only the regular look is left.
    _watcher: Option<RecommendedWatcher>,
    ticks: mpsc::Receiver<()>,
    state: State,
    known: Seen,
    poll_at: Instant,
}

impl Watch {
    /// Starts to watch. What the files look like now counts as known, so start before the configuration is loaded.
    pub async fn start(main: &Path, includes: &[PathBuf]) -> Self {
        let files: Vec<PathBuf> = [main.to_owned()].into_iter().chain(includes.iter().cloned()).collect();
        let (watcher, ticks) = watch_directories(&files);
        let known = look(&files).await;
        Self { files, _watcher: watcher, ticks, state: State::Idle, known, poll_at: Instant::now() + POLL }
    }

    /// Follows another set of files, as after a reload that changed the includes.
    pub async fn follow(&mut self, main: &Path, includes: &[PathBuf]) {
        if self.files.first().map(PathBuf::as_path) != Some(main) || self.files[1..] != *includes {
            *self = Self::start(main, includes).await;
        }
    }

    /// Waits for a change that has settled. `debounce` is `gateway.reload.debounceMs`.
    ///
    /// May be dropped and called again at any await: nothing is lost.
    pub async fn next_change(&mut self, debounce: Duration) -> Change {
        loop {
            let due = settle::due(&self.state);
            let event = tokio::select! {
                Some(()) = self.ticks.recv() => Event::Tick,
                () = sleep_until(due.unwrap_or(self.poll_at)) => match due {
                    Some(_) => Event::Looked(look(&self.files).await),
                    None => {
                        self.poll_at = Instant::now() + POLL;
                        Event::Tick
                    }
                },
            };
            let state = std::mem::replace(&mut self.state, State::Idle);
            let (state, change) = settle::step(state, event, &mut self.known, debounce, Instant::now());
            self.state = state;
            if let Some(change) = change {
                return change;
            }
        }
    }
}

/// What the files look like. A file that cannot be asked about counts as missing.
async fn look(files: &[PathBuf]) -> Seen {
    let mut seen = Seen::new();
    for path in files {
        let about = tokio::fs::metadata(path).await.ok().filter(std::fs::Metadata::is_file);
        let about = about.map(|about| About {
            bytes: about.len(),
            modified: about.modified().unwrap_or(std::time::SystemTime::UNIX_EPOCH),
            inode: about.ino(),
        });
        seen.push(Look { path: path.clone(), about });
    }
    seen
}

/// Watches the directories of the files, and those of their real paths when they are symlinks.
fn watch_directories(files: &[PathBuf]) -> (Option<RecommendedWatcher>, mpsc::Receiver<()>) {
    let real = files.iter().filter_map(|file| file.canonicalize().ok());
    let all: BTreeSet<PathBuf> = files.iter().cloned().chain(real).collect();
    let names: BTreeSet<OsString> = all.iter().filter_map(|file| file.file_name().map(ToOwned::to_owned)).collect();
    let directories: BTreeSet<PathBuf> = all.iter().filter_map(|file| file.parent().map(ToOwned::to_owned)).collect();
    let (tx, rx) = mpsc::channel(1);
    let on_event = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| concerns(&event, &names)) {
            let _ = tx.try_send(()); // full: a tick is waiting already
        }
    };
    let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        for directory in &directories {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    match watcher {
        Ok(watcher) => (Some(watcher), rx),
        Err(error) => {
            tracing::warn!(%error, "config files are not watched by the system; looking every 5 s");
            (None, rx)
        }
    }
}

/// The state directory is busy with other files; only ours and losses of events count.
fn concerns(event: &notify::Event, names: &BTreeSet<OsString>) -> bool {
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| names.contains(name));
    event.need_rescan() || (!event.kind.is_access() && event.paths.iter().any(named))
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::files;

    const DEBOUNCE: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn replaced_included_and_lost_files_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (main, included) = (dir.path().join("openclaw.json"), dir.path().join("a.json5"));
        files::replace(&main, b"{}").unwrap();
        files::replace(&included, b"{}").unwrap();
        let mut watch = Watch::start(&main, std::slice::from_ref(&included)).await;
        let idle = timeout(Duration::from_millis(400), watch.next_change(DEBOUNCE)).await;
        assert!(idle.is_err(), "nothing happened: {idle:?}");
        files::replace(&dir.path().join("other"), b"x").unwrap();
        files::replace(&main, b"{ a: 1 }").unwrap();
        assert_eq!(timeout(LONG, watch.next_change(DEBOUNCE)).await, Ok(Change::Changed));
        files::replace(&included, b"{ b: 1 }").unwrap();
        assert_eq!(timeout(LONG, watch.next_change(DEBOUNCE)).await, Ok(Change::Changed));
        std::fs::remove_file(&main).unwrap();
        assert_eq!(timeout(LONG, watch.next_change(DEBOUNCE)).await, Ok(Change::Vanished));
        files::replace(&main, b"{ a: 2 }").unwrap();
        assert_eq!(timeout(LONG, watch.next_change(DEBOUNCE)).await, Ok(Change::Changed));
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("openclaw.json");
        files::replace(&main, b"{}").unwrap();
        let mut watch = Watch::start(&main, &[]).await;
        files::replace(&main, b"{ a: 1 }").unwrap();
        let waits = async {
            loop {
                if let Ok(change) = timeout(Duration::from_millis(15), watch.next_change(DEBOUNCE)).await {
                    return change;
                }
            }
        };
        assert_eq!(timeout(LONG, waits).await, Ok(Change::Changed));
    }
}
