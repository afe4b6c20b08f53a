//! `openclaw tree`: the supervision tree of the running gateway, and what operators may do to an actor of it.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{Exit, Failure, Outcome};
use super::output::Tone;
use super::rpc::{self, Gateway, Invalid, RpcArgs};
use super::table::{self, Frame};
use super::text::{list, number, string};
use super::watch;

/// Milliseconds for one look.
const TIMEOUT_MS: u64 = 10_000;

/// Show the actors of the running gateway: what runs, what was restarted, what was given up
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  openclaw tree
  openclaw tree --watch
  openclaw tree --json --all
  openclaw tree restart presence"
)]
pub struct TreeArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    #[command(subcommand)]
    pub command: Option<TreeCommand>,
    /// Look again and again until Ctrl-C; with --json one document a line
    #[arg(short, long)]
    pub watch: bool,
    /// Milliseconds between two looks with --watch
    #[arg(long, value_name = "ms", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub interval: u64,
    /// List every session and connection, however many
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Subcommand)]
pub enum TreeCommand {
    /// Stop an actor and start it again
    #[command(after_help = "Examples:
  openclaw tree restart config
  openclaw tree restart agents/sessions/agent:main:main")]
    Restart(OperateArgs),
    /// Start an actor that was stopped or given up
    #[command(after_help = "Examples:
  openclaw tree start presence")]
    Start(OperateArgs),
    /// Stop an actor until it is started again, or the gateway is
    #[command(after_help = "Examples:
  openclaw tree stop presence")]
    Stop(OperateArgs),
}

#[derive(Debug, Args)]
pub struct OperateArgs {
    /// Path of the actor, or its name where only one has it
    pub name: String,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

impl TreeArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            Some(TreeCommand::Restart(args) | TreeCommand::Start(args) | TreeCommand::Stop(args)) => args.rpc.json,
            None => self.rpc.json,
        }
    }
}

pub fn run(args: &TreeArgs, context: &Context) -> Outcome {
    match &args.command {
        Some(TreeCommand::Restart(operate)) => operation(operate, "system.tree.restart", context),
        Some(TreeCommand::Start(operate)) => operation(operate, "system.tree.start", context),
        Some(TreeCommand::Stop(operate)) => operation(operate, "system.tree.stop", context),
        None if args.watch => watch(args, context),
        None => once(args, context),
    }
}

fn once(args: &TreeArgs, context: &Context) -> Outcome {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let tree = look(args, context, &gateway)?;
    if args.rpc.json {
        context.output.json(&tree)?;
    } else {
        print(&tree, context)?;
    }
    Ok(Exit::Done)
}

fn look(args: &TreeArgs, context: &Context, gateway: &Gateway<'_>) -> Result<Value, Failure> {
    let call = gateway.call("system.tree", json!({ "all": args.all }), args.rpc.deadline(TIMEOUT_MS));
    context.block_on(call)?
}

fn watch(args: &TreeArgs, context: &Context) -> Outcome {
    watch::again(Duration::from_millis(args.interval), context, || {
        let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
        let tree = look(args, context, &gateway)?;
        if args.rpc.json {
            context.output.line(tree.to_string())?;
        } else {
            print(&tree, context)?;
            context.output.line("")?;
        }
        Ok(())
    })
}

fn operation(args: &OperateArgs, method: &str, context: &Context) -> Outcome {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let call = gateway.call(method, json!({ "name": args.name }), args.rpc.deadline(TIMEOUT_MS));
    let answer = context.block_on(call)??;
    if args.rpc.json {
        context.output.json(&answer)?;
    } else {
        let text = |pointer: &str| string(&answer, pointer).unwrap_or("?");
        context.output.line(format!("{}: {}", text("/node/path"), text("/node/state")))?;
    }
    Ok(Exit::Done)
}

fn print(tree: &Value, context: &Context) -> Outcome {
    let mut rows = Vec::new();
    if let Some(root) = tree.get("root") {
        collect(root, "", "", &mut rows);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.cells.clone()).collect();
    let header = ["Actor", "State", "Up", "Restarts", "Mail", "Oldest", "Retry", "Last failure"];
    let text = table::render(&header, &cells, Frame::Plain);
    for (index, line) in text.lines().enumerate() {
        let tone = match index.checked_sub(1).and_then(|row| rows.get(row)).map(|row| row.state.as_str()) {
            None => Some(Tone::Heading),
            Some("running") => None,
            Some("gave-up" | "unknown") => Some(Tone::Bad),
            Some(_) => Some(Tone::Warn),
        };
        match tone {
            Some(tone) => context.output.line(context.output.tint(tone, line))?,
            None => context.output.line(line)?,
        }
    }
    Ok(Exit::Done)
}

struct Row {
    state: String,
    cells: Vec<String>,
}

/// `lead` stands before the actor itself, `below` before its children.
fn collect(node: &Value, lead: &str, below: &str, rows: &mut Vec<Row>) {
    let text = |pointer: &str| string(node, pointer).unwrap_or_default().to_owned();
    let time = |pointer: &str| number(node, pointer).map(duration).unwrap_or_default();
    let failure = string(node, "/lastFailure/reason")
        .map(|reason| format!("{} ago: {}", time("/lastFailure/agoMs"), reason.lines().next().unwrap_or_default()));
    rows.push(Row {
        state: text("/state"),
        cells: vec![
            format!("{lead}{}", text("/name")),
            text("/state"),
            time("/uptimeMs"),
            number(node, "/restarts").unwrap_or(0).to_string(),
            number(node, "/mailbox").unwrap_or(0).to_string(),
            time("/oldestMs"),
            time("/nextRetryMs"),
            failure.unwrap_or_default(),
        ],
    });
    let children = list(node, "/children");
    let omitted = number(node, "/omitted").filter(|count| *count > 0);
    for (index, child) in children.iter().enumerate() {
        let is_last = index + 1 == children.len() && omitted.is_none();
        let (lead, next) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        collect(child, &format!("{below}{lead}"), &format!("{below}{next}"), rows);
    }
    if let Some(count) = omitted {
        let cells = vec![format!("{below}└─ … and {count} more (--all)")];
        rows.push(Row { state: "running".into(), cells });
    }
}

/// `850ms`, `12s`, `5m 3s`, `2h 5m`, `3d 4h`
fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_drawn_with_its_branches() {
        let root = json!({ "name": "root", "state": "running", "children": [
            { "name": "infra", "state": "running", "children": [
                { "name": "events", "state": "gave-up", "nextRetryMs": 60_000, "restarts": 10,
                  "lastFailure": { "reason": "injected\nsecond line", "agoMs": 1200 } },
            ] },
            { "name": "front", "state": "running", "omitted": 7 },
        ] });
        let mut rows = Vec::new();
        collect(&root, "", "", &mut rows);
        let names: Vec<&str> = rows.iter().map(|row| row.cells[0].as_str()).collect();
        assert_eq!(names, ["root", "├─ infra", "│  └─ events", "└─ front", "   └─ … and 7 more (--all)"]);
        assert_eq!(rows[2].cells[1..], ["gave-up", "", "10", "0", "", "1m 0s", "1s ago: injected"]);
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (ms, text) in [(0, "0ms"), (999, "999ms"), (61_000, "1m 1s"), (7_380_000, "2h 3m"), (90_000_000, "1d 1h")] {
            assert_eq!(duration(ms), text);
        }
    }
}
