//! What slash commands answer, and what they change.

use super::command::{self, Command, Directive, Setting};
use super::entry::{OverrideSource, SessionEntry};
use super::phase::Phase;
use super::queue::{self, mode_name};
use super::state::{SessionState, new_session_id};
use super::status_card::{self, StatusCard, Tokens};
use super::thinking::{COMMON_LEVELS, names};
use crate::run::message::{Authority, Turn};
use crate::run::stream::now_ms;

/// The answer to a message without text.
pub const NOTHING_SAID: &str = "There was nothing to answer: the message is empty.";

/// What a command does.
pub struct Effect {
    pub reply: String,
    /// The entry as it becomes; `None`: unchanged.
    pub entry: Option<SessionEntry>,
}

impl Effect {
    fn says(reply: impl Into<String>) -> Self {
        Self { reply: reply.into(), entry: None }
    }
}

/// The answer to a word that is no value.
pub fn unknown_value(word: &str) -> String {
    format!("⚠️ \"{word}\" is not a value that this setting has. /help lists the commands.")
}

/// Carries out a command that needs no model.
pub fn execute(state: &SessionState, command: &Command, turn: &Turn) -> Effect {
    match command {
        Command::Status => Effect::says(card(state)),
        Command::Help => Effect::says(command::help()),
        Command::Commands => Effect::says(command::list()),
        Command::WhoAmI if turn.authority == Authority::Owner => {
            Effect::says(format!("You are the owner of this gateway, in session {}.", state.key))
        }
        Command::WhoAmI => {
            let (name, channel) = (turn.sender.as_deref(), turn.channel.as_deref());
            let (name, channel) = (name.unwrap_or("somebody"), channel.unwrap_or("a chat"));
            Effect::says(format!("You are {name} on {channel}, and may talk to the agent here."))
        }
        Command::Models(provider) => Effect::says(models(state, provider)),
        Command::Directives { list, .. } => directives(state, list),
        // The others do not get here: they are no immediate commands, or handled before.
        _ => Effect::says(command::help()),
    }
}

fn directives(state: &SessionState, list: &[Directive]) -> Effect {
    let mut entry = state.entry.clone().unwrap_or_else(|| SessionEntry::new(new_session_id(), now_ms()));
    let mut replies = Vec::new();
    for directive in list {
        replies.push(match directive {
            Directive::Think(setting) => think(&mut entry, setting),
            Directive::Model(setting) => model(state, &mut entry, setting),
            Directive::Queue(setting) => queue(state, &mut entry, setting),
        });
    }
    Effect { reply: replies.join("\n"), entry: Some(entry) }
}

fn think(entry: &mut SessionEntry, setting: &Setting<super::thinking::ThinkLevel>) -> String {
    match setting {
        Setting::Show => {
            let level = entry.thinking_level.as_deref().unwrap_or("off");
            format!("Current thinking level: {level}.\nOptions: {}.", names(&COMMON_LEVELS, ", "))
        }
        Setting::Set(level) => {
            entry.thinking_level = Some(level.as_str().to_owned());
            match level.as_str() {
                "off" => "Thinking disabled.".to_owned(),
                level => format!("Thinking level set to {level}."),
            }
        }
        Setting::Default => {
            entry.thinking_level = None;
            "Thinking level reset to default.".to_owned()
        }
        Setting::Unknown(word) => unknown_value(word),
    }
}

fn queue(
    state: &SessionState,
    entry: &mut SessionEntry,
    setting: &Setting<crate::config::settings::QueueMode>,
) -> String {
    let configured = &state.context.config.load().settings.messages.queue;
    match setting {
        Setting::Show => {
            let mode = queue::mode(None, entry.queue_mode.as_deref(), None, configured);
            format!("Current queue mode: {}.\nOptions: steer, followup, collect, interrupt.", mode_name(mode))
        }
        Setting::Set(mode) => {
            entry.queue_mode = Some(mode_name(*mode).to_owned());
            format!("⚙️ Queue mode set to {}.", mode_name(*mode))
        }
        Setting::Default => {
            entry.queue_mode = None;
            "⚙️ Queue mode reset to default.".to_owned()
        }
        Setting::Unknown(word) => unknown_value(word),
    }
}

