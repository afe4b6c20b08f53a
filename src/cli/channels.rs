//! `openclaw channels`: the chat platforms that the configuration names, and how their accounts stand.

use clap::{Args, Subcommand};
use openclaw_actors::channels::{telegram, webhook};
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::rpc::{self, Invalid, RpcArgs};
use super::text::{age, list, number, string};

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 10_000;
/// Same, when the platforms are asked.
const PROBE_TIMEOUT_MS: u64 = 30_000;

/// The platforms of this release.
const BUILT: [&str; 2] = [telegram::ID, webhook::ID];

/// Show the chat platforms and their accounts; start and stop one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw channels status
  openclaw channels stop webhook --account shop
  openclaw logs --component channels")]
pub struct ChannelsArgs {
    #[command(subcommand)]
    pub command: ChannelsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ChannelsCommand {
    /// List the accounts of the configuration
    #[command(after_help = "Examples:
  openclaw channels list
  openclaw channels list --json")]
    List(ListArgs),
    /// Ask the running gateway how each account stands
    #[command(after_help = "Examples:
  openclaw channels status
  openclaw channels status --probe --json")]
    Status(StatusArgs),
    /// Start an account that was stopped by hand; ends safe mode
    #[command(after_help = "Examples:
  openclaw channels start webhook --account shop")]
    Start(OneArgs),
    /// Stop an account until it is started again
    #[command(after_help = "Examples:
  openclaw channels stop webhook --account shop")]
    Stop(OneArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print a document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Ask the platforms themselves, where that is possible
    #[arg(long)]
    pub probe: bool,
    /// Only this channel
    #[arg(long, value_name = "channel")]
    pub channel: Option<String>,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

#[derive(Debug, Args)]
pub struct OneArgs {
    /// Channel, as `channels list` shows it
    pub channel: String,
    /// Account; the first one if there are several
    #[arg(long, value_name = "id")]
    pub account: Option<String>,
    #[command(flatten)]
    pub rpc: RpcArgs,
}

impl ChannelsArgs {
    pub fn json(&self) -> bool {
        match &self.command {
            ChannelsCommand::List(args) => args.json,
            ChannelsCommand::Status(args) => args.rpc.json,
            ChannelsCommand::Start(args) | ChannelsCommand::Stop(args) => args.rpc.json,
        }
    }
}

pub fn run(args: &ChannelsArgs, context: &Context) -> Outcome {
    match &args.command {
        ChannelsCommand::List(args) => listed(args, context),
        ChannelsCommand::Status(args) => status(args, context),
        ChannelsCommand::Start(args) => operate(args, "channels.start", "started", context),
        ChannelsCommand::Stop(args) => operate(args, "channels.stop", "stopped", context),
    }
}

/// `{id: [account, …]}` of the configuration, as it is on disk.
fn configured(context: &Context) -> Value {
    let channels =
        context.snapshot_or_note().and_then(|snapshot| snapshot.value.get("channels")).and_then(Value::as_object);
    let blocks = channels.into_iter().flatten().filter(|(id, _)| *id != "defaults" && *id != "modelByChannel");
    let accounts = |block: &Value| {
        let named = block.get("accounts").and_then(Value::as_object);
        let ids: Vec<String> = named.map(|accounts| accounts.keys().cloned().collect()).unwrap_or_default();
        if ids.is_empty() { vec!["default".to_owned()] } else { ids }
    };
    blocks.map(|(id, block)| (id.clone(), json!(accounts(block)))).collect()
}

fn listed(args: &ListArgs, context: &Context) -> Outcome {
    let channels = configured(context);
    if args.json {
        context.output.json(&json!({ "channels": channels }))?;
        return Ok(Exit::Done);
    }
    context.output.line("Chat channels:")?;
    let rows: Vec<String> =
        channels.as_object().into_iter().flatten().flat_map(|(id, accounts)| rows(id, accounts)).collect();
    if rows.is_empty() {
        context.output.line("- no configured chat channels")?;
    }
    for row in rows {
        context.output.line(row)?;
    }
    Ok(Exit::Done)
}

fn rows(id: &str, accounts: &Value) -> Vec<String> {
    let built = if BUILT.contains(&id) { "" } else { " (not in this release)" };
    list(accounts, "").iter().filter_map(Value::as_str).map(|account| format!("- {id} {account}{built}")).collect()
}

fn status(args: &StatusArgs, context: &Context) -> Outcome {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let deadline = args.rpc.deadline(if args.probe { PROBE_TIMEOUT_MS } else { TIMEOUT_MS });
    let say = |line: &str| if args.rpc.json { Ok(()) } else { context.output.line(line) };
    say(if args.probe { "Checking channel status (probe)…" } else { "Checking channel status…" })?;
    match context.block_on(gateway.call("channels.status", json!({ "probe": args.probe }), deadline))? {
        Ok(answer) if args.rpc.json => context.output.json(&answer)?,
        Ok(answer) => {
            say("Gateway reachable.")?;
            let now = rpc::epoch_ms();
            for line in lines(&answer, args.channel.as_deref(), now) {
                say(&line)?;
            }
        }
        Err(failure) => return unreachable(args, context, failure.message()),
    }
    Ok(Exit::Done)
}

/// What is known without a gateway.
fn unreachable(args: &StatusArgs, context: &Context, error: &str) -> Outcome {
    let channels = configured(context);
    let mode = context.keys_or_note()?.remote_mode;
    let (path, mode) = (context.paths.config_path.display().to_string(), if mode { "remote" } else { "local" });
    if args.rpc.json {
        let ids: Vec<&String> = channels.as_object().into_iter().flatten().map(|(id, _)| id).collect();
        context.output.json(&json!({ "gatewayReachable": false, "error": error, "configOnly": true,
                                     "config": { "path": path, "mode": mode }, "configuredChannels": ids }))?;
        return Ok(Exit::Done);
    }
    context.output.line("Gateway not reachable; showing config-only status.")?;
    context.output.line(format!("Config: {path}"))?;
    context.output.line(format!("Mode: {mode}"))?;
    for (id, accounts) in channels.as_object().into_iter().flatten() {
        for row in rows(id, accounts) {
            context.output.line(row)?;
        }
    }
    Ok(Exit::Done)
}

/// One line an account.
fn lines(answer: &Value, only: Option<&str>, now_ms: u64) -> Vec<String> {
    let channels = list(answer, "/channelOrder").iter().filter_map(Value::as_str);
    let mut lines = Vec::new();
    for id in channels.filter(|id| only.is_none_or(|only| only == *id)) {
        let label = string(answer, &format!("/channelLabels/{id}")).unwrap_or(id);
        let accounts = list(answer, &format!("/channelAccounts/{id}")).iter();
        lines.extend(accounts.map(|account| format!("- {label} {}", bits(account, now_ms).join(", "))));
    }
    if lines.is_empty() {
        lines.push("- no configured chat channels".to_owned());
    }
    lines
}

fn bits(account: &Value, now_ms: u64) -> Vec<String> {
    let is = |key: &str| account.get(key) == Some(&json!(true));
    let word = |key: &str, yes: &str, no: &str| if is(key) { yes.to_owned() } else { no.to_owned() };
    let ago = |name: &str, key: &str| {
        number(account, key).map(|at| format!("{name}:{}", age(now_ms.saturating_sub(at)).trim_end_matches(" ago")))
    };
    let named = |name: &str, key: &str| string(account, key).map(|value| format!("{name}:{value}"));
    let id = string(account, "/accountId").unwrap_or("?");
    let allowed: Vec<&str> = list(account, "/allowFrom").iter().filter_map(Value::as_str).take(2).collect();
    let mut bits = vec![format!("{id}: {}", word("enabled", "enabled", "disabled"))];
    bits.push(word("configured", "configured", "not configured"));
    bits.push(word("running", "running", "stopped"));
    // Of one that does not listen by itself this says nothing more.
    let listens = account.get("reconnectAttempts").is_some();
    bits.extend(listens.then(|| word("connected", "connected", "disconnected")));
    bits.extend([ago("in", "/lastInboundAt"), ago("out", "/lastOutboundAt")].into_iter().flatten());
    let bot = string(account, "/bot/username").map(|name| format!("bot:@{name}"));
    bits.extend([named("mode", "/mode"), bot, named("dm", "/dmPolicy")].into_iter().flatten());
    bits.extend((!allowed.is_empty()).then(|| format!("allow:{}", allowed.join(","))));
    bits.extend([named("health", "/healthState"), named("error", "/lastError")].into_iter().flatten());
    bits
}

fn operate(args: &OneArgs, method: &str, word: &str, context: &Context) -> Outcome {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let params = match &args.account {
        Some(account) => json!({ "channel": args.channel, "accountId": account }),
        None => json!({ "channel": args.channel }),
    };
    let answer = context.block_on(gateway.call(method, params, args.rpc.deadline(TIMEOUT_MS)))??;
    let done = answer.get(word) == Some(&json!(true));
    if args.rpc.json {
        context.output.json(&answer)?;
    } else {
        let account = string(&answer, "/accountId").unwrap_or("?");
        let not = if done { "" } else { "not " };
        context.output.line(format!("{} {account}: {not}{word}", args.channel))?;
    }
    Ok(if done { Exit::Done } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_bits_in_their_order() {
        let account = json!({ "accountId": "shop", "enabled": true, "configured": true, "running": true, "lastInboundAt": 0,
                              "lastOutboundAt": null, "mode": "webhook", "dmPolicy": "open", "allowFrom": ["*"],
                              "healthState": "healthy", "lastError": null });
        let answer = json!({ "channelOrder": ["webhook"], "channelLabels": { "webhook": "Webhook" },
                             "channelAccounts": { "webhook": [account] } });
        let expected =
            "- Webhook shop: enabled, configured, running, in:2m, mode:webhook, dm:open, allow:*, health:healthy";
        assert_eq!(lines(&answer, None, 120_000), [expected]);
        assert_eq!(lines(&answer, Some("telegram"), 0), ["- no configured chat channels"]);
        let account = json!({ "accountId": "a", "enabled": true, "configured": true, "running": true, "connected": false,
                              "reconnectAttempts": 0, "mode": "polling", "bot": { "username": "x_bot" }, "dmPolicy": "pairing",
                              "healthState": "disconnected", "lastError": "getMe returned 401" });
        let expected = "a: enabled, configured, running, disconnected, mode:polling, bot:@x_bot, dm:pairing, \
                        health:disconnected, error:getMe returned 401";
        assert_eq!(bits(&account, 0).join(", "), expected);
    }
}
