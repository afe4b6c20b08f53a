//! `openclaw health`: what the running gateway says about itself.

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::rpc::{self, Invalid, RpcArgs};
use super::text::{age, list, number, string};

/// Milliseconds for the whole command.
const TIMEOUT_MS: u64 = 10_000;
/// Same, when channels are probed live.
const PROBE_TIMEOUT_MS: u64 = 30_000;

/// Ask the running gateway how it is
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw health
  openclaw health --json --timeout 2000")]
pub struct HealthArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    /// Show the connection and probe channels live
    #[arg(short, long, visible_alias = "debug")]
    pub verbose: bool,
}

pub fn run(args: &HealthArgs, context: &Context) -> Outcome {
    let gateway = rpc::locate(context, &args.rpc, Invalid::Noted)?;
    let deadline = args.rpc.deadline(if args.verbose { PROBE_TIMEOUT_MS } else { TIMEOUT_MS });
    let params = if args.verbose { json!({ "probe": true }) } else { json!({}) };
    let health = context.block_on(gateway.call("health", params, deadline))??;
    if args.rpc.json {
        context.output.json(&health)?;
        return Ok(Exit::Done);
    }
    if args.verbose {
        context.output.line("Gateway connection:")?;
        for line in gateway.details() {
            context.output.line(format!("  {line}"))?;
        }
    }
    for line in lines(&health, args.verbose) {
        context.output.line(line)?;
    }
    Ok(Exit::Done)
}

/// The text of a `health` payload; the default agent's store alone unless `all`.
fn lines(health: &Value, all: bool) -> Vec<String> {
    let mut lines = channels(health);
    lines.extend(event_loop(health).map(|text| format!("Gateway event loop: {text}")));
    let agents = list(health, "/agents");
    lines.push(format!("Agents: {}", joined(agents, agent)));
    let shown: Vec<&Value> = agents.iter().filter(|agent| all || is_default(agent)).collect();
    lines.push(format!("Heartbeat interval: {}", joined(shown.iter().copied(), heartbeat)));
    for agent in shown {
        lines.push(format!(
            "Session store ({}): {} ({} entries)",
            id(agent),
            string(agent, "/sessions/path").unwrap_or("-"),
            number(agent, "/sessions/count").unwrap_or(0)
        ));
        lines.extend(list(agent, "/sessions/recent").iter().map(recent));
    }
    lines.extend(reload(health));
    lines
}

/// One line per channel, in the gateway's order.
pub fn channels(health: &Value) -> Vec<String> {
    let line = |id: &Value| {
        let id = id.as_str()?;
        let channel = health.pointer(&format!("/channels/{id}"))?;
        let label = string(health, &format!("/channelLabels/{id}")).unwrap_or(id);
        let configured = channel.get("configured").and_then(Value::as_bool).unwrap_or(false);
        let trouble = string(channel, "/lastError").map(|error| format!(", error: {error}")).unwrap_or_default();
        Some(format!("{label}: {}{trouble}", if configured { "configured" } else { "not configured" }))
    };
    list(health, "/channelOrder").iter().filter_map(line).collect()
}

/// `ok max=402ms p99=24ms util=0.017 cpu=0.017`
pub fn event_loop(health: &Value) -> Option<String> {
    let figures = health.get("eventLoop")?;
    let degraded = figures.get("degraded").and_then(Value::as_bool)?;
    let figure = |name: &str| figures.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    Some(format!(
        "{} max={:.0}ms p99={:.0}ms util={} cpu={}",
        if degraded { "degraded" } else { "ok" },
        figure("delayMaxMs"),
        figure("delayP99Ms"),
        figure("utilization"),
        figure("cpuCoreRatio")
    ))
}

fn joined<'a>(agents: impl IntoIterator<Item = &'a Value>, text: impl Fn(&Value) -> String) -> String {
    let texts: Vec<String> = agents.into_iter().map(text).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

fn id(agent: &Value) -> &str {
    string(agent, "/agentId").unwrap_or("?")
}

fn is_default(agent: &Value) -> bool {
    agent.get("isDefault").and_then(Value::as_bool).unwrap_or(false)
}

fn agent(agent: &Value) -> String {
    if is_default(agent) { format!("{} (default)", id(agent)) } else { id(agent).to_owned() }
}

fn heartbeat(agent: &Value) -> String {
    let enabled = agent.pointer("/heartbeat/enabled").and_then(Value::as_bool).unwrap_or(false);
    let every = string(agent, "/heartbeat/every").filter(|_| enabled).unwrap_or("disabled");
    format!("{every} ({})", id(agent))
}

fn recent(session: &Value) -> String {
    let key = string(session, "/key").unwrap_or("?");
    number(session, "/age").map_or_else(|| format!("- {key}"), |ms| format!("- {key} ({})", age(ms)))
}

/// That edits of the configuration wait for a restart; silent when they do not.
fn reload(health: &Value) -> Option<String> {
    let status = string(health, "/configReload/hotReloadStatus").filter(|status| *status != "active")?;
    Some(format!("Config reload: {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        json!({
            "ok": true,
            "eventLoop": {
                "degraded": false, "delayP99Ms": 39.8, "delayMaxMs": 253.2, "utilization": 0.08, "cpuCoreRatio": 0.026
            },
            "channels": { "telegram": { "configured": true, "lastError": null } },
            "channelOrder": ["telegram"],
            "channelLabels": { "telegram": "Telegram" },
            "agents": [
                {
                    "agentId": "main", "isDefault": true,
                    "heartbeat": { "enabled": false, "every": "disabled" },
                    "sessions": { "path": "/s/main", "count": 2, "recent": [{ "key": "agent:main:main", "age": 194_720 }] }
                },
                {
                    "agentId": "ops", "isDefault": false,
                    "heartbeat": { "enabled": true, "every": "1h" },
                    "sessions": { "path": "/s/ops", "count": 1, "recent": [] }
                }
            ]
        })
    }

    #[test]
    fn the_default_agent_is_shown_in_full() {
        assert_eq!(
            lines(&sample(), false),
            [
                "Telegram: configured",
                "Gateway event loop: ok max=253ms p99=40ms util=0.08 cpu=0.026",
                "Agents: main (default), ops",
                "Heartbeat interval: disabled (main)",
                "Session store (main): /s/main (2 entries)",
                "- agent:main:main (3m ago)",
            ]
        );
    }

    #[test]
    fn verbose_shows_every_agent() {
        let lines = lines(&sample(), true);
        assert!(lines.contains(&"Heartbeat interval: disabled (main), 1h (ops)".to_owned()), "{lines:?}");
        assert!(lines.contains(&"Session store (ops): /s/ops (1 entries)".to_owned()), "{lines:?}");
    }

    #[test]
    fn that_edits_wait_for_a_restart_is_said() {
        let mut health = sample();
        health["configReload"] = json!({ "hotReloadStatus": "active" });
        assert_eq!(lines(&health, false), lines(&sample(), false));
        health["configReload"] = json!({ "hotReloadStatus": "disabled" });
        assert_eq!(lines(&health, false).last().map(String::as_str), Some("Config reload: disabled"));
    }
}
