//! `openclaw sessions`: what conversations there are, and moving them in and out.
//!
//! The gateway answers while it runs; otherwise whoever gave `Hooks` reads the store.
//! Source: command line specification §6.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Hooks;
use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::rpc::{self, Invalid, RpcArgs};
use super::text::{age, kilo, list, number, string};

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 10_000;

/// List, clean up, export and import conversations
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  openclaw sessions
  openclaw sessions list --active 60 --json
  openclaw sessions export --output sessions"
)]
pub struct SessionsArgs {
    #[command(flatten)]
    pub list: ListArgs,
    #[command(subcommand)]
    pub command: Option<SessionsCommand>,
}

#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// List conversations, newest first
    #[command(after_help = "Examples:
  openclaw sessions list
  openclaw sessions list --agent ops --limit all")]
    List(Box<ListArgs>),
    Export(ExportArgs),
    Import(ImportArgs),
    Cleanup(CleanupArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Conversations of this agent only
    #[arg(long, value_name = "id")]
    pub agent: Option<String>,
    /// Conversations of every agent; this is the default
    #[arg(long)]
    pub all_agents: bool,
    /// Active within this many minutes
    #[arg(long, value_name = "minutes")]
    pub active: Option<u64>,
    /// How many to show: a number or "all"
    #[arg(long, value_name = "n", default_value = "100")]
    pub limit: String,
    /// Path of a store that an older release wrote
    #[arg(long, value_name = "path")]
    pub store: Option<String>,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

/// Write conversations as files that other releases can read
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw sessions export --output backup
  openclaw sessions export --agent main --key agent:main:main --output one")]
pub struct ExportArgs {
    /// Folder to write into; it must not exist or be empty
    #[arg(short, long, value_name = "dir")]
    pub output: String,
    /// Conversations of this agent only
    #[arg(long, value_name = "id")]
    pub agent: Option<String>,
    /// This conversation only
    #[arg(long, value_name = "key")]
    pub key: Option<String>,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

/// Read conversations from the files of another release or of an export
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw sessions import ~/.openclaw-old --dry-run
  openclaw sessions import backup")]
pub struct ImportArgs {
    /// State directory or export folder to read
    #[arg(value_name = "dir")]
    pub source: String,
    /// Conversations of this agent only
    #[arg(long, value_name = "id")]
    pub agent: Option<String>,
    /// Say what would be imported and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

/// Show or apply the maintenance of conversations
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw sessions cleanup --dry-run
  openclaw sessions cleanup --enforce --all-agents")]
pub struct CleanupArgs {
    /// Conversations of this agent only
    #[arg(long, value_name = "id")]
    pub agent: Option<String>,
    /// Conversations of every agent
    #[arg(long)]
    pub all_agents: bool,
    /// Say what would be done and change nothing
    #[arg(long, conflicts_with = "enforce")]
    pub dry_run: bool,
    /// Do it
    #[arg(long)]
    pub enforce: bool,
    /// Also remove entries whose transcript is missing
    #[arg(long)]
    pub fix_missing: bool,
    /// Also retire direct conversations of an older scope
    #[arg(long)]
    pub fix_dm_scope: bool,
    /// A conversation to keep whatever the rules say
    #[arg(long, value_name = "key")]
    pub active_key: Option<String>,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

impl SessionsArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            None => self.list.rpc.json,
            Some(SessionsCommand::List(args)) => args.rpc.json,
            Some(SessionsCommand::Export(args)) => args.rpc.json,
            Some(SessionsCommand::Import(args)) => args.rpc.json,
            Some(SessionsCommand::Cleanup(args)) => args.rpc.json,
        }
    }
}

pub fn run(args: &SessionsArgs, context: &Context, hooks: &Hooks) -> Outcome {
    match &args.command {
        None => run_list(&args.list, context, hooks),
        Some(SessionsCommand::List(args)) => run_list(args, context, hooks),
        Some(SessionsCommand::Export(args)) => (hooks.sessions_export)(args, context),
        Some(SessionsCommand::Import(args)) => (hooks.sessions_import)(args, context),
        Some(SessionsCommand::Cleanup(args)) => run_cleanup(args, context),
    }
}

fn run_list(args: &ListArgs, context: &Context, hooks: &Hooks) -> Outcome {
    if args.store.is_some() {
        return Err(Failure::usage(
            "This release keeps sessions in its own store; use \"openclaw sessions import\" for other files.",
        ));
    }
    let params = list_params(args)?;
    let gateway = rpc::locate(context, &args.rpc, Invalid::Stops)?;
    let answer = context.block_on(gateway.call("sessions.list", params.clone(), args.rpc.deadline(TIMEOUT_MS)))?;
    let mut answer = match answer {
        Err(failure) if failure.kind == rpc::TRANSPORT && gateway.is_implicit_local() => {
            context.output.note("Gateway not reachable; reading the local session store instead.");
            (hooks.sessions_offline)(&params, context)?
        }
        answer => answer?,
    };
    if args.rpc.json {
        answer["activeMinutes"] = json!(args.active);
        context.output.json(&answer)?;
        return Ok(Exit::Done);
    }
    context.output.line(format!("Session store: {}", string(&answer, "/path").unwrap_or("-")))?;
    context.output.line(format!("Sessions listed: {}", list(&answer, "/sessions").len()))?;
    let rows: Vec<Vec<String>> = list(&answer, "/sessions").iter().map(|row| cells(row, rpc::epoch_ms())).collect();
    context.output.table(&["Kind", "Key", "Age", "Model", "Runtime", "Tokens (ctx %)", "Flags"], &rows)?;
    if answer.get("hasMore") == Some(&json!(true)) {
        context.output.note("More sessions exist; show them with --limit all.");
    }
    Ok(Exit::Done)
}

fn list_params(args: &ListArgs) -> Result<Value, Failure> {
    const ALL: u64 = 1_000_000;
    let limit =
        match args.limit.as_str() {
            "all" => ALL,
            text => text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| {
                Failure::usage(format!("Invalid --limit \"{text}\". Use a positive number or \"all\"."))
            })?,
        };
    let mut params = Map::new();
    params.insert("limit".into(), json!(limit));
    params.insert("includeGlobal".into(), json!(true));
    params.insert("includeUnknown".into(), json!(true));
    params.extend(args.agent.as_ref().map(|agent| ("agentId".to_owned(), json!(agent))));
    params.extend(args.active.map(|minutes| ("activeMinutes".to_owned(), json!(minutes))));
    Ok(Value::Object(params))
}

