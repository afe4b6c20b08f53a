//! `openclaw spool`: what chat platforms have handed over, and what was made of it.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::context::Context;
use super::exit::Outcome;
use super::rows::{self, OneArgs, PageArgs, Table};
use super::text::{age, number, string};

/// Show what chat platforms have handed over and what was made of it; take up again what failed
///
/// Every event of a platform is kept here before it is looked at. One that nobody can make sense of is `failed` after a few tries
/// and stays for a week, with everything that the platform said. What an earlier try got done is not done again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw spool list --state failed
  openclaw spool show webhook:front:m1
  openclaw spool retry webhook:front:m1")]
pub struct SpoolArgs {
    #[command(subcommand)]
    pub command: SpoolCommand,
}

#[derive(Debug, Subcommand)]
pub enum SpoolCommand {
    /// List events, newest first
    #[command(after_help = "Examples:
  openclaw spool list
  openclaw spool list --state pending --channel webhook --json")]
    List(ListArgs),
    /// Show one event with everything that the platform said
    #[command(after_help = "Examples:
  openclaw spool show webhook:front:m1")]
    Show(OneArgs),
    /// Take up an event again that failed
    #[command(after_help = "Examples:
  openclaw spool retry webhook:front:m1")]
    Retry(OneArgs),
    /// Give up an event that waits or has failed
    #[command(after_help = "Examples:
  openclaw spool drop webhook:front:m1")]
    Drop(OneArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only events in this state
    #[arg(long, value_name = "state", value_parser = ["pending", "done", "failed"])]
    pub state: Option<String>,
    /// Only events of this channel
    #[arg(long, value_name = "channel")]
    pub channel: Option<String>,
    #[command(flatten)]
    pub page: PageArgs,
}

impl SpoolArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            SpoolCommand::List(args) => args.page.rpc.json,
            SpoolCommand::Show(args) | SpoolCommand::Retry(args) | SpoolCommand::Drop(args) => args.rpc.json,
        }
    }
}

pub fn run(args: &SpoolArgs, context: &Context) -> Outcome {
    match &args.command {
        SpoolCommand::List(args) => {
            let only = [("state", &args.state), ("channel", &args.channel)];
            rows::listed(&args.page, "spool.list", &only, &TABLE, context)
        }
        SpoolCommand::Show(args) => rows::one(args, "spool.get", context, rows::show),
        SpoolCommand::Retry(args) => rows::one(args, "spool.retry", context, |answer| {
            let queued = answer.get("ok").and_then(Value::as_bool) == Some(true);
            vec![if queued { "Queued again" } else { "It was taken up already" }.to_owned()]
        }),
        SpoolCommand::Drop(args) => rows::one(args, "spool.drop", context, rows::dropped),
    }
}

const TABLE: Table = Table { headers: &["Id", "State", "Age", "Tries", "Outcome"], row };

fn row(item: &Value, now_ms: u64) -> Vec<String> {
    let text = |pointer: &str| string(item, pointer).unwrap_or_default().to_owned();
    let received = number(item, "/receivedAt").unwrap_or(now_ms);
    let tries = number(item, "/attempts").unwrap_or(0).to_string();
    vec![text("/id"), text("/state"), age(now_ms.saturating_sub(received)), tries, text("/outcome")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_what_was_made_of_an_event() {
        let item = json!({ "id": "webhook:front:m1", "state": "failed", "receivedAt": 0, "attempts": 4, "outcome": "no text" });
        assert_eq!(row(&item, 120_000), ["webhook:front:m1", "failed", "2m ago", "4", "no text"]);
    }
}
