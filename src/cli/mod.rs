//! The `openclaw` command: one file per command, each with its arguments and its `run`.
//!
//! The folder tree is `openclaw --help`. What all commands share: `context.rs` (profile, paths, environment, configuration),
//! `rpc.rs` and `scopes.rs` (calls to a gateway), `output.rs` and `exit.rs` (what people and scripts get back).
//! Source: command line specification of 2026.5.12 with the additions of this product.

mod absent;
mod agent;
mod channels;
mod completion;
mod config;
pub mod context;
mod cron;
mod doctor;
mod exit;
pub mod gateway;
mod health;
mod inbox;
mod keys;
pub mod listeners;
mod logs;
mod message;
mod metrics;
mod models;
mod outbox;
mod output;
mod pairing;
mod rows;
mod rpc;
mod scopes;
pub mod sessions;
mod setup;
mod spool;
mod status;
mod system;
mod table;
mod text;
mod tree;
mod usage;
mod watch;
mod workspace;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use openclaw_actors::config::env::Env;
use serde_json::Value;

pub use context::Context;
pub use exit::{Exit, Failure, Outcome};
use output::Output;

/// Version and commit, as `--version` shows them after the name.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMMIT: &str = match option_env!("OPENCLAW_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// What this folder does not do itself: `main` hands it in, so that the command depends on neither service nor store.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Runs the service until it stops.
    pub serve: fn(gateway::run::RunOptions) -> Outcome,
    /// The payload of `sessions.list` for these parameters, read from the store of a gateway that is down.
    pub sessions_offline: fn(&Value, &Context) -> Result<Value, Failure>,
    pub sessions_export: fn(&sessions::ExportArgs, &Context) -> Outcome,
    pub sessions_import: fn(&sessions::ImportArgs, &Context) -> Outcome,
}

/// Run and look after an OpenClaw gateway, and talk to the agents behind it.
#[derive(Debug, Parser)]
#[command(name = "openclaw", disable_version_flag = true, after_help = EXAMPLES, max_term_width = 120)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  openclaw setup                        write a first configuration and a workspace
  openclaw gateway                      run the gateway in this terminal
  openclaw status                       one page about the gateway and its agents
  openclaw agent -m \"hello\"             ask the default agent
  openclaw --dev gateway                run a second, separate gateway for experiments";

/// Options of every command; they may stand before or after it.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// Use the profile "dev": state in ~/.openclaw-dev, port 19001
    #[arg(long)]
    pub dev: bool,
    /// Use the profile <name>: state in ~/.openclaw-<name>
    #[arg(long, global = true, value_name = "name")]
    pub profile: Option<String>,
    /// Level of log file and console, over configuration and environment
    #[arg(long, global = true, value_name = "level",
        value_parser = ["silent", "fatal", "error", "warn", "info", "debug", "trace"])]
    pub log_level: Option<String>,
    /// Plain text without colours
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Configuration file to use instead of the profile's
    #[arg(long, global = true, value_name = "path")]
    pub config: Option<String>,
    /// Print version and commit
    #[arg(short = 'V', long)]
    pub version: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(alias = "daemon")]
    Gateway(Box<gateway::GatewayArgs>),
    Status(status::StatusArgs),
    Health(health::HealthArgs),
    Logs(logs::LogsArgs),
    Tree(tree::TreeArgs),
    Inbox(inbox::InboxArgs),
    Outbox(outbox::OutboxArgs),
    Spool(spool::SpoolArgs),
    #[command(alias = "automations")]
    Cron(Box<cron::CronArgs>),
    Channels(channels::ChannelsArgs),
    Pairing(pairing::PairingArgs),
    Message(message::MessageArgs),
    System(system::SystemArgs),
    Metrics(metrics::MetricsArgs),
    Doctor(doctor::DoctorArgs),
    Agent(agent::AgentArgs),
    Sessions(sessions::SessionsArgs),
    Models(models::ModelsArgs),
    Config(Box<config::ConfigArgs>),
    Setup(setup::SetupArgs),
    Completion(completion::CompletionArgs),
}

