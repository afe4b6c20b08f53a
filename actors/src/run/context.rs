//! What sessions and runs share: handles on the rest of the tree, and what the configuration means for an agent.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::directory::Directory;
use super::lane::Lane;
use super::models::{Candidate, ModelSource};
use super::prompt::{self, PromptInput, Runtime};
use super::safe_mode::SafeMode;
use super::turn::TurnArgs;
use super::workspace::{self, WorkspaceLimits};
use crate::channels::Channels;
use crate::config::ConfigHandle;
use crate::config::paths::expand_tilde;
use crate::config::settings::{AgentEntry, Settings};
use crate::cron::Cron;
use crate::disk::Disk;
use crate::events::Events;
use crate::heartbeat::Heartbeat;
use crate::memory::Pressure;
use crate::model::provider::ToolSpec;
use crate::protocol::agent::PromptMode;
use crate::protocol::session::{SessionDefaults, ThinkingOption};
use crate::restart::Restarts;
use crate::session::reset::{self, ResetRule};
use crate::session::thinking::COMMON_LEVELS;
use crate::session::{AgentId, KeyRules, SessionEntry, SessionKey, Sessions};
use crate::store::Store;
use crate::supervision::task;
use crate::tools::policy::Stage;
use crate::tools::{Toolbox, builtin};
use crate::tree::overview::Overview;

/// The global lanes.
#[derive(Clone)]
pub struct Lanes {
    /// Turns of people: `agents.defaults.maxConcurrent` wide.
    pub main: Lane,
}

/// Shared by every session and run, behind its `Arc`.
pub struct Context {
    pub store: Store,
    pub config: ConfigHandle,
    pub events: Events,
    pub sessions: Sessions,
    pub channels: Channels,
    pub heartbeat: Heartbeat,
    pub cron: Cron,
    pub directory: Directory,
    pub overview: Overview,
    /// The gateway goes down: nothing new begins, what is accepted waits for the next start.
    pub draining: AtomicBool,
    pub restarts: Restarts,
    pub safe_mode: SafeMode,
    pub disk: Disk,
    pub pressure: Pressure,
    pub lanes: Lanes,
    pub models: Arc<dyn ModelSource>,
    pub started: tokio::time::Instant,
    pub version: &'static str,
    pub host: String,
    /// Workspace of the default agent when the configuration names none.
    pub workspace_default: PathBuf,
    pub home: PathBuf,
}

impl Context {
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// How keys are read under the configuration in force.
    pub fn key_rules(&self) -> KeyRules {
        key_rules(&self.config.load().settings)
    }

    /// The agent that a session belongs to; global sessions belong to the default one.
    pub fn agent_of(&self, key: &SessionKey) -> AgentId {
        key.agent().unwrap_or_else(|| default_agent(&self.config.load().settings))
    }

    /// The person's time zone: configured, else the machine's.
    pub fn zone(&self) -> TimeZone {
        zone(&self.config.load().settings)
    }

    /// Must the next message start a new conversation?
    pub fn is_stale(&self, entry: &SessionEntry, now_ms: i64) -> bool {
        let snapshot = self.config.load();
        let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
        let rule = ResetRule::from_settings(snapshot.settings.session.reset.as_ref());
        reset::is_stale(rule, entry, &now.to_zoned(TimeZone::system())).is_some()
    }

    /// The agent's workspace directory.
    pub fn workspace(&self, agent: &AgentId) -> PathBuf {
        let snapshot = self.config.load();
        let agents = &snapshot.settings.agents;
        let base = agents.defaults.workspace.as_deref().map(|path| expand_tilde(path, &self.home));
        let base = base.unwrap_or_else(|| self.workspace_default.clone());
        let entry = agent_entry(&snapshot.settings, agent);
        match entry.and_then(|entry| entry.workspace.as_deref()) {
            Some(own) => expand_tilde(own, &self.home),
            None if *agent == default_agent(&snapshot.settings) => base,
            None => base.join(agent.as_str()),
        }
    }

    /// What holds for a session of this agent that sets nothing itself.
    pub fn session_defaults(&self, key: &SessionKey) -> SessionDefaults {
        let agent = self.agent_of(key);
        let (reference, context_tokens) = self.models.default_of(&agent);
        let (model_provider, model) = reference.split_once('/').unwrap_or(("", reference.as_str()));
        let levels = COMMON_LEVELS.iter().map(|level| level.as_str().to_owned());
        let snapshot = self.config.load();
        SessionDefaults {
            model_provider: model_provider.to_owned(),
            model: model.to_owned(),
            context_tokens,
            thinking_levels: levels.clone().map(|id| ThinkingOption { label: id.clone(), id }).collect(),
            thinking_options: levels.collect(),
            thinking_default: thinking_default(&snapshot.settings, &agent).to_owned(),
        }
    }

