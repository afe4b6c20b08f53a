//! The config actor: watches the file, publishes what it says, or keeps what is in force and says why.
//!
//! parent: foundation · children: the watching task · restart: permanent
//!
//! A change is prepared as a whole (read, checked, secrets resolved) and published in one swap; anything that fails
//! before leaves the snapshot in force untouched. What cannot change while running is reported as pending, and a restart
//! is asked for if a gateway would start with the whole.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::{Value, json};

use super::dotenv;
use super::env::Env;
use super::handle::{ConfigHandle, Snapshot};
use super::issue::{ConfigError, Issue, KeyPath};
use super::paths::Paths;
use super::reload::{self, ReloadPlan};
use super::settings::ReloadMode;
use super::watch::Watch;
use super::{backup, diff, load, redact, settle};
use crate::events::{Event, Events, EventsMsg};
use crate::restart::{Cause, Drain, Request, Restarts};
use crate::run::stream::now_ms;
use crate::supervision::task::{self, Task, TaskEnd};
use crate::supervision::{Address, Child, ChildSpec, Mail};

/// How long reading and activating a changed configuration may take.
const PREPARE_LIMIT: Duration = Duration::from_secs(60);

/// What became of the latest change, for status and health.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReloadStatus {
    /// Milliseconds since the epoch; `None` before the first change.
    pub at: Option<i64>,
    /// Problems that keep the latest text from taking effect.
    pub issues: Vec<Issue>,
    /// Changed paths that wait for a restart.
    pub pending: Vec<String>,
    /// Why the gateway does not restart itself for them.
    pub held: Option<String>,
}

impl ReloadStatus {
    /// `ok`, `invalid` or `restart-pending`.
    pub fn word(&self) -> &'static str {
        match (self.issues.is_empty(), self.pending.is_empty()) {
            (false, _) => "invalid",
            (true, false) => "restart-pending",
            (true, true) => "ok",
        }
    }
}

/// Where the status is read; clones share it.
pub type SharedReloadStatus = Arc<ArcSwap<ReloadStatus>>;

/// Called with each new snapshot after it is in force. Short: it hands news on.
pub type Apply = Arc<dyn Fn(&Arc<Snapshot>) + Send + Sync>;

/// Why a gateway would not start with a configuration. May block.
pub type Refusal = Arc<dyn Fn(&Snapshot) -> Option<String> + Send + Sync>;

/// What the actor is started with.
#[derive(Clone)]
pub struct ConfigArgs {
    pub handle: ConfigHandle,
    pub paths: Paths,
    /// The environment of the process, without any file's.
    pub env: Env,
    /// The directory whose `.env` counts.
    pub cwd: std::path::PathBuf,
    pub events: Events,
    pub status: SharedReloadStatus,
    /// Notified, the file is read again whether it has changed or not.
    pub reload: Arc<tokio::sync::Notify>,
    pub apply: Apply,
    pub refusal: Refusal,
    pub restarts: Restarts,
}

/// What the actor can be told.
pub enum ConfigMsg {
    /// The watching task is over, which it never is by itself.
    WatchEnded(TaskEnd<()>),
}

struct ConfigActor;

struct ConfigState {
    _watch: Task,
}

/// The config actor as a child of the foundation.
pub fn child(args: ConfigArgs, spec: ChildSpec) -> Child {
    Child::leaf(spec, Address::new("config", 1), args, || ConfigActor)
}

impl Actor for ConfigActor {
    type Msg = Mail<ConfigMsg>;
    type State = ConfigState;
    type Arguments = ConfigArgs;

    async fn pre_start(&self, me: ActorRef<Self::Msg>, args: ConfigArgs) -> Result<ConfigState, ActorProcessingErr> {
        let watch = task::spawn_reporting("config-watch", watch(args), move |end| {
            let _ = me.send_message(Mail::own(ConfigMsg::WatchEnded(end))); // gone only when the task was aborted
        });
        Ok(ConfigState { _watch: watch })
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        mail: Self::Msg,
        _: &mut ConfigState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(ConfigMsg::WatchEnded(end)) = mail.open().await? else { return Ok(()) };
        Err(format!("the configuration is no longer watched: {end:?}").into())
    }
}

