//! Assembling the service: handles first, then the tree that stands behind them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use openclaw_actors::channels::Channels;
use openclaw_actors::config::ConfigHandle;
use openclaw_actors::config::actor::{Apply, ConfigArgs, SharedReloadStatus};
use openclaw_actors::config::handle::Snapshot;
use openclaw_actors::config::load;
use openclaw_actors::config::paths::Paths;
use openclaw_actors::config::settings::AuthMode;
use openclaw_actors::cron::Cron;
use openclaw_actors::devices::{self, Devices, DevicesArgs};
use openclaw_actors::disk::Disk;
use openclaw_actors::events::{self, Events};
use openclaw_actors::health::{self, Cache, HealthArgs};
use openclaw_actors::heartbeat::{Heartbeat, Teller};
use openclaw_actors::logs::LogHandle;
use openclaw_actors::memory::Pressure;
use openclaw_actors::model::http::HttpClients;
use openclaw_actors::model::local;
use openclaw_actors::presence::{Presence, PresenceArgs, PresenceEntry, Versions};
use openclaw_actors::restart::Restarts;
use openclaw_actors::run::context::{Context, Lanes};
use openclaw_actors::run::directory::Directory;
use openclaw_actors::run::lane::Lane;
use openclaw_actors::run::models::ConfiguredModels;
use openclaw_actors::run::safe_mode::SafeMode;
use openclaw_actors::session::Sessions;
use openclaw_actors::store::Store;
use openclaw_actors::supervision::task::Task;
use openclaw_actors::supervision::{Address, Child, ChildSpec, Group, Restart};
use openclaw_actors::tree::overview::Overview;
use openclaw_actors::tree::{self, Tree, TreeArgs};
use rand::Rng;
use tokio::time::Instant;

use super::VERSION;
use super::auth::Auth;
use super::auth::shared_secret::SharedSecrets;
use super::bind::Sockets;
use super::boots;
use super::health::Health;
use super::listener;
use super::logging::{self, RunOptionsForLogs};
use super::next_start::NextStart;
use super::rpc::ControlBudget;
use super::services::Services;
use super::ws::client::{AUTH_CHANGED, Clients, PREAUTH_PER_IP, PreauthPlaces};
use super::ws::{self, Connections};
use crate::cli::Failure;
use crate::cli::gateway::run::RunOptions;

/// Mails that may wait in front of presence.
const PRESENCE_MAILBOX: usize = 1024;
/// How long the log may take to write its first line.
const LOG_LIMIT: Duration = Duration::from_millis(200);

/// The running gateway.
pub struct Gateway {
    pub services: Arc<Services>,
    pub tree: Tree,
    /// Lifts safe mode after a while.
    _safe_mode: Option<Task>,
}

/// Starts everything, in safe mode when `crashes` says why. On error everything that was started has been stopped again.
pub async fn start(
    mut options: RunOptions,
    made_up_token: Option<String>,
    sockets: Sockets,
    log: LogHandle,
    crashes: Option<String>,
) -> Result<Gateway, Failure> {
    let token = options.listen.credentials.token.take().or(made_up_token);
    if let Some(token) = &token {
        let registered = log.redactor().register([token.as_str()]);
        registered
            .map_err(|error| Failure::error(format!("the token could not be registered for redaction: {error}")))?;
    }
    let listen = &options.listen;
    let secrets = SharedSecrets::new(listen.auth_mode, token.as_deref(), listen.credentials.password.as_deref());
    let auth = Auth::new(secrets, &options.snapshot.settings.gateway.auth.rate_limit);
    options.listen.credentials.token = token;
    let services = services(&options, auth, log);
    announce(&services, &sockets);
    let safe_mode = crashes.map(|reason| boots::enter_safe_mode(&services, reason));
    let front = front(&services, sockets);
    let args = TreeArgs {
        context: Arc::clone(&services.context),
        config: config_args(&options, &services),
        presence: services.presence.clone(),
        presence_args: PresenceArgs {
            events: services.context.events.clone(),
            versions: Arc::clone(&services.versions),
            own: own_presence(),
        },
        devices: services.devices.clone(),
        devices_args: DevicesArgs { store: services.context.store.clone(), events: services.context.events.clone() },
        front,
    };
    let tree = tree::start(args).await.map_err(|error| {
        Failure::error(format!("Gateway failed to start: {error}. Run openclaw gateway status --deep for diagnostics."))
    })?;
    Ok(Gateway { services, tree, _safe_mode: safe_mode })
}

