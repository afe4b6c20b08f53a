//! `openclaw inbox`: every message that the gateway accepted, and what became of it.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::context::Context;
use super::exit::Outcome;
use super::rows::{self, OneArgs, PageArgs, Table};
use super::text::{age, number, string};

/// Show accepted messages and what became of them; try dead ones again
///
/// A message is dead when its turn was cut off too often to be taken up once more. It stays here until it is tried again or
/// dropped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw inbox list --state dead
  openclaw inbox show 3c2f9a7e
  openclaw inbox retry 3c2f9a7e")]
pub struct InboxArgs {
    #[command(subcommand)]
    pub command: InboxCommand,
}

#[derive(Debug, Subcommand)]
pub enum InboxCommand {
    /// List messages, newest first
    #[command(after_help = "Examples:
  openclaw inbox list
  openclaw inbox list --state queued --session agent:main:main --json")]
    List(ListArgs),
    /// Show one message in full
    #[command(after_help = "Examples:
  openclaw inbox show 3c2f9a7e")]
    Show(OneArgs),
    /// Have the agent go on with a dead message
    #[command(after_help = "Examples:
  openclaw inbox retry 3c2f9a7e")]
    Retry(OneArgs),
    /// Take a waiting message out of its queue, or a dead one off the list
    #[command(after_help = "Examples:
  openclaw inbox drop 3c2f9a7e")]
    Drop(OneArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only messages in this state
    #[arg(long, value_name = "state",
        value_parser = ["queued", "running", "done", "failed", "aborted", "timeout", "interrupted", "dead"])]
    pub state: Option<String>,
    /// Only messages of this conversation
    #[arg(long, value_name = "key")]
    pub session: Option<String>,
    #[command(flatten)]
    pub page: PageArgs,
}

impl InboxArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            InboxCommand::List(args) => args.page.rpc.json,
            InboxCommand::Show(args) | InboxCommand::Retry(args) | InboxCommand::Drop(args) => args.rpc.json,
        }
    }
}

pub fn run(args: &InboxArgs, context: &Context) -> Outcome {
    match &args.command {
        InboxCommand::List(args) => {
            let only = [("state", &args.state), ("sessionKey", &args.session)];
            rows::listed(&args.page, "inbox.list", &only, &TABLE, context)
        }
        InboxCommand::Show(args) => rows::one(args, "inbox.get", context, rows::show),
        InboxCommand::Retry(args) => rows::one(args, "inbox.retry", context, |answer| {
            vec![format!("Taken up again as {}", string(answer, "/runId").unwrap_or("?"))]
        }),
        InboxCommand::Drop(args) => rows::one(args, "inbox.drop", context, rows::dropped),
    }
}

const TABLE: Table = Table { headers: &["Id", "State", "Age", "Session", "Message"], row };

fn row(item: &Value, now_ms: u64) -> Vec<String> {
    let text = |pointer: &str| string(item, pointer).unwrap_or_default().to_owned();
    let accepted = number(item, "/acceptedAt").unwrap_or(now_ms);
    let state =
        if item.get("dead").and_then(Value::as_bool) == Some(true) { "dead".to_owned() } else { text("/state") };
    let message = match string(item, "/resumes") {
        Some(of) => format!("goes on with {of}, attempt {}", number(item, "/attempt").unwrap_or(0)),
        None => text("/text").replace('\n', " "),
    };
    vec![text("/id"), state, age(now_ms.saturating_sub(accepted)), text("/sessionKey"), message]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_what_became_of_a_message() {
        let item = json!({ "id": "r", "state": "interrupted", "dead": true, "acceptedAt": 0, "text": "two\nlines",
                           "sessionKey": "agent:main:main", "resumes": null });
        assert_eq!(row(&item, 120_000), ["r", "dead", "2m ago", "agent:main:main", "two lines"]);
        let item = json!({ "id": "q", "state": "queued", "acceptedAt": 0, "resumes": "r", "attempt": 2 });
        assert_eq!(row(&item, 0)[4], "goes on with r, attempt 2");
    }
}
