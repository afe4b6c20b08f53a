//! Slash commands: which there are, how a message is read as one, and the help that lists them.
//!
//! Only what stands in [`COMMANDS`] works; everything else that looks like a command is `Other`, and whoever reads it
//! decides whether that is text for the model. Authorisation is the caller's. Source: chat commands of 2026.5.12.

use super::queue::parse_mode;
use super::reset::{ResetCommand, ResetKind, parse_reset_trigger};
use super::thinking::ThinkLevel;
use crate::config::settings::QueueMode;

/// A message that is a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Status,
    Help,
    Commands,
    WhoAmI,
    Reset(ResetCommand),
    Stop,
    /// The provider to list, or nothing.
    Models(String),
    /// Settings, from left to right. An empty message stores and confirms them; otherwise they hold for that message
    /// only.
    Directives {
        list: Vec<Directive>,
        message: String,
    },
    /// `/name args` that is none of ours.
    Other {
        name: String,
        args: String,
    },
}

/// A setting that may stand in front of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    Think(Setting<ThinkLevel>),
    Model(Setting<String>),
    Queue(Setting<QueueMode>),
}

/// What a directive wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting<T> {
    /// Nothing stands behind the name: how is it set?
    Show,
    Set(T),
    Default,
    /// A word that is no value.
    Unknown(String),
}

/// One command as help and `commands.list` show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandInfo {
    /// Without the slash.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// As in `[level]`; empty without arguments.
    pub args: &'static str,
    pub summary: &'static str,
    /// `session options status`.
    pub category: &'static str,
}

const fn info(
    name: &'static str,
    aliases: &'static [&'static str],
    args: &'static str,
    summary: &'static str,
    category: &'static str,
) -> CommandInfo {
    CommandInfo { name, aliases, args, summary, category }
}

/// Every command of this release.
pub const COMMANDS: [CommandInfo; 11] = [
    info("status", &[], "", "Shows model, tokens, context and queue of this session.", "status"),
    info("help", &[], "", "Shows this overview.", "status"),
    info("commands", &[], "", "Lists all commands.", "status"),
    info("whoami", &["id"], "", "Shows who you are to the gateway.", "status"),
    info("new", &[], "[model] [message]", "Begins a new conversation.", "session"),
    info("reset", &[], "[soft] [message]", "Begins anew; soft keeps the history.", "session"),
    info("stop", &[], "", "Stops the current answer and forgets what waits.", "session"),
    info("model", &[], "[provider/model | default]", "Shows or sets the model of this session.", "options"),
    info("models", &[], "[provider]", "Lists the models that may be chosen.", "options"),
    info("think", &["thinking", "t"], "[level | default]", "Shows or sets how much the model reasons.", "options"),
    info("queue", &[], "[mode | default]", "Shows or sets what happens to messages during an answer.", "options"),
];

/// Reads a whole message as a command. `None`: it is no command. `triggers` are the configured reset triggers.
pub fn parse(text: &str, triggers: &[String]) -> Option<Command> {
    if let Some(reset) = parse_reset_trigger(text, triggers) {
        return Some(Command::Reset(reset));
    }
    let (name, args) = split(text)?;
    Some(match canonical(&name) {
        Some("status") => Command::Status,
        Some("help") => Command::Help,
        Some("commands") => Command::Commands,
        Some("whoami") => Command::WhoAmI,
        Some("stop") => Command::Stop,
        Some("models") => Command::Models(args.to_owned()),
        Some("think" | "model" | "queue") => directives(text),
        // `/new` and `/reset` count only as configured triggers
        _ => Command::Other { name, args: args.to_owned() },
    })
}

/// The overview of all commands.
pub fn help() -> String {
    let mut text = "Commands".to_owned();
    for (category, title) in [("session", "Session"), ("options", "Options"), ("status", "Status")] {
        text.push_str(&format!("\n\n{title}"));
        for command in COMMANDS.iter().filter(|command| command.category == category) {
            text.push_str(&format!("\n{}", line(command)));
        }
    }
    text
}

/// One line per command, in the order of the table.
pub fn list() -> String {
    COMMANDS.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(command: &CommandInfo) -> String {
    let args = if command.args.is_empty() { String::new() } else { format!(" {}", command.args) };
    let aliases: String = command.aliases.iter().map(|alias| format!(" (/{alias})")).collect();
    format!("/{}{args}{aliases} - {}", command.name, command.summary)
}

/// Splits `/name: args`. A path such as `/etc/hosts` is no command.
fn split(text: &str) -> Option<(String, &str)> {
    let tail = text.trim().strip_prefix('/')?;
    let end = tail.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(tail.len());
    let (name, tail) = tail.split_at(end);
    let args = match tail.strip_prefix(':') {
        Some(args) => args,
        None if tail.is_empty() || tail.starts_with(char::is_whitespace) => tail,
        None => return None,
    };
    (!name.is_empty()).then(|| (name.to_lowercase(), args.trim()))
}

fn canonical(name: &str) -> Option<&'static str> {
    COMMANDS.iter().find(|command| command.name == name || command.aliases.contains(&name)).map(|command| command.name)
}

