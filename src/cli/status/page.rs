//! The page of `openclaw status`, made from its document alone.

use std::io;

use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::gateway::status::dashboard;
use crate::cli::health;
use crate::cli::output::Tone;
use crate::cli::sessions::tokens;
use crate::cli::text::{age, bytes, kilo, list, number, string, uptime};

/// Which parts are shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub all: bool,
    pub deep: bool,
    pub verbose: bool,
    pub resources: bool,
}

pub fn print(context: &Context, document: &Value, options: Options) -> io::Result<()> {
    let output = &context.output;
    if options.verbose {
        for line in block(document) {
            output.line(line)?;
        }
        output.line("")?;
    }
    let heading = |text: &str| output.line(output.tint(Tone::Heading, text));
    heading(if options.all { "OpenClaw status --all" } else { "OpenClaw status" })?;
    output.line("")?;
    heading("Overview")?;
    output.table(&["Item", "Value"], &overview(document, options.deep))?;
    output.line("\nSecurity audit\nNot available in this release.\n\nChannels")?;
    output.table(&["Channel", "Enabled", "State", "Detail"], &channels(document))?;
    if options.all {
        output.line("\nAgents")?;
        output.table(&["Agent", "Bootstrap file", "Sessions", "Active", "Store"], &agents(document))?;
    }
    output.line("\nSessions")?;
    output.table(&["Key", "Kind", "Age", "Model", "Runtime", "Tokens"], &sessions(document))?;
    if options.deep {
        output.line("\nHealth")?;
        output.table(&["Item", "Status", "Detail"], &health_rows(document))?;
    }
    if options.resources {
        output.line("\nResources")?;
        output.table(&["Item", "Value"], &resources(document))?;
    }
    if options.all {
        output.line("\nDiagnosis (read-only)")?;
        for line in diagnosis(context, document) {
            output.line(line)?;
        }
    }
    output.line("\nNext steps:")?;
    for (need, command) in [
        ("Need to share?     ", "status --all"),
        ("Need to debug live?", "logs --follow"),
        ("Something is wrong?", "doctor"),
    ] {
        output.line(format!("  {need} {}", context.hint(command)))?;
    }
    Ok(())
}

