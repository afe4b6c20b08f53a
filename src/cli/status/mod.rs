//! `openclaw status`: one page about the gateway, its agents and their sessions.
//!
//! Invariant: always ends with 0, because "unreachable" is an answer; connects without a device, so looking changes nothing.
//! Source: command line specification §3.4.

mod document;
mod page;
mod resources;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::gateway::reach::Reach;
use super::rpc::{self, Call, RpcArgs};
use crate::client::RunFile;

/// Milliseconds for everything that is asked of the gateway.
const TIMEOUT_MS: u64 = 10_000;

/// Show the gateway, its agents and their sessions on one page
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw status
  openclaw status --deep
  openclaw status --all > report.txt
  openclaw status --json --resources")]
pub struct StatusArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    /// A report to paste somewhere; secrets are left out
    #[arg(long)]
    pub all: bool,
    /// Probe channels live and show the event loop
    #[arg(long)]
    pub deep: bool,
    /// Show what models cost
    #[arg(long)]
    pub usage: bool,
    /// Print a short block with figures first
    #[arg(short, long, visible_alias = "debug")]
    pub verbose: bool,
    /// Show memory, processor, files and disk
    #[arg(long)]
    pub resources: bool,
}

pub fn run(args: &StatusArgs, context: &Context) -> Outcome {
    if args.usage {
        context.output.note("--usage has no effect in this release: what models cost is not collected yet.");
    }
    let snapshot = if context.json { context.loaded().ok() } else { context.snapshot_or_note() };
    let keys = context.keys_or_salvage()?;
    let reach = match rpc::endpoint(context, &args.rpc, &keys) {
        Ok(endpoint) => {
            let asked =
                context.block_on(rpc::probe(&endpoint, &keys, &calls(args.deep), args.rpc.deadline(TIMEOUT_MS)))?;
            (Some(endpoint), asked)
        }
        Err(failure) if args.rpc.url.is_some() => return Err(failure),
        Err(failure) => (None, Reach { error: Some(failure.message().to_owned()), ..Reach::default() }),
    };
    let (endpoint, reach) = reach;
    let note = RunFile::read(&context.paths.state_dir);
    let facts = document::Facts {
        keys: &keys,
        settings: snapshot.map(|snapshot| &snapshot.settings),
        endpoint: endpoint.as_ref(),
        reach: &reach,
        pid: note.as_ref().map(|note| note.pid),
        now_ms: rpc::epoch_ms(),
    };
    let mut document = document::make(context, &facts);
    if args.resources || args.verbose {
        document["resources"] = resources::collect(context, &keys, &facts);
    }
    if args.rpc.json {
        context.output.json(&document)?;
        return Ok(Exit::Done);
    }
    let options = page::Options { all: args.all, deep: args.deep, verbose: args.verbose, resources: args.resources };
    page::print(context, &document, options)?;
    Ok(Exit::Done)
}

fn calls(deep: bool) -> Vec<Call> {
    let mut calls: Vec<Call> = vec![
        ("health", if deep { json!({ "probe": true }) } else { json!({}) }),
        ("status", json!({})),
        ("sessions.list", json!({ "limit": 10, "includeGlobal": true, "includeUnknown": true })),
    ];
    if deep {
        calls.push(("channels.status", json!({ "probe": false, "timeoutMs": 8_000 })));
        calls.push(("last-heartbeat", Value::Object(serde_json::Map::new())));
    }
    calls
}
