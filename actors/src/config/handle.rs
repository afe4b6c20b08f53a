//! The configuration in force: immutable, numbered, read by everybody through one handle.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;

use super::env::Env;
use super::issue::Issue;
use super::secrets::Secrets;
use super::settings::Settings;

/// One configuration and what was said about it. Never changes; a reload makes another one.
#[derive(Clone)]
pub struct Snapshot {
    /// 0 until published, then rising by one.
    pub generation: u64,
    pub path: PathBuf,
    /// False: there is no file and these are the defaults.
    pub exists: bool,
    /// The main file, exactly as read.
    pub text: Option<String>,
    /// Hex SHA-256 of `text`; writers compare it.
    pub hash: Option<String>,
    /// As authored: own spelling, `${NAME}` kept, includes flattened.
    pub source: Value,
    /// Canonical: one spelling, variables replaced.
    pub value: Value,
    pub settings: Settings,
    pub secrets: Secrets,
    /// The environment with the configuration's own `env` below it.
    pub env: Env,
    /// Files that `$include` brought in; the watcher follows them.
    pub includes: Vec<PathBuf>,
    /// What keeps a service from starting with this, though commands may read it. Whole lines.
    pub start_blocks: Vec<Issue>,
    /// Works, but look at it.
    pub warnings: Vec<Issue>,
    /// Other spellings and keys without effect.
    pub notes: Vec<Issue>,
}

impl fmt::Debug for Snapshot {
    /// Text and values may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation)
            .field("path", &self.path)
            .field("exists", &self.exists)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// Where the snapshot in force is found. Clones share it.
#[derive(Debug, Clone)]
pub struct ConfigHandle {
    current: Arc<ArcSwap<Snapshot>>,
}

impl ConfigHandle {
    /// Publishes the first snapshot as generation 1.
    pub fn new(mut snapshot: Snapshot) -> Self {
        snapshot.generation = 1;
        Self { current: Arc::new(ArcSwap::from_pointee(snapshot)) }
    }

    /// The snapshot in force. An operation takes it once and keeps it.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Replaces the snapshot in force and returns it with its number. Only the config actor publishes.
    pub fn publish(&self, mut snapshot: Snapshot) -> Arc<Snapshot> {
        snapshot.generation = self.current.load().generation + 1;
        let snapshot = Arc::new(snapshot);
        self.current.store(snapshot.clone());
        snapshot
    }
}

#[cfg(test)]
pub mod testing {
    //! Snapshots for tests.

    use serde_json::Value;

    use super::Snapshot;
    use crate::config::env::Env;
    use crate::config::load;
    use crate::config::paths::{self, PathInputs};

    /// The snapshot of a configuration that loads.
    pub fn snapshot(config: &Value) -> Snapshot {
        let env = Env::from_iter([("HOME", "/home/u")]);
        let inputs = PathInputs { cwd: "/".into(), ..PathInputs::default() };
        let paths = paths::resolve(&inputs, &env).unwrap();
        load::from_text(Some(config.to_string()), &Default::default(), &paths, &env).unwrap()
    }
}
