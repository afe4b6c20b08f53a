//! The tree of one test: a directory of its own, a scripted model, and what the front end would do with it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use openclaw_actors::channels::Channels;
use openclaw_actors::config::actor::ConfigArgs;
use openclaw_actors::config::env::Env;
use openclaw_actors::config::paths::{self, PathInputs};
use openclaw_actors::config::{ConfigHandle, load};
use openclaw_actors::cron::Cron;
use openclaw_actors::devices::{self, Devices, DevicesArgs};
use openclaw_actors::disk::Disk;
use openclaw_actors::events::{self, Entitlement, Events, EventsMsg, Outbox, Subscriber};
use openclaw_actors::heartbeat::Heartbeat;
use openclaw_actors::memory::Pressure;
use openclaw_actors::presence::{Presence, PresenceArgs, PresenceEntry};
use openclaw_actors::restart::Restarts;
use openclaw_actors::run::context::{Context, Lanes};
use openclaw_actors::run::directory::{Directory, Ticket};
use openclaw_actors::run::lane::Lane;
use openclaw_actors::run::message::{AbortCause, Authority, EndedRun, Outcome, Turn, TurnKind};
use openclaw_actors::run::safe_mode::SafeMode;
use openclaw_actors::run::stream::now_ms;
use openclaw_actors::session::{Admission, SessionError, SessionKey, SessionMsg, SessionStatus, Sessions};
use openclaw_actors::store::Store;
use openclaw_actors::supervision::{Child, Operation, Unavailable};
use openclaw_actors::tree::overview::Overview;
use openclaw_actors::tree::{self, Tree, TreeArgs};
use ractor::{ActorCell, RpcReplyPort};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::model::Scripted;

/// Long enough for anything that should happen at once on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
pub const MAIN: &str = "agent:main:main";
pub const OTHER: &str = "agent:main:other";

pub struct World {
    pub tree: Tree,
    pub context: Arc<Context>,
    pub model: Scripted,
    _dir: TempDir,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(json!({}), |_| Vec::new()).await
    }

    /// `config` is the configuration file; `front` makes the children of the front.
    pub async fn start_with(config: Value, front: impl FnOnce(&Arc<Context>) -> Vec<Child>) -> Self {
        Self::build(config, Channels::default(), Cron::default(), front).await
    }

    pub async fn start_with_channels(channels: Channels) -> Self {
        Self::build(json!({}), channels, Cron::default(), |_| Vec::new()).await
    }

    pub async fn start_with_cron(cron: Cron) -> Self {
        Self::build(json!({}), Channels::default(), cron, |_| Vec::new()).await
    }

    async fn build(
        config: Value,
        channels: Channels,
        cron: Cron,
        front: impl FnOnce(&Arc<Context>) -> Vec<Child>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::from_iter([("HOME", dir.path().to_str().unwrap())]);
        let inputs = PathInputs { cwd: dir.path().to_owned(), ..PathInputs::default() };
        let paths = paths::resolve(&inputs, &env).unwrap();
        openclaw_actors::files::ensure_dir(&paths.state_dir).unwrap();
        openclaw_actors::files::replace(&paths.config_path, config.to_string().as_bytes()).unwrap();
        let handle = ConfigHandle::new(load::load(&paths, &env).unwrap());
        let model = Scripted::new();
        let (events, directory) = (Events::new("events", events::MAILBOX), Directory::default());
        let context = Arc::new(Context {
            overview: Overview::new(events.clone(), directory.clone()),
            draining: AtomicBool::new(false),
            restarts: Restarts::default(),
            safe_mode: SafeMode::default(),
            disk: Disk::default(),
            pressure: Pressure::default(),
            store: Store::new(&paths.state_dir),
            config: handle.clone(),
            events,
            sessions: Sessions::new("sessions"),
            channels,
            heartbeat: Heartbeat::default(),
            cron,
            directory,
            lanes: Lanes { main: Lane::new("main", handle.load().settings.agents.defaults.max_concurrent) },
            models: Arc::new(model.clone()),
            started: Instant::now(),
            version: "0.0.0",
            host: "test".into(),
            workspace_default: paths.workspace_default.clone(),
            home: paths.home.clone(),
        });
        let events = context.events.clone();
        let args = TreeArgs {
            config: ConfigArgs {
                handle,
                paths,
                env,
                cwd: dir.path().to_owned(),
                events: events.clone(),
                status: Arc::default(),
                reload: Arc::default(),
                apply: Arc::new(|_| {}),
                refusal: Arc::new(|_| None),
                restarts: context.restarts.clone(),
            },
            presence: Presence::new("presence", 64),
            presence_args: PresenceArgs {
                events: events.clone(),
                versions: Arc::default(),
                own: PresenceEntry::default(),
            },
            devices: Devices::new("devices", devices::MAILBOX),
            devices_args: DevicesArgs { store: context.store.clone(), events },
            front: front(&context),
            context: Arc::clone(&context),
        };
        let tree = tree::start(args).await.unwrap();
        Self { tree, context, model, _dir: dir }
    }

    /// Asks a session, again while it is just coming back, as the front end does.
    pub async fn ask<T: Send + 'static>(&self, session: &str, message: impl Fn(RpcReplyPort<T>) -> SessionMsg) -> T {
        eventually("the session answers", async || {
            let session = self.context.sessions.get_or_start(key(session)).await.unwrap();
            match session.ask(SOON, &message).await {
                Ok(answer) => Some(answer),
                Err(Unavailable::Restarting(_) | Unavailable::WentDown(_)) => None,
                Err(error) => panic!("{error}"),
            }
        })
        .await
    }

    /// Hands a turn over under a ticket; one that is known keeps the ticket it has.
    pub async fn submit(&self, session: &str, turn: Turn) -> (Ticket, Result<Admission, SessionError>) {
        let registered = self.context.directory.register(&turn.run_id, session, turn.accepted_at, None);
        let ticket = registered.unwrap_or_else(|known| known);
        let admission = self.ask(session, |reply| SessionMsg::Submit(Box::new(turn.clone()), reply)).await;
        (ticket, admission)
    }

    /// Says something that must start a run at once.
    pub async fn begin(&self, session: &str, text: &str) -> Ticket {
        let (ticket, admission) = self.submit(session, chat(text)).await;
        assert_eq!(admission.unwrap(), Admission::Started);
        ticket
    }

    /// Says something and waits for the answer.
    pub async fn say(&self, session: &str, text: &str) -> String {
        let ticket = self.begin(session, text).await;
        completed(&ticket).await
    }

    /// Begins a turn whose model has begun to answer and waits to be released.
    pub async fn hold(&self, session: &str, name: &str) -> Ticket {
        let ticket = self.begin(session, &format!("hold:{name}")).await;
        self.asked_about(&format!("hold:{name}")).await;
        ticket
    }

    pub async fn asked_about(&self, text: &str) {
        eventually("the model is asked", async || (self.model.asked_about(text) > 0).then_some(())).await;
    }

    pub async fn abort(&self, session: &str) -> Vec<String> {
        let abort = |reply| SessionMsg::Abort { run_id: None, cause: AbortCause::Rpc, reply };
        self.ask(session, abort).await
    }

    pub async fn status(&self, session: &str) -> SessionStatus {
        self.ask(session, SessionMsg::Status).await
    }

    /// Waits until a session has nothing to do any more.
    pub async fn rests(&self, session: &str) {
        eventually("the session rests", async || {
            let status = self.status(session).await;
            (status.running.is_none() && status.waiting == 0).then_some(())
        })
        .await;
    }

    /// The living actor of a session.
    pub fn cell(&self, session: &str) -> ActorCell {
        self.context.sessions.get(&key(session)).unwrap().current().unwrap().get_cell()
    }

    /// Has an actor start again, and waits until it has.
    pub async fn restart(&self, name: &str) {
        self.context.overview.operate(name, Operation::Restart).await.unwrap();
    }

    /// What the transcript holds, oldest first, as `role: text`.
    pub async fn transcript(&self, session: &str) -> Vec<String> {
        let key = key(session);
        let read = self.context.store.read(move |db| transcript(db, &key));
        read.await.unwrap()
    }

    /// Everything that a reader would be sent from now on.
    pub async fn listen(&self) -> Outbox {
        let outbox = Outbox::new(1 << 24);
        let subscriber = Subscriber {
            conn: "listener".into(),
            entitlement: Entitlement { read: true, ..Entitlement::default() },
            tool_events: false,
            outbox: outbox.clone(),
        };
        self.context.events.send(EventsMsg::Subscribe(subscriber)).await.unwrap();
        outbox
    }
}

