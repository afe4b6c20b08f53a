//! `config schema`: every known key as JSON Schema.

use clap::Args;
use openclaw_actors::config::json_schema;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Outcome};

/// Print the JSON Schema of the configuration
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw config schema > openclaw.schema.json")]
pub struct SchemaArgs {
    /// Always so; accepted because scripts pass it
    #[arg(long)]
    pub json: bool,
}

pub fn run(_args: &SchemaArgs, context: &Context) -> Outcome {
    context.output.json(json_schema::schema())?;
    Ok(Exit::Done)
}