fn model(state: &SessionState, entry: &mut SessionEntry, setting: &Setting<String>) -> String {
    let default = state.context.models.default_of(&state.context.agent_of(&state.key)).0;
    match setting {
        Setting::Show => {
            let chosen = entry.provider_override.as_ref().zip(entry.model_override.as_ref());
            let current = chosen.map_or_else(|| default.clone(), |(provider, model)| format!("{provider}/{model}"));
            format!("Current model: {current}.\nDefault: {default}. /models lists what may be chosen.")
        }
        Setting::Default => {
            entry.override_model(None);
            format!("Model reset to default ({default}).")
        }
        Setting::Set(text) if text == "list" => models(state, ""),
        Setting::Set(text) | Setting::Unknown(text) => match state.context.models.resolve(text) {
            Ok((provider, model)) => {
                entry.override_model(Some((&provider, &model, OverrideSource::User)));
                format!("Model set to {provider}/{model} for this session.")
            }
            Err(problem) => problem,
        },
    }
}

/// Is this text, after `/new`, the name of a model rather than a first message?
pub fn names_model(state: &SessionState, text: &str) -> bool {
    !text.contains(char::is_whitespace) && state.context.models.is_known(text)
}

/// Sets the session's model.
pub fn set_model(state: &SessionState, text: &str) -> Effect {
    directives(state, &[Directive::Model(Setting::Set(text.to_owned()))])
}

fn models(state: &SessionState, provider: &str) -> String {
    let all = state.context.models.offered();
    if provider.is_empty() {
        let mut providers: Vec<(String, usize)> = Vec::new();
        for reference in &all {
            let name = reference.split('/').next().unwrap_or_default();
            match providers.iter_mut().find(|(known, _)| known == name) {
                Some((_, count)) => *count += 1,
                None => providers.push((name.to_owned(), 1)),
            }
        }
        let lines: Vec<String> = providers.iter().map(|(name, count)| format!("- {name} ({count})")).collect();
        return format!("Providers:\n{}\n/models <provider> lists its models.", lines.join("\n"));
    }
    let prefix = format!("{provider}/");
    let own: Vec<String> = all
        .iter()
        .filter(|reference| reference.starts_with(&prefix))
        .map(|reference| format!("- {reference}"))
        .collect();
    if own.is_empty() {
        return format!("No models of \"{provider}\" may be chosen. /models lists the providers.");
    }
    format!("Models of {provider}:\n{}\n/model <provider/model> chooses one.", own.join("\n"))
}

/// The card of this session.
pub fn card(state: &SessionState) -> String {
    let running = usize::from(matches!(state.phase, Phase::Running(_)));
    let status = state.status();
    render_card(&state.context, &state.key, status.entry.as_ref(), status.waiting, running)
}

/// The card of any session, from its entry.
pub fn render_card(
    context: &crate::run::context::Context,
    key: &super::key::SessionKey,
    entry: Option<&SessionEntry>,
    waiting: usize,
    running: usize,
) -> String {
    let default = context.models.default_of(&context.agent_of(key));
    let chosen = entry.and_then(|e| e.provider_override.as_ref().zip(e.model_override.as_ref()));
    let used = entry.and_then(|e| e.model_provider.as_ref().zip(e.model.as_ref()));
    let model = chosen.or(used).map_or(default.0, |(provider, model)| format!("{provider}/{model}"));
    let window = entry.and_then(|e| e.context_tokens).unwrap_or(default.1);
    let tokens = entry.and_then(|e| {
        Some(Tokens {
            input: e.input_tokens?,
            output: e.output_tokens?,
            cache_read: e.cache_read.unwrap_or_default(),
            cache_write: e.cache_write.unwrap_or_default(),
        })
    });
    let age = entry.and_then(|e| e.updated_at).and_then(|at| u64::try_from(now_ms() - at).ok());
    let configured = &context.config.load().settings.messages.queue;
    let mode = queue::mode(None, entry.and_then(|e| e.queue_mode.as_deref()), None, configured);
    status_card::render(&StatusCard {
        version: context.version,
        gateway_uptime: Some(context.started.elapsed()),
        model: Some(&model),
        tokens,
        cost: entry.and_then(|e| e.estimated_cost_usd),
        context: Some((entry.and_then(|e| e.total_tokens).filter(|n| *n > 0), window)),
        compactions: entry.map(|e| e.compaction_count.unwrap_or_default()),
        session: key.as_str(),
        updated: age.map(std::time::Duration::from_millis),
        tasks_active: running,
        execution: Some("direct"),
        think: Some(entry.and_then(|e| e.thinking_level.as_deref()).unwrap_or("off")),
        queue: Some((mode_name(mode), waiting)),
        ..StatusCard::default()
    })
}
