//! Who holds the lock of a state directory: what the gateway writes into the lock, and what others may believe of it.
//!
//! The text outlives its writer, so it counts only while the process that it names lives, with the same start time. Nobody
//! but a gateway takes the lock itself: whoever only looks must never stand in the way of one that starts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::run_file::process_start_time;

/// Name of the lock in a state directory.
pub const FILE: &str = "gateway.lock";

/// Who holds the lock. `start_time` tells a pid from its reuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockOwner {
    pub pid: u32,
    pub start_time: Option<u64>,
    /// Milliseconds since the epoch; another one means that the gateway started again.
    pub created_at: i64,
    /// 0: a command that works while no gateway runs.
    pub port: u16,
    pub config_path: PathBuf,
    /// A service manager started it, and may start it again.
    #[serde(default)]
    pub supervised: bool,
}

impl LockOwner {
    /// The living gateway of a state directory. Anything unreadable is none.
    pub fn of(state_dir: &Path) -> Option<Self> {
        Self::in_file(&state_dir.join(FILE))
    }

    /// The same from the path of the lock.
    pub fn in_file(path: &Path) -> Option<Self> {
        let owner: Self = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
        (owner.port != 0 && owner.lives()).then_some(owner)
    }

    /// Does the very process live that took the lock?
    pub fn lives(&self) -> bool {
        self.start_time.is_some() && process_start_time(self.pid) == self.start_time
    }

    /// The same life of the same process: not one that was restarted.
    pub fn is_same_life(&self, other: &Self) -> bool {
        (self.pid, self.start_time, self.created_at) == (other.pid, other.start_time, other.created_at)
    }
}

#[cfg(test)]
mod tests {
    use openclaw_actors::files;

    use super::*;

    #[test]
    fn only_the_process_that_took_the_lock_counts() {
        let dir = tempfile::tempdir().unwrap();
        let pid = std::process::id();
        let owner = LockOwner {
            pid,
            start_time: process_start_time(pid),
            created_at: 5,
            port: 1,
            config_path: "openclaw.json".into(),
            supervised: false,
        };
        let leave = |owner: &LockOwner| {
            files::replace(&dir.path().join(FILE), serde_json::to_string(owner).unwrap().as_bytes()).unwrap();
        };
        assert_eq!(LockOwner::of(dir.path()), None);
        leave(&owner);
        assert_eq!(LockOwner::of(dir.path()), Some(owner.clone()));
        for start_time in [owner.start_time.map(|ticks| ticks + 1), None] {
            leave(&LockOwner { start_time, ..owner.clone() });
            assert_eq!(LockOwner::of(dir.path()), None, "{start_time:?}");
        }
        leave(&LockOwner { port: 0, ..owner.clone() });
        assert_eq!(LockOwner::of(dir.path()), None, "a command, not a gateway");
        assert!(!owner.is_same_life(&LockOwner { created_at: 6, ..owner.clone() }));
    }
}