/// The fixed block of `--verbose`.
fn block(document: &Value) -> Vec<String> {
    let reachable = is(document, "/gateway/reachable");
    let channels = list(document, "/health/channelOrder");
    let agents = list(document, "/agents/agents");
    let url = string(document, "/gateway/url").unwrap_or_default();
    let port = url.rsplit(':').next().unwrap_or_default().trim_end_matches('/');
    let mut lines = vec![
        format!("Gateway Status: {}", if reachable { "Running" } else { "Stopped" }),
        format!("Port: {port}"),
        format!("Uptime: {}", number(document, "/uptimeMs").map_or_else(|| "-".to_owned(), uptime)),
        format!("Active Sessions: {}", number(document, "/sessions/count").unwrap_or(0)),
        format!("Connected Channels: {}", channels.len()),
    ];
    lines.extend(channels.iter().filter_map(Value::as_str).map(|id| format!("- {id}: {}", channel_word(document, id))));
    lines.push(format!("Active Agents: {}", agents.len()));
    let state = if reachable { "ready" } else { "stopped" };
    lines.extend(agents.iter().filter_map(|agent| string(agent, "/id")).map(|id| format!("- {id}: {state}")));
    let memory = number(document, "/resources/rssBytes").map_or_else(|| "-".to_owned(), bytes);
    let cpu = document.pointer("/resources/cpuPct").and_then(Value::as_f64);
    lines.push(format!("Memory Usage: {memory}"));
    lines.push(format!("CPU Usage: {}", cpu.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.0}%"))));
    lines
}

fn channel_word<'a>(document: &Value, id: &str) -> &'a str {
    if is(document, &format!("/health/channels/{id}/connected")) { "connected" } else { "not connected" }
}

fn is(document: &Value, pointer: &str) -> bool {
    document.pointer(pointer) == Some(&json!(true))
}

fn overview(document: &Value, deep: bool) -> Vec<Vec<String>> {
    let text = |pointer: &str| string(document, pointer).unwrap_or("unknown").to_owned();
    let tasks = |key: &str| number(document, &format!("/tasks/{key}")).unwrap_or(0);
    let events = list(document, "/queuedSystemEvents").len();
    let mut rows = vec![
        ("OS", text("/os/label")),
        ("Dashboard", string(document, "/gateway/url").map_or_else(|| "unknown".to_owned(), dashboard)),
        ("Tailscale exposure", "off".to_owned()),
        ("Channel", "stable (default)".to_owned()),
        ("Update", "not checked in this release".to_owned()),
        ("Gateway", gateway(document)),
        ("Gateway self", gateway_self(document)),
        ("Gateway service", format!("none · {}", text("/gatewayService/runtimeShort"))),
        ("Agents", agents_line(document)),
        ("Memory", "not available in this release".to_owned()),
        ("Probes", if deep { "enabled" } else { "skipped (use --deep)" }.to_owned()),
        ("Events", if events == 0 { "none".to_owned() } else { format!("{events} queued") }),
        ("Tasks", format!("{} active · {} failures · {} tracked", tasks("active"), tasks("failures"), tasks("total"))),
        ("Heartbeat", heartbeat(document)),
    ];
    if deep {
        let last = string(document, "/lastHeartbeat/status").unwrap_or("none");
        rows.push(("Last heartbeat", last.to_owned()));
    }
    rows.push(("Sessions", sessions_line(document)));
    rows.extend(string(document, "/safeMode").map(|reason| ("Safe mode", reason.to_owned())));
    let dead = number(document, "/inbox/dead").filter(|dead| *dead > 0);
    rows.extend(dead.map(|dead| ("Dead messages", format!("{dead} · openclaw inbox list --state dead"))));
    rows.extend(undelivered(document).map(|text| ("Undelivered", text)));
    let room = string(document, "/disk").filter(|room| *room != "ok");
    rows.extend(
        room.map(|room| ("Disk", if room == "full" { "full: no new turns" } else { "almost full" }.to_owned())),
    );
    rows.extend(supervision(document).map(|text| ("Supervision", text)));
    rows.extend(reload(document).map(|text| ("Config reload", text)));
    rows.into_iter().map(|(item, value)| vec![item.to_owned(), value]).collect()
}

/// `17 actors running`, or which of them do not. Absent when the gateway does not say.
fn supervision(document: &Value) -> Option<String> {
    let count = |key: &str| number(document, &format!("/supervision/{key}"));
    let (actors, running, restarts) = (count("actors")?, count("running")?, count("restarts")?);
    let down: Vec<String> = list(document, "/supervision/down")
        .iter()
        .map(|row| {
            let why = string(row, "/lastFailure/reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("{} {}{why}", string(row, "/path").unwrap_or("?"), string(row, "/state").unwrap_or("?"))
        })
        .collect();
    let head = format!("{running} of {actors} actors running · {restarts} restarts");
    Some(if down.is_empty() { head } else { format!("{head} · {}", down.join("; ")) })
}

/// Messages that did not reach their chat, as far as we know.
fn undelivered(document: &Value) -> Option<String> {
    let count = |state: &str| number(document, &format!("/outbox/{state}")).filter(|count| *count > 0);
    let told = [("failed", count("failed")), ("unknown", count("unknown"))];
    let told: Vec<String> = told.iter().filter_map(|(word, count)| Some(format!("{} {word}", (*count)?))).collect();
    (!told.is_empty()).then(|| format!("{} · openclaw outbox list", told.join(", ")))
}

/// An edit of the configuration that the running gateway did not take, or not wholly.
fn reload(document: &Value) -> Option<String> {
    let status = string(document, "/configReload/status").filter(|status| *status != "ok")?;
    let issues = list(document, "/configReload/issues").iter().filter_map(|issue| string(issue, "/message"));
    let pending = list(document, "/configReload/pending").iter().filter_map(Value::as_str);
    let why: Vec<&str> = issues.chain(pending).collect();
    let held = string(document, "/configReload/held").map(|why| format!(" · {why}")).unwrap_or_default();
    Some(format!("{status} · {}{held}", why.join("; ")))
}

/// `local · ws://… (local loopback) · reachable 4ms · auth token · host app 1.2.3`
fn gateway(document: &Value) -> String {
    let text = |pointer: &str| string(document, pointer).unwrap_or("unknown");
    let address = match string(document, "/gateway/url") {
        Some(url) => format!("{} · {url} ({})", text("/gateway/mode"), text("/gateway/urlSource")),
        None => format!("{} · misconfigured", text("/gateway/mode")),
    };
    if is(document, "/gateway/reachable") {
        let latency = number(document, "/gateway/connectLatencyMs").unwrap_or(0);
        let itself = gateway_self(document);
        return format!("{address} · reachable {latency}ms · auth {} · {itself}", text("/gateway/authMode"));
    }
    format!("{address} · unreachable ({})", text("/gateway/error"))
}

fn gateway_self(document: &Value) -> String {
    let part = |key: &str| string(document, &format!("/gateway/self/{key}")).map(str::to_owned);
    let ip = part("ip").map(|ip| format!("({ip})"));
    let version = part("version").or_else(|| string(document, "/gateway/version").map(str::to_owned));
    let parts = [part("host"), ip, version.map(|version| format!("app {version}")), part("platform")];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "unknown".to_owned() } else { text }
}

fn agents_line(document: &Value) -> String {
    let agents = list(document, "/agents/agents");
    let default = string(document, "/agents/defaultId").unwrap_or("main");
    let active = agents.iter().find(|agent| string(agent, "/id") == Some(default));
    let active = active.and_then(|agent| number(agent, "/lastActiveAgeMs")).map_or_else(|| "unknown".to_owned(), age);
    let pending = number(document, "/agents/bootstrapPendingCount").unwrap_or(0);
    let sessions = number(document, "/agents/totalSessions").unwrap_or(0);
    format!("{} · {pending} bootstrapping · sessions {sessions} · default {default} active {active}", agents.len())
}

fn heartbeat(document: &Value) -> String {
    let one = |agent: &Value| {
        let every = string(agent, "/every").filter(|_| agent["enabled"] == json!(true)).unwrap_or("disabled");
        format!("{every} ({})", string(agent, "/agentId").unwrap_or("?"))
    };
    let texts: Vec<String> = list(document, "/heartbeat/agents").iter().map(one).collect();
    if texts.is_empty() { "unknown".to_owned() } else { texts.join(", ") }
}

fn sessions_line(document: &Value) -> String {
    let count = number(document, "/sessions/count").unwrap_or(0);
    let model = string(document, "/sessions/defaults/model").unwrap_or("unknown");
    let window = number(document, "/sessions/defaults/contextTokens").map(|n| format!(" ({} ctx)", kilo(n)));
    format!("{count} active · default {model}{}", window.unwrap_or_default())
}

fn channels(document: &Value) -> Vec<Vec<String>> {
    let row = |id: &Value| {
        let id = id.as_str()?;
        let at = |key: &str| is(document, &format!("/health/channels/{id}/{key}"));
        let label = string(document, &format!("/health/channelLabels/{id}")).unwrap_or(id);
        let state = if at("connected") || at("running") { "OK" } else { "OFF" };
        let error = string(document, &format!("/health/channels/{id}/lastError")).unwrap_or_default();
        Some(vec![
            label.to_owned(),
            if at("enabled") { "ON" } else { "OFF" }.to_owned(),
            state.to_owned(),
            error.to_owned(),
        ])
    };
    list(document, "/health/channelOrder").iter().filter_map(row).collect()
}

fn agents(document: &Value) -> Vec<Vec<String>> {
    let row = |agent: &Value| {
        vec![
            string(agent, "/id").unwrap_or("?").to_owned(),
            if agent["bootstrapPending"] == json!(true) { "PENDING" } else { "ABSENT" }.to_owned(),
            number(agent, "/sessionsCount").unwrap_or(0).to_string(),
            number(agent, "/lastActiveAgeMs").map_or_else(|| "unknown".to_owned(), age),
            string(agent, "/sessionsPath").unwrap_or("-").to_owned(),
        ]
    };
    list(document, "/agents/agents").iter().map(row).collect()
}

fn sessions(document: &Value) -> Vec<Vec<String>> {
    let row = |session: &Value| {
        let text = |pointer: &str| string(session, pointer).unwrap_or("-").to_owned();
        let since = number(session, "/ageMs").or_else(|| number(session, "/age"));
        vec![
            text("/key"),
            text("/kind"),
            since.map_or_else(|| "-".to_owned(), age),
            text("/model"),
            text("/agentRuntime/id"),
            tokens(session),
        ]
    };
    let rows: Vec<Vec<String>> = list(document, "/sessions/recent").iter().map(row).collect();
    if rows.is_empty() { vec![[vec!["no sessions yet".to_owned()], vec![String::new(); 5]].concat()] } else { rows }
}

fn health_rows(document: &Value) -> Vec<Vec<String>> {
    let reachable = is(document, "/gateway/reachable");
    let latency = number(document, "/gateway/connectLatencyMs").map(|ms| format!("{ms}ms"));
    let detail = latency.or_else(|| string(document, "/gateway/error").map(str::to_owned)).unwrap_or_default();
    let state = if reachable { "reachable" } else { "unreachable" };
    let mut rows = vec![vec!["Gateway".to_owned(), state.to_owned(), detail]];
    if let Some(text) = health::event_loop(document) {
        let (word, figures) = text.split_once(' ').unwrap_or((text.as_str(), ""));
        rows.push(vec!["Event loop".to_owned(), word.to_uppercase(), figures.to_owned()]);
    }
    rows
}

fn resources(document: &Value) -> Vec<Vec<String>> {
    let size = |pointer: &str| number(document, &format!("/resources/{pointer}")).map_or_else(|| "-".to_owned(), bytes);
    let count =
        |key: &str| number(document, &format!("/resources/{key}")).map_or_else(|| "-".to_owned(), |n| n.to_string());
    let cpu = document.pointer("/resources/cpuPct").and_then(Value::as_f64);
    let mut rows = vec![
        ("Memory (RSS)".to_owned(), size("rssBytes")),
        ("CPU since start".to_owned(), cpu.map_or_else(|| "-".to_owned(), |percent| format!("{percent}%"))),
        ("Open files".to_owned(), count("fds")),
        ("Threads".to_owned(), count("threads")),
        ("State directory".to_owned(), size("diskBytes/state")),
        ("Logs".to_owned(), size("diskBytes/logs")),
        ("Disk free".to_owned(), size("diskFreeBytes")),
    ];
    for dir in list(document, "/resources/largest") {
        let path = string(dir, "/path").unwrap_or("?").to_owned();
        rows.push((path, number(dir, "/bytes").map_or_else(|| "-".to_owned(), bytes)));
    }
    rows.into_iter().map(|(item, value)| vec![item, value]).collect()
}

fn diagnosis(context: &Context, document: &Value) -> Vec<String> {
    let config = context.show(&context.paths.config_path);
    let mark = |ok: bool, text: String| format!("{} {text}", if ok { "✓" } else { "✗" });
    let secrets = list(document, "/secretDiagnostics");
    let mut lines = vec![
        String::new(),
        mark(context.loaded().is_ok(), format!("Config: {config}")),
        mark(secrets.is_empty(), format!("Secret diagnostics ({})", secrets.len())),
        mark(is(document, "/gateway/reachable"), format!("Gateway: {}", gateway(document))),
    ];
    lines.extend(secrets.iter().filter_map(Value::as_str).map(|text| format!("  {text}")));
    lines.extend([String::new(), "Pasteable report: it contains no tokens.".to_owned()]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        json!({
            "os": { "label": "linux 6.1 (x86_64)" },
            "gateway": {
                "mode": "local", "url": "ws://127.0.0.1:18789", "urlSource": "local loopback", "reachable": true,
                "connectLatencyMs": 4, "authMode": "token",
                "self": { "host": "box", "ip": "10.0.0.2", "version": "1.2.3", "platform": "linux" }
            },
            "gatewayService": { "runtimeShort": "running (pid 42, unmanaged)" },
            "uptimeMs": 9_252_000,
            "agents": { "defaultId": "main", "agents": [{ "id": "main", "lastActiveAgeMs": 120_000 }], "totalSessions": 3 },
            "heartbeat": { "agents": [{ "agentId": "main", "enabled": true, "every": "30m" }] },
            "sessions": { "count": 3, "defaults": { "model": "stub-1", "contextTokens": 196_608 }, "recent": [] },
            "health": { "channelOrder": ["telegram"], "channels": { "telegram": { "connected": true } } },
            "eventLoop": { "degraded": false, "delayMaxMs": 168.2, "delayP99Ms": 97.0, "utilization": 0.169, "cpuCoreRatio": 0.081 },
            "resources": { "rssBytes": 256_901_120, "cpuPct": 12.0 }
        })
    }

    #[test]
    fn the_verbose_block_has_its_fixed_lines() {
        assert_eq!(
            block(&sample()),
            [
                "Gateway Status: Running",
                "Port: 18789",
                "Uptime: 2h 34m 12s",
                "Active Sessions: 3",
                "Connected Channels: 1",
                "- telegram: connected",
                "Active Agents: 1",
                "- main: ready",
                "Memory Usage: 245 MB",
                "CPU Usage: 12%",
            ]
        );
    }

    #[test]
    fn the_overview_has_the_rows_that_operators_look_for() {
        let rows = overview(&sample(), true);
        let items: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(
            items,
            [
                "OS",
                "Dashboard",
                "Tailscale exposure",
                "Channel",
                "Update",
                "Gateway",
                "Gateway self",
                "Gateway service",
                "Agents",
                "Memory",
                "Probes",
                "Events",
                "Tasks",
                "Heartbeat",
                "Last heartbeat",
                "Sessions",
            ]
        );
        let value = |item: &str| rows.iter().find(|row| row[0] == item).map(|row| row[1].clone()).unwrap();
        assert_eq!(
            value("Gateway"),
            "local · ws://127.0.0.1:18789 (local loopback) · reachable 4ms · auth token · box (10.0.0.2) app 1.2.3 linux"
        );
        assert_eq!(value("Sessions"), "3 active · default stub-1 (197k ctx)");
        assert_eq!(value("Heartbeat"), "30m (main)");
    }

    #[test]
    fn an_edit_that_was_not_taken_is_said_in_the_overview() {
        let mut document = sample();
        document["configReload"] = json!({ "status": "ok", "issues": [], "pending": [] });
        assert_eq!(overview(&document, false), overview(&sample(), false));
        document["configReload"] =
            json!({ "status": "invalid", "issues": [{ "path": "a", "message": "bad" }], "pending": [] });
        assert_eq!(overview(&document, false).last().unwrap()[..], ["Config reload", "invalid · bad"]);
        document["configReload"] = json!({ "status": "restart-pending", "issues": [], "pending": ["gateway.port"] });
        assert_eq!(overview(&document, false).last().unwrap()[1], "restart-pending · gateway.port");
        document["configReload"]["held"] = json!("gateway.reload.mode is hot");
        let held = "restart-pending · gateway.port · gateway.reload.mode is hot";
        assert_eq!(overview(&document, false).last().unwrap()[1], held);
    }

    #[test]
    fn an_unreachable_gateway_says_why_in_its_row() {
        let mut document = sample();
        document["gateway"]["reachable"] = json!(false);
        document["gateway"]["error"] = json!("connect ECONNREFUSED 127.0.0.1:18789");
        let expected =
            "local · ws://127.0.0.1:18789 (local loopback) · unreachable (connect ECONNREFUSED 127.0.0.1:18789)";
        assert_eq!(gateway(&document), expected);
        assert_eq!(health_rows(&document)[0][1], "unreachable");
    }

    #[test]
    fn an_empty_store_is_said_in_the_table() {
        assert_eq!(sessions(&sample())[0][0], "no sessions yet");
        assert_eq!(health_rows(&sample())[1][..2], ["Event loop", "OK"]);
    }
}