/// Runs one command line to its end and returns the exit code.
///
/// `env` is the environment of the process. Prints every failure itself.
pub fn run(argv: Vec<OsString>, env: Env, hooks: &Hooks) -> u8 {
    let root = Cli::command();
    let argv = usage::hoist_dev(&root, argv);
    let wants_json = argv.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json");
    let no_color = argv.iter().any(|arg| arg == "--no-color");
    let output = Output::detect(no_color, &|name| env.get(name).map(str::to_owned));
    let (outcome, json) = match parse(root.color(output.clap_colour()), &argv) {
        Ok(Cli { global: GlobalArgs { version: true, .. }, .. }) => (print_version(&output), false),
        Ok(Cli { command: None, .. }) => (print_help(&output), false),
        Ok(Cli { command: Some(command), global }) => {
            let json = command.json();
            (Context::new(global, env, output, json).and_then(|context| dispatch(command, &context, hooks)), json)
        }
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp) => (print(&output, &error.render()), false),
        Err(error) => (Err(usage::failure(&Cli::command(), &argv, &error)), wants_json),
    };
    conclude(outcome, &output, json)
}

fn parse(root: clap::Command, argv: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&root.try_get_matches_from(argv)?)
}

fn dispatch(command: Command, context: &Context, hooks: &Hooks) -> Outcome {
    match command {
        Command::Gateway(args) => gateway::run(*args, context, hooks),
        Command::Status(args) => status::run(&args, context),
        Command::Health(args) => health::run(&args, context),
        Command::Logs(args) => logs::run(&args, context),
        Command::Tree(args) => tree::run(&args, context),
        Command::Inbox(args) => inbox::run(&args, context),
        Command::Outbox(args) => outbox::run(&args, context),
        Command::Spool(args) => spool::run(&args, context),
        Command::Cron(args) => cron::run(&args, context),
        Command::Channels(args) => channels::run(&args, context),
        Command::Pairing(args) => pairing::run(&args, context),
        Command::Message(args) => message::run(&args, context),
        Command::System(args) => system::run(&args, context),
        Command::Metrics(args) => metrics::run(&args, context),
        Command::Doctor(args) => doctor::run(&args, context),
        Command::Agent(args) => agent::run(&args, context),
        Command::Sessions(args) => sessions::run(&args, context, hooks),
        Command::Models(args) => models::run(&args, context),
        Command::Config(args) => config::run(*args, context),
        Command::Setup(args) => setup::run(&args, context),
        Command::Completion(args) => completion::run(&args, context),
    }
}

impl Command {
    /// Does a failure of this command go to stdout as a document as well?
    fn json(&self) -> bool {
        match self {
            Self::Gateway(args) => args.json(),
            Self::Status(args) => args.rpc.json,
            Self::Health(args) => args.rpc.json,
            Self::Logs(args) => args.rpc.json,
            Self::Tree(args) => args.json(),
            Self::Inbox(args) => args.json(),
            Self::Outbox(args) => args.json(),
            Self::Spool(args) => args.json(),
            Self::Cron(args) => args.json(),
            Self::Channels(args) => args.json(),
            Self::Pairing(args) => args.json(),
            Self::Message(args) => args.json(),
            Self::System(args) => args.json(),
            Self::Metrics(args) => args.rpc.json,
            Self::Doctor(args) => args.json,
            Self::Agent(args) => args.rpc.json,
            Self::Sessions(args) => args.json(),
            Self::Models(args) => args.json(),
            Self::Config(args) => args.json(),
            Self::Setup(args) => args.json,
            Self::Completion(_) => false,
        }
    }
}

/// Prints what went wrong and gives the code. Somebody who stopped reading us is no failure.
fn conclude(outcome: Outcome, output: &Output, json: bool) -> u8 {
    let exit = outcome.or_else(|failure| {
        if failure.reader_gone {
            return Ok(Exit::Done);
        }
        output.failure(&failure, json).map(|()| failure.exit).map_err(Failure::from)
    });
    exit.unwrap_or_else(|failure| if failure.reader_gone { Exit::Done } else { Exit::Failed }).code()
}

fn print_version(output: &Output) -> Outcome {
    output.line(format!("OpenClaw {VERSION} ({COMMIT})"))?;
    Ok(Exit::Done)
}

fn print_help(output: &Output) -> Outcome {
    let help = Cli::command().color(output.clap_colour()).render_help();
    print(output, &help)
}

fn print(output: &Output, text: &clap::builder::StyledStr) -> Outcome {
    let text = if output.colour() { text.ansi().to_string() } else { text.to_string() };
    output.line(text.trim_end())?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_ends_with_examples() {
        fn walk(command: &mut clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let help = command.render_long_help().to_string();
            assert!(help.contains("\nExamples:\n"), "{path} has no examples:\n{help}");
            for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
                walk(sub, &path);
            }
        }
        walk(&mut Cli::command(), "");
    }
}