pub fn transcript(
    db: &openclaw_actors::store::Connection,
    key: &SessionKey,
) -> Result<Vec<String>, openclaw_actors::store::StoreError> {
    use openclaw_actors::session::lookup;
    let Some(entry) = lookup::entry(db, key)? else { return Ok(Vec::new()) };
    let said = |message: &Value| {
        let parts = message["content"].as_array().cloned().unwrap_or_default();
        let text: String = parts.iter().filter_map(|part| part["text"].as_str()).collect();
        format!("{}: {text}", message["role"].as_str().unwrap_or_default())
    };
    Ok(lookup::messages(db, &entry.session_id, 1000)?.iter().map(said).collect())
}

pub fn key(text: &str) -> SessionKey {
    SessionKey::from_stored(text.into())
}

pub fn chat(text: &str) -> Turn {
    Turn {
        run_id: uuid::Uuid::new_v4().to_string(),
        kind: TurnKind::Chat,
        text: text.into(),
        images: Vec::new(),
        model: None,
        thinking: None,
        extra_system_prompt: None,
        timeout_seconds: None,
        max_tokens: None,
        channel: None,
        route: None,
        sender: None,
        authority: Authority::Owner,
        heartbeat: None,
        resume: None,
        accepted_at: now_ms(),
    }
}

/// Waits for the end of a run, as whoever asked for it does.
pub async fn end_of(ticket: &Ticket) -> Arc<EndedRun> {
    let mut watch = ticket.ended.clone();
    let ended = timeout(SOON, watch.wait_for(Option::is_some)).await.expect("the run ends");
    ended.expect("the ticket is kept").clone().unwrap()
}

pub async fn completed(ticket: &Ticket) -> String {
    match &end_of(ticket).await.outcome {
        Outcome::Completed { text } => text.clone(),
        other => panic!("{other:?}"),
    }
}

/// What a failed run says to operators.
pub async fn failure(ticket: &Ticket) -> String {
    match &end_of(ticket).await.outcome {
        Outcome::Failed { message, .. } => message.clone(),
        other => panic!("{other:?}"),
    }
}

/// Asks until there is an answer.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + SOON;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < until, "not within {SOON:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
