//! `openclaw config`: read and change the configuration file; the gateway is not needed.
//!
//! Invariant: every change goes through the configuration module's one writer (lock, full validation, backup, audit), and the
//! answer says when the change takes effect. Source: command line specification §5.1.

mod effect;
mod read;
mod schema;
mod value;
mod write;

use clap::{Args, Subcommand};

use super::context::Context;
use super::exit::{Failure, Outcome};
pub use write::write_with;

/// Read, change and check the configuration
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw config get gateway.port
  openclaw config set agents.defaults.model.primary anthropic/claude-opus-4-6
  openclaw config validate --json")]
pub struct ConfigArgs {
    /// Section for the guided configuration
    #[arg(long, value_name = "name")]
    pub section: Option<String>,
    #[command(subcommand)]
    pub command: Option<ConfigCommand>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    Get(read::GetArgs),
    Set(Box<write::SetArgs>),
    Unset(write::UnsetArgs),
    Patch(write::PatchArgs),
    Validate(read::ValidateArgs),
    File(read::FileArgs),
    Schema(schema::SchemaArgs),
}

impl ConfigArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            Some(ConfigCommand::Get(args)) => args.json,
            Some(ConfigCommand::Unset(args)) => args.json,
            Some(ConfigCommand::Patch(args)) => args.json,
            Some(ConfigCommand::Validate(args)) => args.json,
            Some(ConfigCommand::File(args)) => args.json,
            Some(ConfigCommand::Set(_) | ConfigCommand::Schema(_)) | None => false,
        }
    }
}

pub fn run(args: ConfigArgs, context: &Context) -> Outcome {
    match args.command {
        None => {
            Err(Failure::usage("This release does not have the guided configuration; use \"openclaw config set\"."))
        }
        Some(ConfigCommand::Get(args)) => read::get(&args, context),
        Some(ConfigCommand::Set(args)) => write::set(&args, context),
        Some(ConfigCommand::Unset(args)) => write::unset(&args, context),
        Some(ConfigCommand::Patch(args)) => write::patch(&args, context),
        Some(ConfigCommand::Validate(args)) => read::validate(&args, context),
        Some(ConfigCommand::File(args)) => read::file(&args, context),
        Some(ConfigCommand::Schema(args)) => schema::run(&args, context),
    }
}
