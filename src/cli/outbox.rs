//! `openclaw outbox`: everything that is to be said in chats, and what became of it.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::context::Context;
use super::exit::Outcome;
use super::rows::{self, OneArgs, PageArgs, Table};
use super::text::{age, list, number, string};

/// Show what is to be said in chats and what became of it; send again what failed
///
/// Every answer to a chat is kept here, part by part, until the platform has taken it. A part that was refused or tried too
/// often is `failed`; one that may have arrived and cannot be repeated without saying it twice is `unknown`. Both stay for a week,
/// to be sent again or dropped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw outbox list --state failed
  openclaw outbox show webhook:front:m1:0
  openclaw outbox retry webhook:front:m1:0")]
pub struct OutboxArgs {
    #[command(subcommand)]
    pub command: OutboxCommand,
}

#[derive(Debug, Subcommand)]
pub enum OutboxCommand {
    /// List messages, newest first
    #[command(after_help = "Examples:
  openclaw outbox list
  openclaw outbox list --state unknown --channel webhook --json")]
    List(ListArgs),
    /// Show one message in full
    #[command(after_help = "Examples:
  openclaw outbox show webhook:front:m1:0")]
    Show(OneArgs),
    /// Send a message again that failed, or that may not have arrived
    #[command(after_help = "Examples:
  openclaw outbox retry webhook:front:m1:0")]
    Retry(OneArgs),
    /// Take a message off the list that waits, or that did not arrive
    #[command(after_help = "Examples:
  openclaw outbox drop webhook:front:m1:0")]
    Drop(OneArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only messages in this state
    #[arg(long, value_name = "state",
        value_parser = ["pending", "sending", "sent", "failed", "unknown", "dropped"])]
    pub state: Option<String>,
    /// Only messages of this channel
    #[arg(long, value_name = "channel")]
    pub channel: Option<String>,
    #[command(flatten)]
    pub page: PageArgs,
}

impl OutboxArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            OutboxCommand::List(args) => args.page.rpc.json,
            OutboxCommand::Show(args) | OutboxCommand::Retry(args) | OutboxCommand::Drop(args) => args.rpc.json,
        }
    }
}

pub fn run(args: &OutboxArgs, context: &Context) -> Outcome {
    match &args.command {
        OutboxCommand::List(args) => {
            let only = [("state", &args.state), ("channel", &args.channel)];
            rows::listed(&args.page, "outbox.list", &only, &TABLE, context)
        }
        OutboxCommand::Show(args) => rows::one(args, "outbox.get", context, rows::show),
        OutboxCommand::Retry(args) => rows::one(args, "outbox.retry", context, |answer| {
            list(answer, "/ids").iter().filter_map(Value::as_str).map(|id| format!("Queued again: {id}")).collect()
        }),
        OutboxCommand::Drop(args) => rows::one(args, "outbox.drop", context, rows::dropped),
    }
}

const TABLE: Table = Table { headers: &["Id", "State", "Age", "Chat", "Message"], row };

fn row(item: &Value, now_ms: u64) -> Vec<String> {
    let text = |pointer: &str| string(item, pointer).unwrap_or_default().to_owned();
    let queued = number(item, "/queuedAt").unwrap_or(now_ms);
    let chat = format!("{}:{} {}", text("/channel"), text("/accountId"), text("/to"));
    let message = match string(item, "/error") {
        Some(error) if text("/state") != "sent" => format!("{} ({error})", text("/text").replace('\n', " ")),
        _ => text("/text").replace('\n', " "),
    };
    vec![text("/id"), text("/state"), age(now_ms.saturating_sub(queued)), chat, message]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_where_a_message_goes_and_why_it_did_not_arrive() {
        let item = json!({ "id": "r:0", "state": "failed", "queuedAt": 0, "channel": "webhook", "accountId": "front",
                           "to": "direct:ada", "text": "two\nlines", "error": "503" });
        assert_eq!(row(&item, 120_000), ["r:0", "failed", "2m ago", "webhook:front direct:ada", "two lines (503)"]);
    }
}