/// One row of the table.
fn cells(row: &Value, now_ms: u64) -> Vec<String> {
    let text = |pointer: &str| string(row, pointer).unwrap_or("-").to_owned();
    let since = number(row, "/ageMs").or_else(|| number(row, "/updatedAt").map(|at| now_ms.saturating_sub(at)));
    let flags: Vec<String> = [
        (row.get("systemSent") == Some(&json!(true))).then(|| "system".to_owned()),
        (row.get("abortedLastRun") == Some(&json!(true))).then(|| "aborted".to_owned()),
        string(row, "/sessionId").map(|id| format!("id:{id}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    vec![
        text("/kind"),
        text("/key"),
        since.map_or_else(|| "-".to_owned(), age),
        text("/model"),
        text("/agentRuntime/id"),
        tokens(row),
        flags.join(" "),
    ]
}

/// `12k/197k (6%)`
pub fn tokens(row: &Value) -> String {
    let used = number(row, "/totalTokens").unwrap_or(0);
    match number(row, "/contextTokens").filter(|limit| *limit > 0) {
        Some(limit) => format!("{}/{} ({}%)", kilo(used), kilo(limit), used * 100 / limit),
        None => kilo(used),
    }
}

fn run_cleanup(args: &CleanupArgs, context: &Context) -> Outcome {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Stops)?;
    let params = cleanup_params(args);
    let answer = context.block_on(gateway.call("sessions.cleanup", params, args.rpc.deadline(TIMEOUT_MS)))??;
    if args.rpc.json {
        context.output.json(&answer)?;
        return Ok(Exit::Done);
    }
    for line in cleanup_lines(&answer) {
        context.output.line(line)?;
    }
    Ok(Exit::Done)
}

fn cleanup_params(args: &CleanupArgs) -> Value {
    let mut params = Map::new();
    params.extend(args.agent.as_ref().map(|agent| ("agent".to_owned(), json!(agent))));
    params.extend(args.active_key.as_ref().map(|key| ("activeKey".to_owned(), json!(key))));
    let switches = [
        ("allAgents", args.all_agents),
        ("enforce", args.enforce),
        ("fixMissing", args.fix_missing),
        ("fixDmScope", args.fix_dm_scope),
    ];
    params.extend(switches.into_iter().filter(|(_, on)| *on).map(|(key, _)| (key.to_owned(), json!(true))));
    Value::Object(params)
}

fn cleanup_lines(answer: &Value) -> Vec<String> {
    let dry = answer.get("dryRun").and_then(Value::as_bool).unwrap_or(true);
    let verb = |what: &str| if dry { format!("Would {what}") } else { format!("Did {what}") };
    let count = |key: &str| number(answer, &format!("/{key}")).unwrap_or(0);
    let (before, after) = (count("beforeCount"), count("afterCount"));
    vec![
        format!("Session store: {}", string(answer, "/storePath").unwrap_or("-")),
        format!("Maintenance mode: {}", string(answer, "/mode").unwrap_or("-")),
        format!("Entries: {before} -> {after} (remove {})", before.saturating_sub(after)),
        format!("{}: {}", verb("prune missing transcripts"), count("missing")),
        format!("{}: {}", verb("retire stale direct DM sessions"), count("dmScopeRetired")),
        format!("{}: {}", verb("prune stale"), count("pruned")),
        format!("{}: {}", verb("cap overflow"), count("capped")),
        format!("{}: {}", verb("prune unreferenced artifacts"), count("unreferencedArtifacts")),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &str) -> SessionsArgs {
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Some(Command::Sessions(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sessions_alone_lists_them() {
        let args = parse("openclaw sessions --limit all --active 60 --json");
        assert!(args.command.is_none() && args.json());
        assert_eq!(list_params(&args.list).unwrap()["activeMinutes"], json!(60));
        assert!(list_params(&parse("openclaw sessions --limit 0").list).is_err());
    }

    #[test]
    fn a_row_reads_like_the_table() {
        let row = json!({
            "kind": "direct", "key": "agent:main:main", "ageMs": 102_886, "model": "stub-1", "totalTokens": 10,
            "contextTokens": 196_608, "agentRuntime": { "id": "auto" }, "systemSent": true, "sessionId": "s"
        });
        let expected = ["direct", "agent:main:main", "1m ago", "stub-1", "auto", "0.0k/197k (0%)", "system id:s"];
        assert_eq!(cells(&row, 0), expected);
        assert_eq!(cells(&json!({ "updatedAt": 0 }), 7_200_000)[2], "2h ago");
    }

    #[test]
    fn cleanup_is_a_dry_run_unless_enforced() {
        let params = |line| match parse(line).command {
            Some(SessionsCommand::Cleanup(args)) => cleanup_params(&args),
            other => panic!("{other:?}"),
        };
        assert_eq!(params("openclaw sessions cleanup --dry-run"), json!({}));
        assert_eq!(
            params("openclaw sessions cleanup --enforce --agent ops"),
            json!({ "agent": "ops", "enforce": true })
        );
        let lines = cleanup_lines(&json!({ "dryRun": true, "beforeCount": 3, "afterCount": 1, "pruned": 2 }));
        assert_eq!(lines[2], "Entries: 3 -> 1 (remove 2)");
        assert_eq!(lines[5], "Would prune stale: 2");
    }
}
