//! `openclaw message`: says something in a chat, without an agent.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::rpc::{self, Invalid, RpcArgs};
use super::text::string;

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 30_000;

/// Say something in a chat, without an agent
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw message send --channel webhook --target direct:ada --message \"The build is done\"
  openclaw message send -t group:team -m hello --dry-run")]
pub struct MessageArgs {
    #[command(subcommand)]
    pub command: MessageCommand,
}

#[derive(Debug, Subcommand)]
pub enum MessageCommand {
    /// Send a text; ends when the platform has taken it
    #[command(after_help = "Examples:
  openclaw message send --channel webhook --target direct:ada --message \"The build is done\"
  openclaw message send -t group:team -m hello --dry-run")]
    Send(SendArgs),
}

#[derive(Debug, Args)]
pub struct SendArgs {
    /// Channel; the only one that is configured if absent
    #[arg(long, value_name = "channel")]
    pub channel: Option<String>,
    /// Chat on the platform
    #[arg(short, long, value_name = "chat")]
    pub target: String,
    /// What is said
    #[arg(short, long, value_name = "text")]
    pub message: String,
    /// Account of the channel
    #[arg(long, value_name = "id")]
    pub account: Option<String>,
    /// Message of the platform that it answers
    #[arg(long, value_name = "id")]
    pub reply_to: Option<String>,
    /// Thread or topic of the chat
    #[arg(long, value_name = "id")]
    pub thread_id: Option<String>,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

impl MessageArgs {
    pub fn json(&self) -> bool {
        let MessageCommand::Send(args) = &self.command;
        args.rpc.json
    }
}

pub fn run(args: &MessageArgs, context: &Context) -> Outcome {
    let MessageCommand::Send(args) = &args.command;
    let channel = args.channel.as_deref().unwrap_or("the only channel");
    if args.dry_run {
        let payload =
            json!({ "channel": args.channel, "to": args.target, "via": "direct", "mediaUrl": null, "dryRun": true });
        if args.rpc.json {
            context
                .output
                .json(&json!({ "action": "send", "channel": args.channel, "dryRun": true, "handledBy": "core",
                                         "payload": payload }))?;
        } else {
            context.output.line(format!("Dry run: would send via {channel} to {}", args.target))?;
        }
        return Ok(Exit::Done);
    }
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let answer = context.block_on(gateway.call("send", params(args), args.rpc.deadline(TIMEOUT_MS)))??;
    if args.rpc.json {
        context.output.json(&json!({ "action": "send", "channel": answer.get("channel"), "dryRun": false,
                                     "handledBy": "core", "payload": answer }))?;
    } else {
        let (channel, id) =
            (string(&answer, "/channel").unwrap_or("?"), string(&answer, "/messageId").unwrap_or("none"));
        context.output.line(format!("✅ Sent via {}. Message ID: {id}", label(channel)))?;
    }
    Ok(Exit::Done)
}

fn params(args: &SendArgs) -> Value {
    let mut params = Map::new();
    for (key, value) in [
        ("channel", &args.channel),
        ("accountId", &args.account),
        ("replyToId", &args.reply_to),
        ("threadId", &args.thread_id),
    ] {
        params.extend(value.as_ref().map(|value| (key.to_owned(), json!(value))));
    }
    params.insert("to".into(), json!(args.target));
    params.insert("message".into(), json!(args.message));
    params.insert("idempotencyKey".into(), json!(Uuid::new_v4().to_string()));
    Value::Object(params)
}

/// `webhook` as people write it.
fn label(channel: &str) -> String {
    let mut letters = channel.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_written_with_a_capital() {
        assert_eq!((label("webhook").as_str(), label("").as_str()), ("Webhook", ""));
    }
}
