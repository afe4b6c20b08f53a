//! Assembling the service: handles first, then the tree that stands behind them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use openclaw_actors::config::ConfigHandle;
use openclaw_actors::config::actor::{Apply, ConfigArgs, SharedReloadStatus};
use openclaw_actors::config::handle::Snapshot;
use openclaw_actors::config::settings::AuthMode;
use openclaw_actors::devices::{self, Devices, DevicesArgs};
use openclaw_actors::events::{self, Events};
use openclaw_actors::logs::LogHandle;
use openclaw_actors::model::http::HttpClients;
use openclaw_actors::model::local;
use openclaw_actors::presence::{Presence, PresenceArgs, PresenceEntry, Versions};
use openclaw_actors::run::context::{Context, Lanes};
use openclaw_actors::run::directory::Directory;
use openclaw_actors::run::lane::Lane;
use openclaw_actors::run::models::ConfiguredModels;
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::session::{SessionMsg, Sessions};
use openclaw_actors::store::{Store, runs};
use openclaw_actors::supervision::{Address, Child, ChildSpec, Group, Restart};
use openclaw_actors::tree::{self, Tree, TreeArgs};
use rand::RngExt;
use tokio::time::Instant;

use super::auth::Auth;
use super::auth::shared_secret::SharedSecrets;
use super::bind::Sockets;
use super::health::Health;
use super::listener;
use super::logging::{self, RunOptionsForLogs};
use super::rpc::ControlBudget;
use super::services::Services;
use super::ws::client::{Clients, PREAUTH_PER_IP, PreauthPlaces};
use super::ws::{self, Connections};
use crate::cli::Failure;
use crate::cli::gateway::run::RunOptions;

/// The running gateway.
pub struct Gateway {
    pub services: Arc<Services>,
    pub tree: Tree,
    pub tree_ended: Ended,
    /// The token that was made up because none is configured.
    pub made_up_token: Option<String>,
}

/// Resolves when the tree has ended by itself.
pub type Ended = tokio::task::JoinHandle<()>;

/// Starts everything. On error everything that was started has been stopped again.
pub async fn start(options: RunOptions, sockets: Sockets, log: LogHandle) -> Result<Gateway, Failure> {
    let made_up_token = made_up_token(&options);
    let token = options.listen.credentials.token.clone().or_else(|| made_up_token.clone());
    if let Some(token) = &token {
        let registered = log.redactor().register([token.as_str()]);
        registered.map_err(|error| Failure::error(format!("the token could not be registered for redaction: {error}")))?;
    }
    let parts = Parts::new(&options, token.as_deref(), log);
    let (services, config_status) = services(&options, &sockets, &parts);
    announce(&services, &sockets);
    let front = front(&services, sockets);
    let args = TreeArgs {
        context: Arc::clone(&services.context),
        config: config_args(&options, &services, config_status),
        presence: services.presence.clone(),
        presence_args: PresenceArgs {
            events: services.context.events.clone(),
            versions: Arc::clone(&services.versions),
            own: own_presence(),
        },
        devices: services.devices.clone(),
        devices_args: DevicesArgs {
            store: services.context.store.clone(),
            events: services.context.events.clone(),
        },
        front,
    };
    let (tree, tree_ended) = tree::start(args).await.map_err(|error| {
        Failure::error(format!(
            "Gateway failed to start: {error}. Run openclaw gateway status --deep for diagnostics."
        ))
    })?;
    recover(&services).await;
    Ok(Gateway { services, tree, tree_ended, made_up_token })
}

/// What is made before the services.
struct Parts {
    auth: Auth,
    config: ConfigHandle,
    log: LogHandle,
}

impl Parts {
    fn new(options: &RunOptions, token: Option<&str>, log: LogHandle) -> Self {
        let listen = &options.listen;
        let secrets = SharedSecrets::new(listen.auth_mode, token, listen.credentials.password.as_deref());
        let auth = Auth::new(secrets, &options.snapshot.settings.gateway.auth.rate_limit);
        Self { auth, config: ConfigHandle::new(options.snapshot.clone()), log }
    }
}

/// Mode token without a token: one for this run, never logged.
fn made_up_token(options: &RunOptions) -> Option<String> {
    if options.listen.auth_mode != AuthMode::Token || options.listen.credentials.token.is_some() {
        return None;
    }
    tracing::warn!(
        target: "gateway",
        "no gateway token is configured; one was made for this run, and only commands of this user on this host know it"
    );
    let mut bytes = [0u8; 24];
    rand::rng().fill(&mut bytes);
    Some(hex::encode(bytes))
}

fn services(options: &RunOptions, sockets: &Sockets, parts: &Parts) -> (Arc<Services>, SharedReloadStatus) {
    todo_remove(options, sockets, parts)
}
