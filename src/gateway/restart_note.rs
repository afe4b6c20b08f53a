//! The note that a gateway leaves for the one that starts after it: why it restarted, and when.
//!
//! Read once: a start that nobody asked for finds none. It keeps restarts apart across processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_actors::files;
use openclaw_actors::run::stream::now_ms;
use serde::{Deserialize, Serialize};

const FILE: &str = "restart.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartNote {
    pub reason: String,
    /// Milliseconds since the epoch.
    pub at: i64,
    /// The same of the last restart that memory was the cause of.
    #[serde(default)]
    pub for_memory_at: Option<i64>,
}

impl RestartNote {
    /// `for_memory`: how long ago memory was the cause of a restart.
    pub fn now(reason: String, for_memory: Option<Duration>) -> Self {
        let at = now_ms();
        let before = |ago: Duration| at.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX));
        Self { reason, at, for_memory_at: for_memory.map(before) }
    }

    /// Leaves the note. Without it the next restart may come too early, which is no reason to make none.
    pub fn leave(&self, state_dir: &Path) {
        let path = path(state_dir);
        let text = serde_json::to_string(self).unwrap_or_default(); // plain data: cannot fail
        let left =
            path.parent().map_or(Ok(()), files::ensure_dir).and_then(|()| files::replace(&path, text.as_bytes()));
        if let Err(error) = left {
            tracing::warn!(target: "gateway", %error, "{} could not be written", path.display());
        }
    }

    /// Takes the note that was left, if there is one.
    pub fn take(state_dir: &Path) -> Option<Self> {
        let path = path(state_dir);
        let text = std::fs::read_to_string(&path).ok()?;
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(target: "gateway", %error, "{} could not be removed", path.display());
        }
        serde_json::from_str(&text).ok()
    }

    /// How long ago that was.
    pub fn ago(&self) -> Duration {
        since(self.at)
    }

    pub fn for_memory_ago(&self) -> Option<Duration> {
        self.for_memory_at.map(since)
    }
}

/// A clock that went back counts as no time at all.
fn since(at: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms().saturating_sub(at)).unwrap_or(0))
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("run").join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let note = RestartNote::now("config".into(), Some(Duration::from_secs(60)));
        assert!(note.for_memory_ago().unwrap() >= Duration::from_secs(60));
        note.leave(dir.path());
        assert_eq!(RestartNote::take(dir.path()), Some(note));
        assert_eq!(RestartNote::take(dir.path()), None);
        let future = RestartNote { reason: String::new(), at: now_ms() + 60_000, for_memory_at: None };
        assert_eq!(future.ago(), Duration::ZERO);
    }
}
