//! `openclaw models`: which models there are, which one is used, and whether its key is there. Local; the gateway is not needed.

mod list;
mod status;

use clap::{Args, Subcommand};

use super::context::Context;
use super::exit::Outcome;

/// Show models and their keys
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  openclaw models
  openclaw models status --check
  openclaw models list --all --json"
)]
pub struct ModelsArgs {
    #[command(flatten)]
    pub status: status::StatusArgs,
    #[command(subcommand)]
    pub command: Option<ModelsCommand>,
}

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Show the chosen models and whether their keys are there
    #[command(after_help = "Examples:
  openclaw models status
  openclaw models status --plain
  openclaw models status --check")]
    Status(status::StatusArgs),
    List(list::ListArgs),
}

impl ModelsArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            None => self.status.json,
            Some(ModelsCommand::Status(args)) => args.json,
            Some(ModelsCommand::List(args)) => args.json,
        }
    }
}

pub fn run(args: &ModelsArgs, context: &Context) -> Outcome {
    match &args.command {
        None => status::run(&args.status, context),
        Some(ModelsCommand::Status(args)) => status::run(args, context),
        Some(ModelsCommand::List(args)) => list::run(args, context),
    }
}
