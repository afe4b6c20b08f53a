//! `openclaw gateway restart`: has the gateway of this state directory begin anew, and waits until it takes work again.
//!
//! The gateway itself does it (`gateway.restart.request`): it tells its clients, lets running turns finish and keeps what
//! comes in meanwhile. Source: command line specification §4.

use std::time::Duration;

use clap::Args;
use nix::sys::signal::Signal;
use openclaw_actors::config::duration;
use serde_json::{Value, json};

use super::life::{self, Done};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::rpc::{self, Invalid, RpcArgs};
use crate::cli::text::{number, string};
use crate::client::LockOwner;

/// For the request itself.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// For being ready after running turns are over.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for running turns when the gateway itself has no limit.
const DRAIN_LIMIT: Duration = Duration::from_secs(300);

/// Restart the gateway of this host; running turns finish first
#[derive(Debug, Args)]
#[command(after_help = "Use restart, never stop and then start: what comes in meanwhile is kept.

Examples:
  openclaw gateway restart
  openclaw gateway restart --safe
  openclaw gateway restart --wait 30s --json")]
pub struct RestartArgs {
    /// Only ask for the restart, and do not wait for it
    #[arg(long)]
    pub safe: bool,
    /// With --safe: do not let running turns finish; they go on after the start
    #[arg(long)]
    pub skip_deferral: bool,
    /// At once: running turns are cut off and go on after the start
    #[arg(long)]
    pub force: bool,
    /// How long running turns may go on: 30s, 5m, milliseconds, or 0 for as long as they take
    #[arg(long, value_name = "duration")]
    pub wait: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &RestartArgs, context: &Context) -> Outcome {
    let params = params(args)?;
    let Some(owner) = life::gateway(context)? else { return life::not_running(context, args.json, "restart") };
    let rpc_args = RpcArgs { port: Some(owner.port), ..RpcArgs::default() };
    let gateway = rpc::locate(context, &rpc_args, Invalid::Noted)?;
    let answer = match context.block_on(gateway.call("gateway.restart.request", params, REQUEST_LIMIT))? {
        Ok(answer) => answer,
        Err(_) if life::is_draining(&owner) => under_way(args, &owner)?,
        Err(failure) => return Err(failure),
    };
    let facts = json!({ "preflight": answer["preflight"], "restart": answer["restart"] });
    if args.safe {
        return safe(args, context, &answer);
    }
    if !args.json && answer.pointer("/preflight/safe") == Some(&json!(false)) {
        context.output.note(string(&answer, "/preflight/summary").unwrap_or_default());
    }
    let done = context.block_on(finished(context, &owner, &answer))??;
    life::tell(context, args.json, Done { facts, ..done })
}

/// A gateway that goes down takes no new call: its restart is joined. `--force` hurries it by one more SIGUSR1.
fn under_way(args: &RestartArgs, owner: &LockOwner) -> Result<Value, Failure> {
    if args.force || args.skip_deferral {
        life::signal(owner, Signal::SIGUSR1)?;
    }
    Ok(json!({ "status": "coalesced", "restart": { "ok": true, "pid": owner.pid, "coalesced": true } }))
}