/// Follows the file for ever. What changed before the watch stood is found by its first look.
async fn watch(args: ConfigArgs) {
    let current = args.handle.load();
    keep_last_good(&current).await;
    let mut watch = Watch::start(&args.paths.config_path, &current.includes).await;
    consider(&args).await;
    loop {
        let current = args.handle.load();
        watch.follow(&args.paths.config_path, &current.includes).await;
        let debounce = Duration::from_millis(current.settings.gateway.reload.debounce_ms);
        let change = tokio::select! {
            change = watch.next_change(debounce) => change,
            () = args.reload.notified() => settle::Change::Changed,
        };
        match change {
            settle::Change::Changed => consider(&args).await,
            settle::Change::Vanished => tracing::warn!(target: "gateway/reload", "{}", reload::SKIPPED_MISSING),
        }
    }
}

/// Reads the file and does what its changes ask for.
async fn consider(args: &ConfigArgs) {
    let current = args.handle.load();
    match tokio::time::timeout(PREPARE_LIMIT, prepare(&args.paths, &args.env, &args.cwd)).await {
        Ok(Ok(next)) => take_over(args, &current, next).await,
        Ok(Err(error)) => skip(args, error.issues),
        Err(_) => tracing::error!(target: "gateway/reload", "a changed configuration was not ready in time; skipped"),
    }
}

/// The configuration as the files have it now, checked as a whole and its secrets resolved. `env`: of the process alone.
pub async fn prepare(paths: &Paths, env: &Env, cwd: &Path) -> Result<Snapshot, ConfigError> {
    let (paths, env, cwd) = (paths.clone(), env.clone(), cwd.to_owned());
    let read = task::blocking(move || load::load(&paths, &dotenv::layered(env, &cwd, &paths))).await;
    match read {
        Ok(loaded) => load::activate(loaded?).await,
        Err(panic) => Err(Issue::at(super::issue::IssueCode::Parse, super::issue::ROOT, panic).into()),
    }
}

async fn take_over(args: &ConfigArgs, current: &Snapshot, next: Snapshot) {
    if current.exists && !next.exists {
        return tracing::warn!(target: "gateway/reload", "{}", reload::SKIPPED_MISSING);
    }
    let changed = diff::changed(&current.source, &next.source);
    if changed.is_empty() {
        args.restarts.withdraw(Cause::Config);
        return settle(args, ReloadStatus::default(), Vec::new());
    }
    let mode = current.settings.gateway.reload.mode;
    let plan = reload::plan(mode, &changed);
    tracing::info!(target: "gateway/reload", "{}", reload::line(reload::CHANGE_DETECTED, &plan.paths()));
    let mut pending = [plan.needs_restart.clone(), plan.ignored.clone()].concat();
    let mut applied = Vec::new();
    let held = held(args, mode, &plan, &next).await;
    let part = match (plan.publishes(), plan.held.is_empty()) {
        (false, _) => None,
        (true, true) => Some(next),
        (true, false) => without(args, current, next, plan.held.clone()).await,
    };
    match part {
        Some(part) => {
            applied.clone_from(&plan.apply_hot);
            keep_last_good(&part).await;
            let published = args.handle.publish(part);
            (args.apply)(&published);
        }
        None => pending.extend_from_slice(&plan.apply_hot),
    }
    report(mode, &plan, &applied);
    let due = !plan.held.is_empty() && held.is_none();
    settle(args, ReloadStatus { pending, held, ..ReloadStatus::default() }, applied);
    if due {
        let reason = reload::line("config change", &plan.needs_restart);
        args.restarts.request(Request { cause: Cause::Config, reason, drain: Drain::Configured });
    } else {
        args.restarts.withdraw(Cause::Config);
    }
}