/// Reads directives until something else comes; that is the message.
fn directives(text: &str) -> Command {
    let mut list = Vec::new();
    let mut rest = text.trim();
    while let Some((directive, tail)) = split(rest).and_then(|(name, args)| directive(&name, args)) {
        list.push(directive);
        rest = tail;
    }
    Command::Directives { list, message: rest.to_owned() }
}

fn directive<'a>(name: &str, args: &'a str) -> Option<(Directive, &'a str)> {
    let (word, rest) = match args.split_once(char::is_whitespace) {
        _ if args.starts_with('/') => ("", args), // the next directive
        Some((word, rest)) => (word, rest.trim()),
        None => (args, ""),
    };
    let directive = match canonical(name)? {
        "think" => Directive::Think(setting(word, ThinkLevel::parse)),
        "model" if word.eq_ignore_ascii_case("list") => Directive::Model(Setting::Show),
        "model" => Directive::Model(setting(word, |model| Some(model.to_owned()))),
        "queue" => Directive::Queue(setting(word, parse_mode)),
        _ => return None,
    };
    Some((directive, rest))
}

fn setting<T>(word: &str, parse: impl Fn(&str) -> Option<T>) -> Setting<T> {
    match word.to_lowercase().as_str() {
        "" | "status" => Setting::Show,
        "default" | "reset" => Setting::Default,
        _ => parse(word).map_or_else(|| Setting::Unknown(word.to_owned()), Setting::Set),
    }
}

/// Is it a command that answers without a model, so that it may overtake a running turn?
pub fn is_immediate(command: &Command) -> bool {
    match command {
        Command::Status | Command::Help | Command::Commands | Command::WhoAmI | Command::Stop => true,
        Command::Models(_) => true,
        Command::Directives { message, .. } => message.is_empty(),
        Command::Reset(reset) => reset.kind != ResetKind::SoftReset && reset.rest.is_empty(),
        Command::Other { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives_of(list: Vec<Directive>, message: &str) -> Option<Command> {
        Some(Command::Directives { list, message: message.into() })
    }

    fn other(name: &str, args: &str) -> Option<Command> {
        Some(Command::Other { name: name.into(), args: args.into() })
    }

    #[test]
    fn messages_are_read_as_commands() {
        for (text, command) in [
            ("/status", Some(Command::Status)),
            (" /HELP ", Some(Command::Help)),
            ("/id", Some(Command::WhoAmI)),
            ("/stop", Some(Command::Stop)),
            ("/models: openai", Some(Command::Models("openai".into()))),
            ("/usage Full", other("usage", "Full")),
            ("/new", Some(Command::Reset(ResetCommand { kind: ResetKind::New, rest: String::new() }))),
            ("/deploy now", other("deploy", "now")),
            ("/etc/hosts is broken", None),
            ("/", None),
            ("/ status", None),
            ("see /status", None),
            ("hello", None),
        ] {
            assert_eq!(parse(text, &[]), command, "{text}");
        }
        assert_eq!(parse("/new", &["/fresh".into()]), other("new", ""));
    }

    #[test]
    fn directives_stand_alone_or_in_front_of_a_message() {
        let think = |setting| Directive::Think(setting);
        for (text, command) in [
            ("/think", directives_of(vec![think(Setting::Show)], "")),
            ("/t HIGH", directives_of(vec![think(Setting::Set(ThinkLevel::High))], "")),
            ("/think default", directives_of(vec![think(Setting::Default)], "")),
            ("/think banana", directives_of(vec![think(Setting::Unknown("banana".into()))], "")),
            ("/think high what is 2+2?", directives_of(vec![think(Setting::Set(ThinkLevel::High))], "what is 2+2?")),
            (
                "/think:low /model p/m\nhello /think",
                directives_of(
                    vec![think(Setting::Set(ThinkLevel::Low)), Directive::Model(Setting::Set("p/m".into()))],
                    "hello /think",
                ),
            ),
            ("/model /think", directives_of(vec![Directive::Model(Setting::Show), think(Setting::Show)], "")),
            ("/model list", directives_of(vec![Directive::Model(Setting::Show)], "")),
            ("/queue collect", directives_of(vec![Directive::Queue(Setting::Set(QueueMode::Collect))], "")),
            ("/model P/Model-X", directives_of(vec![Directive::Model(Setting::Set("P/Model-X".into()))], "")),
        ] {
            assert_eq!(parse(text, &[]), command, "{text}");
        }
    }

    #[test]
    fn help_lists_every_command_once_and_every_one_can_be_read() {
        let (help, list) = (help(), list());
        for command in COMMANDS {
            let line = format!("/{} ", command.name);
            assert_eq!(help.lines().filter(|l| l.starts_with(&line)).count(), 1, "{line}");
            assert_eq!(list.lines().filter(|l| l.starts_with(&line)).count(), 1, "{line}");
            for name in std::iter::once(&command.name).chain(command.aliases) {
                let parsed = parse(&format!("/{name}"), &[]);
                assert!(!matches!(parsed, None | Some(Command::Other { .. })), "{name}");
            }
        }
    }

    #[test]
    fn only_what_needs_no_model_may_overtake_a_turn() {
        for (text, immediate) in [
            ("/status", true),
            ("/think high", true),
            ("/think high go", false),
            ("/new", true),
            ("/new hi", false),
            ("/compact", false),
        ] {
            assert_eq!(is_immediate(&parse(text, &[]).unwrap()), immediate, "{text}");
        }
    }
}