/// What to ask for. Source for the refusals: 2026.5.12.
fn params(args: &RestartArgs) -> Result<Value, Failure> {
    let refusals = [
        (args.safe && args.force, "--safe cannot be combined with --force; omit --safe to force restart now"),
        (args.safe && args.wait.is_some(), "--safe cannot be combined with --wait; a safe restart waits by itself"),
        (args.skip_deferral && !args.safe, "--skip-deferral requires --safe"),
        (args.force && args.wait.is_some(), "--force cannot be combined with --wait"),
    ];
    if let Some((_, text)) = refusals.iter().find(|(holds, _)| *holds) {
        return Err(Failure::usage(*text));
    }
    let reason = if args.safe { "gateway.restart.safe" } else { "gateway restart" };
    let mut params = json!({ "reason": reason });
    if args.force || args.skip_deferral {
        params["skipDeferral"] = json!(true);
    }
    if let Some(text) = &args.wait {
        let wait = duration::parse(text, Duration::from_millis(1), false);
        let wait =
            wait.ok_or_else(|| Failure::usage(format!("Invalid --wait \"{text}\". Use 30s, 5m, milliseconds or 0.")))?;
        params["waitMs"] = json!(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    Ok(params)
}

/// Ordered, and that is all that was asked for.
fn safe(args: &RestartArgs, context: &Context, answer: &Value) -> Outcome {
    let status = string(answer, "/status").unwrap_or("scheduled");
    let message = match (status, args.skip_deferral) {
        ("coalesced", _) => "safe restart requested; it joins a restart that was ordered before",
        ("deferred", _) => "safe restart requested; gateway will restart when its running turns are over",
        (_, true) => "safe restart requested; gateway does not wait for running turns",
        (_, false) => "safe restart requested; gateway will restart momentarily",
    };
    let preflight = &answer["preflight"];
    let blocked = preflight["safe"] == false;
    let summary = string(preflight, "/summary").filter(|_| blocked);
    if args.json {
        let warnings: Vec<&str> = summary.into_iter().collect();
        context.output.json(&json!({
            "action": "restart", "ok": true, "result": status, "message": message, "preflight": preflight,
            "restart": answer["restart"], "warnings": warnings,
        }))?;
    } else {
        context.output.line(message)?;
        summary.into_iter().for_each(|summary| context.output.note(summary));
    }
    Ok(Exit::Done)
}

/// Waits for the new life of the gateway, and says which step took too long.
async fn finished(context: &Context, before: &LockOwner, answer: &Value) -> Result<Done, Failure> {
    let state_dir = &context.paths.state_dir;
    let delay = Duration::from_millis(number(answer, "/restart/delayMs").unwrap_or(0));
    let drain = number(answer, "/restart/drainMs").map_or(DRAIN_LIMIT, Duration::from_millis);
    let done = |result, message| Done { action: "restart", result, message, warnings: Vec::new(), facts: json!({}) };
    let logs = context.hint("logs");
    if !life::gone(state_dir, before, delay + drain + READY_LIMIT).await {
        let text = format!(
            "The restart is ordered; the gateway (pid {}) still waits for running turns. {logs} says for which.",
            before.pid
        );
        return Ok(done("scheduled", text));
    }
    match life::back(state_dir, before, READY_LIMIT).await {
        Some(now) => {
            Ok(done("restarted", format!("Restarted gateway (pid {}, port {}); it is ready.", now.pid, now.port)))
        }
        None => Err(Failure::error(format!(
            "the gateway ended for its restart and was not ready after {} s; {logs} says why",
            READY_LIMIT.as_secs()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RestartArgs,
    }

    fn check(flags: &str, expected: Result<Value, &str>) {
        let line = Line::try_parse_from(["restart"].into_iter().chain(flags.split_whitespace())).unwrap();
        let asked = params(&line.args).map_err(|failure| failure.message().to_owned());
        assert_eq!(asked, expected.map_err(str::to_owned), "{flags}");
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        check("--safe --force", Err("--safe cannot be combined with --force; omit --safe to force restart now"));
        check("--skip-deferral", Err("--skip-deferral requires --safe"));
        check("--force --wait 5s", Err("--force cannot be combined with --wait"));
        check("--wait soon", Err("Invalid --wait \"soon\". Use 30s, 5m, milliseconds or 0."));
    }

    #[test]
    fn the_flags_say_how_long_running_turns_may_go_on() {
        check("", Ok(json!({ "reason": "gateway restart" })));
        check("--force", Ok(json!({ "reason": "gateway restart", "skipDeferral": true })));
        check("--safe --skip-deferral", Ok(json!({ "reason": "gateway.restart.safe", "skipDeferral": true })));
        for (text, ms) in [("30s", 30_000), ("5m", 300_000), ("250", 250), ("0", 0)] {
            check(&format!("--wait {text}"), Ok(json!({ "reason": "gateway restart", "waitMs": ms })));
        }
    }
}
