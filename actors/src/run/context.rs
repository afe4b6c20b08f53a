//! What sessions and runs share: handles on the rest of the tree, and what the configuration means for an agent.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::directory::Directory;
use super::lane::Lane;
use super::models::{Candidate, ModelSource};
use super::prompt;
use super::turn::TurnArgs;
use super::workspace;
use crate::config::ConfigHandle;
use crate::config::settings::AgentEntry;
use crate::events::Events;
use crate::model::provider::ToolSpec;
use crate::protocol::session::SessionDefaults;
use crate::session::{AgentId, KeyRules, SessionKey};
use crate::store::Store;
use crate::supervision::task;
use crate::tools::Toolbox;

/// The global lanes.
#[derive(Clone)]
pub struct Lanes {
    /// Turns of people: `agents.defaults.maxConcurrent` wide.
    pub main: Lane,
}

/// Shared by every session and run; cheap to clone behind its `Arc`.
pub struct Context {
    pub store: Store,
    pub config: ConfigHandle,
    pub events: Events,
    pub directory: Directory,
    pub lanes: Lanes,
    pub models: Arc<dyn ModelSource>,
    pub started: tokio::time::Instant,
    pub version: &'static str,
    /// Workspace of the default agent when the configuration names none.
    pub workspace_default: PathBuf,
    pub home: PathBuf,
}
