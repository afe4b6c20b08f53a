//! `openclaw gateway resume`: takes a gateway out of safe mode.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Outcome};
use crate::cli::rpc::{self, Invalid, RpcArgs};

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 10_000;

/// Take the gateway out of safe mode, in which it is after repeated crashes
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw gateway resume
  openclaw gateway resume --json")]
pub struct ResumeArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
}

pub fn run(args: &ResumeArgs, context: &Context) -> Outcome {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let answer = context.block_on(gateway.call("gateway.resume", json!({}), args.rpc.deadline(TIMEOUT_MS)))??;
    if args.rpc.json {
        context.output.json(&answer)?;
    } else if answer.get("lifted").and_then(Value::as_bool) == Some(true) {
        context.output.line("Safe mode lifted: what waits begins now.")?;
    } else {
        context.output.line("The gateway is not in safe mode.")?;
    }
    Ok(Exit::Done)
}
