//! What the command line answers to arguments that it does not understand, and where global options may stand.
//!
//! clap finds the mistake; the texts are ours, because operators know them.
//! Source: command line specification §1.1.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::absent;
use super::exit::Failure;

/// Puts `--dev` first wherever it stands, so that it selects the profile; after `gateway` it stays and means the gateway's own flag.
///
/// `gateway status --dev` has no flag of its own to mean, so it is the profile again.
pub fn hoist_dev(root: &Command, argv: Vec<OsString>) -> Vec<OsString> {
    let words = words(root, &argv);
    let gateways_own = match words.as_slice() {
        [(_, "gateway" | "daemon")] | [(_, "gateway" | "daemon"), (_, "run")] => words[0].0,
        _ => usize::MAX,
    };
    let end = argv.iter().position(|arg| arg == "--").unwrap_or(argv.len());
    let is_profile = |index: usize, arg: &OsStr| index > 0 && index < end.min(gateways_own) && arg == "--dev";
    let found = argv.iter().enumerate().any(|(index, arg)| is_profile(index, arg));
    let mut hoisted: Vec<OsString> =
        argv.into_iter().enumerate().filter(|(index, arg)| !is_profile(*index, arg)).map(|(_, arg)| arg).collect();
    if found && !hoisted.is_empty() {
        hoisted.insert(1, "--dev".into());
    }
    hoisted
}

/// The subcommand words of an argument list with their positions; values of options are not words.
fn words<'a>(root: &Command, argv: &'a [OsString]) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    let mut command = root;
    let mut value_expected = false;
    for (index, arg) in argv.iter().enumerate().skip(1) {
        let Some(arg) = arg.to_str() else { continue };
        if arg == "--" {
            break;
        }
        if std::mem::take(&mut value_expected) {
            continue;
        }
        if arg.starts_with('-') && arg.len() > 1 {
            value_expected = takes_next(root, arg) || takes_next(command, arg);
            continue;
        }
        let Some(sub) = command.find_subcommand(arg) else { break };
        found.push((index, arg));
        command = sub;
    }
    found
}

/// Is the value of this option the next argument?
fn takes_next(command: &Command, arg: &str) -> bool {
    if arg.contains('=') {
        return false;
    }
    let named = |a: &&Arg| match arg.strip_prefix("--") {
        Some(long) => a.get_long() == Some(long),
        None => arg.len() == 2 && a.get_short() == arg.chars().nth(1),
    };
    command.get_arguments().find(named).is_some_and(|a| a.get_action().takes_values())
}

/// Turns clap's finding into our text.
pub fn failure(root: &Command, argv: &[OsString], error: &clap::Error) -> Failure {
    let path: Vec<&str> = words(root, argv).into_iter().map(|(_, word)| word).collect();
    let try_help = ["openclaw"].iter().chain(&path).copied().chain(["--help"]).collect::<Vec<_>>().join(" ");
    let subject = subject(error);
    let text = match error.kind() {
        ErrorKind::UnknownArgument if subject.starts_with('-') => {
            format!("OpenClaw does not recognize option \"{}\".", subject.split('=').next().unwrap_or(subject))
        }
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => "Too many arguments for this command.".to_owned(),
        ErrorKind::InvalidSubcommand => return unknown_command(&path, error),
        ErrorKind::MissingRequiredArgument => {
            let command = path.iter().fold(root, |command, word| command.find_subcommand(word).unwrap_or(command));
            missing(command, subject)
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            format!("openclaw {} needs a subcommand.", path.join(" "))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => invalid_value(error, subject),
        _ => first_line(error),
    };
    Failure::usage(text).line(format!("Try: {try_help}"))
}

fn unknown_command(path: &[&str], error: &clap::Error) -> Failure {
    let name = context(error, ContextKind::InvalidSubcommand);
    let words: Vec<&str> = path.iter().copied().chain([name]).collect();
    if let Some(text) = absent::sentence(&words) {
        return Failure::usage(text);
    }
    let failure = Failure::usage(format!("Unknown command: openclaw {}", words.join(" ")));
    match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(near)) if !near.is_empty() => {
            failure.line(format!("Did you mean: {}", near.join(", ")))
        }
        _ => failure,
    }
    .line("Help: openclaw --help")
}

