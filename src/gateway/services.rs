//! What the front end holds of the tree: handles, never state of an actor.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openclaw_actors::config::ConfigHandle;
use openclaw_actors::config::actor::SharedReloadStatus;
use openclaw_actors::config::env::Env;
use openclaw_actors::config::paths::Paths;
use openclaw_actors::devices::Devices;
use openclaw_actors::logs::LogHandle;
use openclaw_actors::presence::{Presence, Versions};
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::run::context::Context;
use openclaw_actors::session::{SessionKey, SessionMsg, Sessions};
use openclaw_actors::supervision::Unavailable;
use tokio::time::Instant;

use super::auth::Auth;
use super::health::Health;
use super::next_start::NextStart;
use super::rpc::ControlBudget;
use super::ws::Connections;
use super::ws::client::{Clients, PreauthPlaces};

/// How long a request inside the process may take before the caller is told that it is too busy.
pub const ASK_LIMIT: Duration = Duration::from_secs(10);
/// When a client may ask again after something restarted or was overloaded, milliseconds.
pub const RETRY_AFTER_MS: u64 = 250;

/// Handles for every request; shared by all connections.
pub struct Services {
    pub version: &'static str,
    pub paths: Paths,
    pub started: Instant,
    pub config: ConfigHandle,
    /// The environment of the process, without any file's.
    pub process_env: Env,
    /// The directory whose `.env` counts.
    pub cwd: PathBuf,
    /// Store, events, runs, lanes, models: what sessions share.
    pub context: Arc<Context>,
    pub sessions: Sessions,
    pub presence: Presence,
    pub versions: Arc<Versions>,
    pub devices: Devices,
    pub health: Health,
    pub auth: Auth,
    pub preauth: PreauthPlaces,
    pub clients: Clients,
    pub connections: Connections,
    pub control_budget: ControlBudget,
    /// What a restart would be checked with.
    pub next_start: Arc<NextStart>,
    /// How the latest change of the configuration file was received.
    pub config_status: SharedReloadStatus,
    /// Has the configuration read again now.
    pub reload: Arc<tokio::sync::Notify>,
    pub log: LogHandle,
    /// Directory of the run file and of what the gateway writes besides the database.
    pub state_dir: PathBuf,
    pub ready: AtomicBool,
}

impl Services {
    /// Asks a session; once more after a moment when it was just coming or going.
    pub async fn ask_session<T, F>(&self, key: &SessionKey, message: F) -> Result<T, ErrorShape>
    where
        T: Send + 'static,
        F: Fn(ractor::RpcReplyPort<T>) -> SessionMsg,
    {
        let asked = self.context.ask_session(key, message).await;
        asked.map_err(|error| ErrorShape::retry_after(error, RETRY_AFTER_MS))
    }

    /// What a client calls a session, as its key.
    pub fn key(&self, method: &str, raw: &str) -> Result<SessionKey, ErrorShape> {
        SessionKey::parse(raw, &self.context.key_rules())
            .map_err(|error| ErrorShape::invalid(format!("invalid {method} params: {error}")))
    }

    pub fn draining(&self) -> bool {
        self.context.is_draining()
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && !self.draining()
    }

    pub fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An actor that is busy or coming back, as clients are told: retry.
pub fn unavailable(error: Unavailable) -> ErrorShape {
    ErrorShape::retry_after(error.to_string(), RETRY_AFTER_MS)
}

/// A failed read or write, as clients are told.
pub fn store_failed(error: openclaw_actors::store::StoreError) -> ErrorShape {
    use openclaw_actors::store::StoreError;
    match error {
        StoreError::Refused(message) => ErrorShape::invalid(message),
        StoreError::Restarting | StoreError::Overloaded => ErrorShape::retry_after(error.to_string(), RETRY_AFTER_MS),
        other => ErrorShape::unavailable(other.to_string()),
    }
}
