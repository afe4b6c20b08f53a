//! `openclaw pairing`: strangers who have written to an account, and letting them in.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::rpc::{self, Invalid, RpcArgs};
use super::text::{age, list, number, string};

const TIMEOUT_MS: u64 = 10_000;

/// Show who has asked to write to the bot, and let somebody in
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw pairing list
  openclaw pairing approve telegram ABCD2345 --notify")]
pub struct PairingArgs {
    #[command(subcommand)]
    pub command: PairingCommand,
}

#[derive(Debug, Subcommand)]
pub enum PairingCommand {
    /// List who waits; a request is valid for an hour
    #[command(after_help = "Examples:
  openclaw pairing list
  openclaw pairing list telegram --json")]
    List(ListArgs),
    /// Let the person in who was given this code; opens direct messages, no groups
    #[command(after_help = "Examples:
  openclaw pairing approve telegram ABCD2345
  openclaw pairing approve ABCD2345 --notify")]
    Approve(ApproveArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only this channel
    #[arg(value_name = "channel")]
    pub named: Option<String>,
    /// Only this channel
    #[arg(long, value_name = "channel", conflicts_with = "named")]
    pub channel: Option<String>,
    /// Only this account
    #[arg(long, value_name = "id")]
    pub account: Option<String>,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The code, with the channel before it if you like
    #[arg(value_names = ["channel", "code"], num_args = 1..=2, required = true)]
    pub words: Vec<String>,
    /// Only of this channel
    #[arg(long, value_name = "channel")]
    pub channel: Option<String>,
    /// Only of this account
    #[arg(long, value_name = "id")]
    pub account: Option<String>,
    /// Tell the person
    #[arg(long)]
    pub notify: bool,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

impl PairingArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            PairingCommand::List(args) => args.rpc.json,
            PairingCommand::Approve(args) => args.rpc.json,
        }
    }
}

pub fn run(args: &PairingArgs, context: &Context) -> Outcome {
    match &args.command {
        PairingCommand::List(args) => listed(args, context),
        PairingCommand::Approve(args) => approve(args, context),
    }
}

/// Parameters without those that were not given.
fn params(entries: &[(&str, Option<&String>)]) -> serde_json::Map<String, Value> {
    entries.iter().filter_map(|(key, value)| value.map(|value| ((*key).to_owned(), json!(value)))).collect()
}

fn listed(args: &ListArgs, context: &Context) -> Outcome {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let channel = args.named.as_ref().or(args.channel.as_ref());
    let asked = params(&[("channel", channel), ("accountId", args.account.as_ref())]);
    let deadline = args.rpc.deadline(TIMEOUT_MS);
    let answer = context.block_on(gateway.call("channels.pairing.list", asked.into(), deadline))??;
    if args.rpc.json {
        context.output.json(&json!({ "channel": channel, "requests": answer["requests"] }))?;
        return Ok(Exit::Done);
    }
    for line in lines(&answer, channel.map(String::as_str), rpc::epoch_ms()) {
        context.output.line(line)?;
    }
    Ok(Exit::Done)
}

/// One line a request, or that there is none.
fn lines(answer: &Value, channel: Option<&str>, now_ms: u64) -> Vec<String> {
    let line = |request: &Value| {
        let text = |pointer: &str| string(request, pointer).unwrap_or("?");
        let ago = age(now_ms.saturating_sub(number(request, "/createdAt").unwrap_or(now_ms)));
        let (code, channel, account) = (text("/code"), text("/channel"), text("/accountId"));
        format!("{code}  {channel} {account}: {} ({}), {ago}", text("/senderId"), text("/senderLabel"))
    };
    let lines: Vec<String> = list(answer, "/requests").iter().map(line).collect();
    if lines.is_empty() {
        let of = channel.map(|channel| format!("{channel} ")).unwrap_or_default();
        return vec![format!("No pending {of}pairing requests.")];
    }
    lines
}

fn approve(args: &ApproveArgs, context: &Context) -> Outcome {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let (channel, code) = match args.words.as_slice() {
        [channel, code] => (Some(channel), Some(code)),
        words => (args.channel.as_ref(), words.first()),
    };
    let mut asked = params(&[("channel", channel), ("code", code), ("accountId", args.account.as_ref())]);
    asked.insert("notify".to_owned(), json!(args.notify));
    let deadline = args.rpc.deadline(TIMEOUT_MS);
    let answer = context.block_on(gateway.call("channels.pairing.approve", asked.into(), deadline))??;
    if args.rpc.json {
        context.output.json(&answer)?;
    } else {
        let text = |pointer: &str| string(&answer, pointer).unwrap_or("?");
        context.output.line(format!("Approved {} sender {}.", text("/channel"), text("/senderId")))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_waits_with_which_code() {
        let request = json!({ "code": "ABCD2345", "channel": "telegram", "accountId": "default", "senderId": "5",
                              "senderLabel": "Ann Li", "createdAt": 0 });
        let answer = json!({ "requests": [request] });
        assert_eq!(lines(&answer, None, 120_000), ["ABCD2345  telegram default: 5 (Ann Li), 2m ago"]);
        assert_eq!(lines(&json!({ "requests": [] }), Some("telegram"), 0), ["No pending telegram pairing requests."]);
    }
}