/// Mode token without a token: one for this run, never logged.
pub fn made_up_token(options: &RunOptions) -> Option<String> {
    if options.listen.auth_mode != AuthMode::Token || options.listen.credentials.token.is_some() {
        return None;
    }
    tracing::warn!(
        target: "gateway",
        "no gateway token is configured; one was made for this run, and only commands of this user on this host know it"
    );
    let mut bytes = [0u8; 24];
    rand::rng().fill_bytes(&mut bytes);
    Some(hex::encode(bytes))
}

fn services(options: &RunOptions, auth: Auth, log: LogHandle) -> Arc<Services> {
    let config = ConfigHandle::new(options.snapshot.clone());
    let context = Arc::new(context(&options.paths, &config));
    let connections: Connections = Group::new("connections");
    let health =
        Health { address: Address::new("health", health::MAILBOX), cache: Cache::default(), config: config.clone() };
    let per_ip = options.env.get("OPENCLAW_MAX_PREAUTH_CONNECTIONS_PER_IP").and_then(|text| text.parse().ok());
    Arc::new(Services {
        version: VERSION,
        paths: options.paths.clone(),
        process_env: options.process_env.clone(),
        cwd: options.cwd.clone(),
        started: context.started,
        sessions: context.sessions.clone(),
        presence: Presence::new("presence", PRESENCE_MAILBOX),
        versions: Arc::new(Versions::default()),
        devices: Devices::new("devices", devices::MAILBOX),
        health,
        auth,
        preauth: PreauthPlaces::new(per_ip.unwrap_or(PREAUTH_PER_IP)),
        clients: Clients::default(),
        connections,
        control_budget: ControlBudget::default(),
        next_start: Arc::new(NextStart::after(options)),
        config_status: SharedReloadStatus::default(),
        reload: Arc::default(),
        log,
        state_dir: options.paths.state_dir.clone(),
        ready: AtomicBool::new(false),
        config,
        context,
    })
}

/// What sessions and runs share; nothing in it is running yet.
pub fn context(paths: &Paths, config: &ConfigHandle) -> Context {
    // An owner who has configured nothing may have a model server running; one who has is not surprised by it.
    let local_urls = (local::OLLAMA_URL.to_owned(), local::LM_STUDIO_URL.to_owned());
    let models = ConfiguredModels::new(config.clone(), HttpClients::default(), Some(local_urls));
    let (events, directory) = (Events::new("events", events::MAILBOX), Directory::default());
    let (store, heartbeat) = (Store::new(&paths.state_dir), Heartbeat::default());
    let main = Teller { store: store.clone(), config: config.clone(), heartbeat: heartbeat.clone() };
    let skipped = config.load().env.get("OPENCLAW_SKIP_CRON").is_some_and(|text| text.trim() == "1");
    Context {
        store,
        config: config.clone(),
        overview: Overview::new(events.clone(), directory.clone()),
        draining: AtomicBool::new(false),
        restarts: Restarts::default(),
        safe_mode: SafeMode::default(),
        disk: Disk::default(),
        pressure: Pressure::default(),
        events,
        sessions: Sessions::new("sessions"),
        channels: Channels::default(),
        heartbeat,
        cron: Cron::new(Some(Arc::new(main)), skipped),
        directory,
        lanes: Lanes { main: Lane::new("main", config.load().settings.agents.defaults.max_concurrent) },
        models: Arc::new(models),
        started: Instant::now(),
        version: VERSION,
        host: logging::hostname(),
        workspace_default: paths.workspace_default.clone(),
        home: paths.home.clone(),
    }
}

