//! `openclaw gateway`: run the service, and look at one that runs.
//!
//! The flags of `run` stand on `gateway` itself as well, because `openclaw gateway` alone starts it.

mod call;
pub mod check;
mod dev;
pub mod flags;
mod force;
mod health;
mod life;
pub mod probe;
pub mod reach;
mod restart;
mod resume;
pub mod run;
pub mod status;
mod stop;

use clap::{Args, Subcommand};

use super::Hooks;
use super::context::Context;
use super::exit::Outcome;
use flags::RunArgs;

/// Run the gateway, or look at one that runs
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  openclaw gateway
  openclaw gateway --port 19000 --verbose
  openclaw gateway status --deep
  openclaw gateway call health --json"
)]
pub struct GatewayArgs {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(subcommand)]
    pub command: Option<GatewayCommand>,
}

#[derive(Debug, Subcommand)]
pub enum GatewayCommand {
    #[command(after_help = "Examples:
  openclaw gateway run
  openclaw gateway run --bind lan --auth password --password-file secret.txt")]
    Run(Box<RunArgs>),
    Status(status::GatewayStatusArgs),
    Probe(probe::ProbeArgs),
    Health(health::GatewayHealthArgs),
    Call(call::CallArgs),
    Resume(resume::ResumeArgs),
    Restart(restart::RestartArgs),
    Stop(stop::StopArgs),
}

impl GatewayArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            None | Some(GatewayCommand::Run(_)) => false,
            Some(GatewayCommand::Status(args)) => args.rpc.json,
            Some(GatewayCommand::Probe(args)) => args.rpc.json,
            Some(GatewayCommand::Health(args)) => args.rpc.json,
            Some(GatewayCommand::Call(args)) => args.rpc.json,
            Some(GatewayCommand::Resume(args)) => args.rpc.json,
            Some(GatewayCommand::Restart(args)) => args.json,
            Some(GatewayCommand::Stop(args)) => args.json,
        }
    }
}

pub fn run(args: GatewayArgs, context: &Context, hooks: &Hooks) -> Outcome {
    match args.command {
        None => run::run(&args.run, context, hooks),
        Some(GatewayCommand::Run(args)) => run::run(&args, context, hooks),
        Some(GatewayCommand::Status(args)) => status::run(&args, context),
        Some(GatewayCommand::Probe(args)) => probe::run(&args, context),
        Some(GatewayCommand::Health(args)) => health::run(&args, context),
        Some(GatewayCommand::Call(args)) => call::run(&args, context),
        Some(GatewayCommand::Resume(args)) => resume::run(&args, context),
        Some(GatewayCommand::Restart(args)) => restart::run(&args, context),
        Some(GatewayCommand::Stop(args)) => stop::run(&args, context),
    }
}
