//! `openclaw gateway health`: is it there, and how fast does it answer?

use clap::Args;
use serde_json::json;
use tokio::time::Instant;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Outcome};
use crate::cli::health::channels;
use crate::cli::rpc::{self, Invalid, RpcArgs};

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 10_000;

/// Ask one gateway whether it is well
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw gateway health
  openclaw gateway health --url ws://127.0.0.1:18789 --token <token>")]
pub struct GatewayHealthArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
}

pub fn run(args: &GatewayHealthArgs, context: &Context) -> Outcome {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let (health, elapsed) = context.block_on(async {
        let start = Instant::now();
        let health = gateway.call("health", json!({}), args.rpc.deadline(TIMEOUT_MS)).await;
        (health, start.elapsed())
    })?;
    let health = health?;
    if args.rpc.json {
        context.output.json(&health)?;
        return Ok(Exit::Done);
    }
    context.output.line("Gateway Health")?;
    context.output.line(format!("OK ({}ms)", elapsed.as_millis()))?;
    for line in channels(&health) {
        context.output.line(line)?;
    }
    Ok(Exit::Done)
}