    /// How hard the model is to think in this turn: what the turn, the session, its agent or the defaults say.
    pub fn thinking(&self, args: &TurnArgs) -> String {
        let chosen = args.turn.thinking.as_deref().or(args.entry.thinking_level.as_deref());
        let snapshot = self.config.load();
        chosen.unwrap_or_else(|| thinking_default(&snapshot.settings, &self.agent_of(&args.key))).to_owned()
    }

    /// The tools of a session under the configuration in force.
    pub fn toolbox(self: &Arc<Self>) -> Toolbox {
        let snapshot = self.config.load();
        let tools = &snapshot.settings.tools;
        let stage = Stage { source: "tools", allow: tools.allow.as_deref(), deny: &tools.deny };
        let chars_max = snapshot.settings.agents.defaults.context_limits.tool_result_max_chars;
        Toolbox::new(builtin::all(self), &[stage], chars_max)
    }

    /// The system prompt of one turn. Reads the workspace on the blocking pool.
    pub async fn system_prompt(&self, args: &TurnArgs, candidates: &[Candidate], tools: &[ToolSpec]) -> String {
        let snapshot = self.config.load();
        let agent = self.agent_of(&args.key);
        let dir = self.workspace(&agent);
        let defaults = &snapshot.settings.agents.defaults;
        let limits = WorkspaceLimits {
            file_chars: defaults.bootstrap_max_chars,
            total_chars: defaults.bootstrap_total_max_chars,
        };
        let (from, with_memory) = (dir.clone(), workspace::sees_memory(&args.key));
        let files = task::blocking(move || workspace::load(&from, limits, with_memory)).await.unwrap_or_default();
        let described: Vec<(&str, &str)> =
            tools.iter().map(|tool| (tool.name.as_str(), tool.description.as_str())).collect();
        let model = candidates.first().map(Candidate::reference).unwrap_or_default();
        let (default_model, _) = self.models.default_of(&agent);
        let entry = agent_entry(&snapshot.settings, &agent);
        let name = entry.and_then(|entry| entry.identity.as_ref()?.name.as_deref().or(entry.name.as_deref()));
        let zone = self.zone();
        prompt::build(&PromptInput {
            mode: PromptMode::Full,
            agent_name: name,
            tools: &described,
            workspace: &dir.display().to_string(),
            files: &files,
            time_zone: zone.iana_name().unwrap_or("UTC"),
            extra: args.turn.extra_system_prompt.as_deref(),
            runtime: Runtime {
                agent: agent.as_str(),
                host: &self.host,
                os: std::env::consts::OS,
                model: &model,
                default_model: &default_model,
                shell: snapshot.env.get("SHELL"),
                channel: args.turn.channel.as_deref(),
                thinking: &self.thinking(args),
            },
        })
    }
}

/// How hard the models of this agent think when nothing else is said.
fn thinking_default<'a>(settings: &'a Settings, agent: &AgentId) -> &'a str {
    let own = agent_entry(settings, agent).and_then(|entry| entry.thinking_default.as_deref());
    own.or(settings.agents.defaults.thinking_default.as_deref()).unwrap_or("off")
}

/// The person's time zone: configured, else the machine's.
pub fn zone(settings: &Settings) -> TimeZone {
    let named = settings.agents.defaults.user_timezone.as_deref();
    named.and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system)
}

/// How keys are read under these settings.
pub fn key_rules(settings: &Settings) -> KeyRules {
    KeyRules { default_agent: default_agent(settings), scope: settings.session.scope }
}

/// The first agent marked as default, else the first one, else `main`.
pub fn default_agent(settings: &Settings) -> AgentId {
    let list = &settings.agents.list;
    let entry = list.iter().find(|agent| agent.default).or_else(|| list.first());
    entry.map_or_else(AgentId::main, |agent| AgentId::slug(&agent.id))
}

/// The configured entry of an agent.
pub fn agent_entry<'a>(settings: &'a Settings, agent: &AgentId) -> Option<&'a AgentEntry> {
    settings.agents.list.iter().find(|entry| AgentId::slug(&entry.id) == *agent)
}

/// Every agent that there is: the configured ones, or `main` alone.
pub fn agents(settings: &Settings) -> Vec<AgentId> {
    match settings.agents.list.as_slice() {
        [] => vec![AgentId::main()],
        list => list.iter().map(|entry| AgentId::slug(&entry.id)).collect(),
    }
}