/// `Missing required option "-m, --message <text>".`, or the argument's placeholder.
fn missing(command: &Command, subject: &str) -> String {
    let long = subject.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
    let short = command.get_arguments().find(|arg| arg.get_long() == Some(long)).and_then(Arg::get_short);
    match (subject.starts_with("--"), short) {
        (true, Some(short)) => format!("Missing required option \"-{short}, {subject}\"."),
        (true, None) => format!("Missing required option \"{subject}\"."),
        (false, _) => format!("Missing required argument \"{subject}\"."),
    }
}

fn invalid_value(error: &clap::Error, subject: &str) -> String {
    let option = subject.split(' ').next().unwrap_or(subject);
    let value = context(error, ContextKind::InvalidValue);
    if value.is_empty() {
        return format!("{option} requires a value");
    }
    let reason = std::error::Error::source(error).map(|source| format!(": {source}"));
    let allowed = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(words)) if !words.is_empty() => Some(format!(". Use {}.", words.join(", "))),
        _ => None,
    };
    format!("Invalid value \"{value}\" for {option}{}", allowed.or(reason).unwrap_or_default())
}

fn subject(error: &clap::Error) -> &str {
    context(error, ContextKind::InvalidArg)
}

fn context(error: &clap::Error, kind: ContextKind) -> &str {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text,
        Some(ContextValue::Strings(texts)) => texts.first().map_or("", String::as_str),
        _ => "",
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or("the arguments do not fit together");
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    fn argv(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn check(line: &str, expected: &[&str]) {
        let argv = argv(line);
        let error = Cli::try_parse_from(&argv).expect_err(line);
        let failure = failure(&Cli::command(), &argv, &error);
        assert_eq!(failure.lines, expected, "{line}");
        assert_eq!(failure.exit.code(), 1, "{line}");
    }

    #[test]
    fn every_mistake_has_its_text() {
        check(
            "openclaw gateway --frobnicate",
            &["OpenClaw does not recognize option \"--frobnicate\".", "Try: openclaw gateway --help"],
        );
        check(
            "openclaw --frobnicate=1 status",
            &["OpenClaw does not recognize option \"--frobnicate\".", "Try: openclaw status --help"],
        );
        check("openclaw frobnicate", &["Unknown command: openclaw frobnicate", "Help: openclaw --help"]);
        check(
            "openclaw gateway statsu",
            &["Unknown command: openclaw gateway statsu", "Did you mean: status", "Help: openclaw --help"],
        );
        check(
            "openclaw agent --agent main",
            &["Missing required option \"-m, --message <text>\".", "Try: openclaw agent --help"],
        );
        check("openclaw config get", &["Missing required argument \"<path>\".", "Try: openclaw config get --help"]);
        check("openclaw status now", &["Too many arguments for this command.", "Try: openclaw status --help"]);
        check(
            "openclaw health --timeout soon",
            &["Invalid value \"soon\" for --timeout: invalid digit found in string", "Try: openclaw health --help"],
        );
        check(
            "openclaw --log-level loud health",
            &[
                "Invalid value \"loud\" for --log-level. Use silent, fatal, error, warn, info, debug, trace.",
                "Try: openclaw health --help",
            ],
        );
        check("openclaw nodes list", &["This release does not have \"openclaw nodes\"."]);
        check("openclaw gateway install --force", &["This release does not have \"openclaw gateway install\"."]);
    }

    #[test]
    fn dev_is_the_profile_except_after_gateway() {
        let cases = [
            ("openclaw --dev setup", "openclaw --dev setup"),
            ("openclaw setup --dev", "openclaw --dev setup"),
            ("openclaw status --json --dev", "openclaw --dev status --json"),
            ("openclaw gateway --dev", "openclaw gateway --dev"),
            ("openclaw gateway run --dev --port 1", "openclaw gateway run --dev --port 1"),
            ("openclaw --dev gateway --allow-unconfigured", "openclaw --dev gateway --allow-unconfigured"),
            ("openclaw --log-level debug --dev gateway", "openclaw --dev --log-level debug gateway"),
            ("openclaw gateway status --dev", "openclaw --dev gateway status"),
            ("openclaw --config gateway setup --dev", "openclaw --dev --config gateway setup"),
            ("openclaw --dev gateway --dev", "openclaw --dev gateway --dev"),
        ];
        for (typed, expected) in cases {
            assert_eq!(hoist_dev(&Cli::command(), argv(typed)), argv(expected), "{typed}");
        }
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in ["openclaw --profile rescue --no-color health", "openclaw health --no-color --profile rescue"] {
            let cli = Cli::try_parse_from(argv(line)).unwrap();
            assert_eq!(cli.global.profile.as_deref(), Some("rescue"), "{line}");
            assert!(cli.global.no_color, "{line}");
        }
    }
}