/// Why there is no restart for what has to wait. `None`: there is one, or nothing waits.
async fn held(args: &ConfigArgs, mode: ReloadMode, plan: &ReloadPlan, next: &Snapshot) -> Option<String> {
    let held = match reload::held(mode, plan) {
        Some(why) => Some(why.to_owned()),
        None if plan.held.is_empty() => None,
        None => {
            let (refusal, next) = (Arc::clone(&args.refusal), next.clone());
            task::blocking(move || refusal(&next)).await.unwrap_or_else(Some)
        }
    };
    if let Some(why) = &held {
        tracing::warn!(target: "gateway/reload", "the gateway does not restart itself: {why}");
    }
    held
}

/// The part of a change that can take effect now. `None`: it makes no sense without what has to wait, so all waits.
async fn without(args: &ConfigArgs, current: &Snapshot, next: Snapshot, held: Vec<KeyPath>) -> Option<Snapshot> {
    let (paths, env, cwd, current) = (args.paths.clone(), args.env.clone(), args.cwd.clone(), current.clone());
    let part =
        task::blocking(move || load::holding_back(&next, &current, &held, &paths, &dotenv::layered(env, &cwd, &paths)));
    let activated = match part.await {
        Ok(Ok(part)) => tokio::time::timeout(PREPARE_LIMIT, load::activate(part)).await.ok()?,
        Ok(Err(error)) => Err(error),
        Err(panic) => {
            tracing::error!(target: "gateway/reload", error = %panic, "a part of a change could not be prepared");
            return None;
        }
    };
    if let Err(error) = &activated {
        let texts: Vec<String> = error.issues.iter().map(Issue::to_text).collect();
        tracing::warn!(
            target: "gateway/reload", "nothing is applied before the restart; alone it would be invalid: {}",
            texts.join("; ")
        );
    }
    activated.ok()
}

fn report(mode: ReloadMode, plan: &ReloadPlan, applied: &[String]) {
    if mode == ReloadMode::Off {
        return tracing::info!(target: "gateway/reload", "{}", reload::DISABLED);
    }
    let lines = [
        (reload::RESTART_REQUIRED, plan.needs_restart.as_slice()),
        (reload::HOT_IGNORING, &plan.ignored),
        (reload::HOT_APPLIED, applied),
    ];
    for (text, paths) in lines.into_iter().filter(|(_, paths)| !paths.is_empty()) {
        tracing::info!(target: "gateway/reload", "{}", reload::line(text, paths));
    }
}

/// A file that cannot be used changes nothing; everybody who asks is told.
fn skip(args: &ConfigArgs, issues: Vec<Issue>) {
    let texts: Vec<String> = issues.iter().map(Issue::to_text).collect();
    tracing::warn!(target: "gateway/reload", "{}: {}", reload::SKIPPED_INVALID, texts.join("; "));
    args.restarts.withdraw(Cause::Config);
    settle(args, ReloadStatus { issues, ..ReloadStatus::default() }, Vec::new());
}

fn settle(args: &ConfigArgs, status: ReloadStatus, applied: Vec<String>) {
    let known = args.status.load();
    let unchanged = (&known.issues, &known.pending, &known.held) == (&status.issues, &status.pending, &status.held);
    if unchanged && applied.is_empty() {
        return;
    }
    let status = ReloadStatus { at: Some(now_ms()), ..status };
    let issues: Vec<Value> = status.issues.iter().map(Issue::to_json).collect();
    let payload = json!({
        "ts": now_ms(), "status": status.word(), "issues": issues, "applied": applied, "pending": status.pending,
        "held": status.held,
        "generation": args.handle.load().generation,
    });
    args.status.store(Arc::new(status));
    if let Err(error) = args.events.try_send(EventsMsg::Publish(Event::broadcast("config.reload", &payload))) {
        tracing::debug!(%error, "config event not sent; status shows it");
    }
}

/// Keeps a copy of a text that works, unless it holds a placeholder instead of a secret.
async fn keep_last_good(snapshot: &Snapshot) {
    let Some(text) = snapshot.text.clone().filter(|_| !redact::has_placeholder(&snapshot.source)) else { return };
    let path = snapshot.path.clone();
    let kept = task::blocking(move || backup::keep_last_good(&path, &text)).await;
    if !matches!(kept, Ok(Ok(()))) {
        tracing::warn!(target: "gateway/reload", ?kept, "no copy of the working configuration could be kept");
    }
}
