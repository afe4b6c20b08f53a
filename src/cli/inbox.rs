//! `openclaw inbox`: every message that the gateway accepted, and what became of it.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::rpc::{self, Invalid, RpcArgs};
use super::text::{age, list, number, string};

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 10_000;

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
    /// How many to show
    #[arg(long, value_name = "n", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=500))]
    pub limit: u64,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub struct OneArgs {
    /// Id of the message, as `list` shows it
    pub id: String,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

impl InboxArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            InboxCommand::List(args) => args.rpc.json,
            InboxCommand::Show(args) | InboxCommand::Retry(args) | InboxCommand::Drop(args) => args.rpc.json,
        }
    }
}

pub fn run(args: &InboxArgs, context: &Context) -> Outcome {
    match &args.command {
        InboxCommand::List(args) => listed(args, context),
        InboxCommand::Show(args) => one(args, "inbox.get", context, show),
        InboxCommand::Retry(args) => one(args, "inbox.retry", context, |answer| {
            vec![format!("Taken up again as {}", string(answer, "/runId").unwrap_or("?"))]
        }),
        InboxCommand::Drop(args) => one(args, "inbox.drop", context, |answer| {
            let dropped = answer.get("dropped").and_then(Value::as_bool) == Some(true);
            vec![if dropped { "Dropped" } else { "It was gone already" }.to_owned()]
        }),
    }
}

fn listed(args: &ListArgs, context: &Context) -> Outcome {
    let mut params = Map::from_iter([("limit".to_owned(), json!(args.limit))]);
    if let Some(state) = &args.state {
        params.insert("state".into(), json!(state));
    }
    if let Some(key) = &args.session {
        params.insert("sessionKey".into(), json!(key));
    }
    let answer = call(&args.rpc, "inbox.list", Value::Object(params), context)?;
    if args.rpc.json {
        context.output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let now = rpc::epoch_ms();
    let rows: Vec<Vec<String>> = list(&answer, "/items").iter().map(|item| row(item, now)).collect();
    if rows.is_empty() {
        context.output.line("No messages.")?;
    } else {
        context.output.table(&["Id", "State", "Age", "Session", "Message"], &rows)?;
    }
    Ok(Exit::Done)
}

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

pub fn show(answer: &Value) -> Vec<String> {
    let Some(Value::Object(item)) = answer.get("item") else { return Vec::new() };
    let told = item.iter().filter(|(_, value)| !value.is_null());
    told.map(|(key, value)| format!("{key}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}

pub fn one(args: &OneArgs, method: &str, context: &Context, lines: impl Fn(&Value) -> Vec<String>) -> Outcome {
    let answer = call(&args.rpc, method, json!({ "id": args.id }), context)?;
    if args.rpc.json {
        context.output.json(&answer)?;
    } else {
        for line in lines(&answer) {
            context.output.line(line)?;
        }
    }
    Ok(Exit::Done)
}

pub fn call(rpc: &RpcArgs, method: &str, params: Value, context: &Context) -> Result<Value, super::Failure> {
    let gateway = rpc::locate(context, rpc, Invalid::Noted)?;
    context.block_on(gateway.call(method, params, rpc.deadline(TIMEOUT_MS)))?
}

#[cfg(test)]
mod tests {
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