/// Lines that operators look for.
fn announce(services: &Services, sockets: &Sockets) {
    for socket in &sockets.bound {
        if let Ok(address) = socket.local_addr() {
            tracing::info!(target: "gateway", "http server listening on {address}");
        }
    }
    services.log.flush(LOG_LIMIT); // the file's name is known with its first line
    if let Some(file) = services.log.current_file() {
        tracing::info!(target: "gateway", "log file: {}", file.display());
    }
}

/// The front in start order: health, connections, then the port.
fn front(services: &Arc<Services>, sockets: Sockets) -> Vec<Child> {
    let clients = services.clients.clone();
    let health_args = HealthArgs {
        store: services.context.store.clone(),
        config: services.config.clone(),
        channels: services.context.channels.clone(),
        events: services.context.events.clone(),
        versions: Arc::clone(&services.versions),
        cache: services.health.cache.clone(),
        connected: Arc::new(move || !clients.is_empty()),
    };
    let permanent = |kind| ChildSpec::new(kind, Restart::Permanent);
    let mut front = vec![
        health::child(services.health.address.clone(), health_args, permanent("health")),
        services
            .connections
            .child(permanent("connections").vital(), ws::group_spec(services.context.overview.observer())),
    ];
    front.extend(
        sockets
            .bound
            .into_iter()
            .map(|socket| listener::child(socket, Arc::clone(services), permanent("listener").vital())),
    );
    front
}

fn config_args(options: &RunOptions, services: &Arc<Services>) -> ConfigArgs {
    let next_start = Arc::clone(&services.next_start);
    ConfigArgs {
        handle: services.config.clone(),
        paths: options.paths.clone(),
        env: options.process_env.clone(),
        cwd: options.cwd.clone(),
        events: services.context.events.clone(),
        status: Arc::clone(&services.config_status),
        reload: Arc::clone(&services.reload),
        apply: apply(options, services),
        refusal: Arc::new(move |snapshot| next_start.refusal(snapshot)),
        restarts: services.context.restarts.clone(),
    }
}

/// What a new configuration changes at once. The tree holds the services weakly here: it is itself part of them.
fn apply(options: &RunOptions, services: &Arc<Services>) -> Apply {
    let services = Arc::downgrade(services);
    let logs = RunOptionsForLogs { log_level: options.log_level.clone(), verbose: options.verbose };
    let listen = options.listen.clone();
    let overridden = options.credentials_overridden;
    Arc::new(move |snapshot: &Arc<Snapshot>| {
        let Some(services) = services.upgrade() else { return };
        services.context.lanes.main.resize(snapshot.settings.agents.defaults.max_concurrent);
        services.context.channels.configuration_changed();
        services.context.heartbeat.configuration_changed();
        services.context.cron.look();
        logging::apply(&services.log, &logs, snapshot);
        let configured = load::shared_secrets(snapshot);
        let (token, password) = if overridden {
            (listen.credentials.token.as_deref(), listen.credentials.password.as_deref())
        } else {
            (configured.token.or(listen.credentials.token.as_deref()), configured.password)
        };
        let secrets = SharedSecrets::new(listen.auth_mode, token, password);
        if services.auth.replace(secrets, &snapshot.settings.gateway.auth.rate_limit) {
            let now = services.auth.generation();
            let closed = services.clients.close_where(4001, AUTH_CHANGED, |client| !client.is_current(now));
            tracing::info!(target: "gateway", closed, "gateway auth changed");
        }
    })
}

fn own_presence() -> PresenceEntry {
    let host = logging::hostname();
    PresenceEntry {
        version: Some(VERSION.to_owned()),
        platform: Some(std::env::consts::OS.to_owned()),
        mode: Some("gateway".into()),
        reason: Some("self".into()),
        text: Some(format!("Gateway: {host} · app {VERSION} · mode gateway · reason self")),
        host: Some(host),
        ..PresenceEntry::default()
    }
}
