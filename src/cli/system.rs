//! `openclaw system`: tell the agent that something has happened; heartbeats; who is here.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::rpc::{self, Invalid, RpcArgs};

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 30_000;

/// Tell the agent that something has happened; look at heartbeats and at who is here
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw system event --text \"The backup is done\" --mode now
  openclaw system heartbeat last")]
pub struct SystemArgs {
    #[command(subcommand)]
    pub command: SystemCommand,
}

#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// Tell a conversation something; its agent hears of it with its next turn
    #[command(after_help = "Examples:
  openclaw system event --text \"The backup is done\"
  openclaw system event --text \"The door bell rang\" --mode now")]
    Event(EventArgs),
    /// How the last heartbeat went; switch heartbeats on or off
    Heartbeat(HeartbeatArgs),
    /// Who is connected
    #[command(after_help = "Examples:
  openclaw system presence --json")]
    Presence(RpcArgs),
}

#[derive(Debug, Args)]
pub struct EventArgs {
    /// What has happened
    #[arg(long, value_name = "text")]
    pub text: String,
    /// Wake the agent now, or let it hear of it with the next heartbeat
    #[arg(long, value_name = "mode", default_value = "next-heartbeat")]
    pub mode: String,
    /// Conversation that is told, and whose agent is woken there; the main one when absent
    #[arg(long, value_name = "key")]
    pub session_key: Option<String>,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw system heartbeat last
  openclaw system heartbeat disable")]
pub struct HeartbeatArgs {
    #[command(subcommand)]
    pub command: HeartbeatCommand,
}

#[derive(Debug, Subcommand)]
pub enum HeartbeatCommand {
    /// How the last one went, and why if it did not run
    #[command(after_help = "Examples:
  openclaw system heartbeat last")]
    Last(RpcArgs),
    /// Switch heartbeats on
    #[command(after_help = "Examples:
  openclaw system heartbeat enable")]
    Enable(RpcArgs),
    /// Switch heartbeats off until the gateway starts again
    #[command(after_help = "Examples:
  openclaw system heartbeat disable")]
    Disable(RpcArgs),
}

impl SystemArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            SystemCommand::Event(args) => args.rpc.json,
            SystemCommand::Heartbeat(_) => true,
            SystemCommand::Presence(_) => true,
        }
    }
}

pub fn run(args: &SystemArgs, context: &Context) -> Outcome {
    match &args.command {
        SystemCommand::Event(args) => event(args, context),
        SystemCommand::Heartbeat(args) => match &args.command {
            HeartbeatCommand::Last(rpc) => answer(rpc, "last-heartbeat", json!({}), context),
            HeartbeatCommand::Enable(rpc) => answer(rpc, "set-heartbeats", json!({ "enabled": true }), context),
            HeartbeatCommand::Disable(rpc) => answer(rpc, "set-heartbeats", json!({ "enabled": false }), context),
        },
        SystemCommand::Presence(rpc) => answer(rpc, "system-presence", json!({}), context),
    }
}

fn event(args: &EventArgs, context: &Context) -> Outcome {
    if !["now", "next-heartbeat"].contains(&args.mode.as_str()) {
        return Err(super::Failure::usage("--mode must be now or next-heartbeat"));
    }
    let mut params = Map::from_iter([("text".to_owned(), json!(args.text)), ("mode".to_owned(), json!(args.mode))]);
    params.extend(args.session_key.as_ref().map(|key| ("sessionKey".to_owned(), json!(key))));
    let answer = call(&args.rpc, "wake", Value::Object(params), context)?;
    if args.rpc.json {
        context.output.json(&answer)?;
    } else {
        context.output.line("ok")?;
    }
    Ok(Exit::Done)
}

/// These answers are documents whether `--json` is given or not.
fn answer(rpc: &RpcArgs, method: &str, params: Value, context: &Context) -> Outcome {
    let answer = call(rpc, method, params, context)?;
    context.output.json(&answer)?;
    Ok(Exit::Done)
}

fn call(rpc: &RpcArgs, method: &str, params: Value, context: &Context) -> Result<Value, super::Failure> {
    let gateway = rpc::locate(context, rpc, Invalid::Noted)?;
    context.block_on(gateway.call(method, params, rpc.deadline(TIMEOUT_MS)))?
}
