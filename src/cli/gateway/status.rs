//! `openclaw gateway status`: what this host knows about its gateway, and whether it answers.
//!
//! Invariant: works with a missing or broken configuration, creates nothing, and ends with 0 whatever it found, unless
//! `--require-rpc` asked for more. The text is made from the document, so that both always say the same.
//! Source: command line specification §3.1.

use clap::Args;
use jiff::Zoned;
use serde_json::{Map, Value, json};

use super::reach::Reach;
use crate::cli::VERSION;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::keys::GatewayKeys;
use crate::cli::listeners::{self, PortUse};
use crate::cli::rpc::{self, Call, RpcArgs};
use crate::cli::text::{list, number, string};
use crate::client::{Endpoint, RunFile, UrlSource};

/// Milliseconds for the probe.
const TIMEOUT_MS: u64 = 10_000;

/// Show the gateway of this host: files, port, process, connection
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw gateway status
  openclaw gateway status --require-rpc --json
  openclaw gateway status --deep")]
pub struct GatewayStatusArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    /// Do not connect
    #[arg(long)]
    pub no_probe: bool,
    /// Fail unless the gateway answers read calls
    #[arg(long)]
    pub require_rpc: bool,
    /// Look for other gateways of this host and show every configuration warning
    #[arg(long)]
    pub deep: bool,
}

pub fn run(args: &GatewayStatusArgs, context: &Context) -> Outcome {
    if args.no_probe && args.require_rpc {
        return Err(Failure::usage(
            "Gateway status failed: --require-rpc needs probing enabled. Remove --no-probe or drop --require-rpc.",
        ));
    }
    let keys = context.keys_or_salvage()?;
    let endpoint = rpc::endpoint(context, &args.rpc, &keys)?;
    let port = rpc::local_port(context, &args.rpc, &keys)?;
    let methods: &[&'static str] =
        if args.require_rpc { &["health", "status", "system-presence", "config.get"] } else { &["health"] };
    let calls: Vec<Call> = methods.iter().map(|method| (*method, json!({}))).collect();
    let reach = match args.no_probe {
        true => None,
        false => Some(context.block_on(rpc::probe(&endpoint, &keys, &calls, args.rpc.deadline(TIMEOUT_MS)))?),
    };
    let facts = Facts {
        keys: &keys,
        endpoint: &endpoint,
        port,
        port_from_flag: args.rpc.port.is_some(),
        usage: listeners::on_port(port),
        note: RunFile::read(&context.paths.state_dir),
        reach: reach.as_ref(),
        require_rpc: args.require_rpc,
    };
    let document = document(context, &facts);
    if args.rpc.json {
        context.output.json(&document)?;
    } else {
        for line in lines(&document, &|path| context.show(path.as_ref()), args.deep) {
            context.output.line(line)?;
        }
    }
    let failed = args.require_rpc && document.pointer("/rpc/ok") != Some(&json!(true));
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

struct Facts<'a> {
    keys: &'a GatewayKeys,
    endpoint: &'a Endpoint,
    port: u16,
    port_from_flag: bool,
    usage: PortUse,
    note: Option<RunFile>,
    /// `None`: nobody was asked.
    reach: Option<&'a Reach>,
    require_rpc: bool,
}

fn document(context: &Context, facts: &Facts<'_>) -> Value {
    let file = config_file(context);
    let mut document = json!({
        "cli": { "version": VERSION, "entrypoint": entrypoint() },
        "logFile": context.log_path(facts.keys).on(Zoned::now().date()),
        "service": service(facts),
        "config": { "cli": file, "daemon": file },
        "gateway": gateway(facts),
        "port": port(facts),
        "rpc": facts.reach.map(|reach| rpc_json(reach, facts)),
        "health": {
            "healthy": facts.reach.is_some_and(|reach| reach.answer("health").is_some()),
            "staleGatewayPids": [],
        },
        "extraServices": [],
    });
    if facts.reach.is_none() {
        document.as_object_mut().map(|object| object.remove("rpc"));
    }
    document
}

pub fn entrypoint() -> Option<String> {
    std::env::current_exe().ok().map(|path| path.display().to_string())
}

/// `{path, exists, valid, issues?, warnings?}` of the file that this command would use.
fn config_file(context: &Context) -> Value {
    let path = &context.paths.config_path;
    match context.loaded() {
        Ok(snapshot) => {
            let warnings: Vec<Value> = snapshot.warnings.iter().map(|issue| issue.to_note_json()).collect();
            let mut file = json!({ "path": path, "exists": snapshot.exists, "valid": true });
            if !warnings.is_empty() {
                file["warnings"] = json!(warnings);
            }
            file
        }
        Err(error) => {
            let issues: Vec<Value> = error.issues.iter().map(|issue| issue.to_json()).collect();
            json!({ "path": path, "exists": path.exists(), "valid": false, "issues": issues })
        }
    }
}

/// This release installs no service, so the process is what the gateway's own note says.
fn service(facts: &Facts<'_>) -> Value {
    let answers = facts.reach.is_some_and(Reach::connected) && facts.endpoint.source == UrlSource::Loopback;
    let runtime = match &facts.note {
        Some(note) => json!({ "status": "running", "pid": note.pid, "detail": "unmanaged" }),
        None if answers || facts.usage.busy() => {
            json!({ "status": "unknown", "detail": "something listens on the port, but left no note in the state directory" })
        }
        None => json!({ "status": "stopped" }),
    };
    json!({
        "label": "none",
        "loaded": false,
        "loadedText": "enabled",
        "notLoadedText": "no service manager",
        "command": null,
        "runtime": runtime,
        "configAudit": { "ok": true, "issues": [] },
    })
}

fn gateway(facts: &Facts<'_>) -> Value {
    let keys = facts.keys;
    let host = match keys.bind_mode() {
        "lan" => "0.0.0.0",
        "custom" => keys.custom_bind_host.as_deref().unwrap_or("unset"),
        "tailnet" | "auto" => "chosen at start",
        _ => "127.0.0.1",
    };
    let note = match keys.bind_mode() {
        "loopback" => "Loopback-only gateway; only local clients can connect.",
        _ => "The gateway is reachable from other hosts; the probe asks it over loopback.",
    };
    json!({
        "bindMode": keys.bind_mode(),
        "bindHost": host,
        "port": facts.port,
        "portSource": if facts.port_from_flag { "cli" } else { "env/config" },
        "probeUrl": facts.endpoint.url,
        "probeNote": note,
    })
}

fn port(facts: &Facts<'_>) -> Value {
    let hints: &[&str] = if facts.usage.busy() && facts.usage.listeners.is_empty() {
        &["The process behind the port belongs to another user."]
    } else {
        &[]
    };
    json!({
        "port": facts.port,
        "status": if facts.usage.busy() { "busy" } else { "free" },
        "listeners": facts.usage.listeners.iter().map(listeners::Listener::json).collect::<Vec<_>>(),
        "addresses": facts.usage.addresses,
        "hints": hints,
    })
}

fn rpc_json(reach: &Reach, facts: &Facts<'_>) -> Value {
    let reads_ok = reach.reads.iter().all(|(_, result)| result.is_ok());
    let ok = reach.connected() && (!facts.require_rpc || reads_ok);
    let health = reach.read("health");
    let mut rpc = Map::new();
    rpc.insert("ok".into(), json!(ok));
    rpc.insert("kind".into(), json!(if facts.require_rpc { "read" } else { "connect" }));
    rpc.insert("capability".into(), json!(reach.capability().json()));
    rpc.insert("auth".into(), reach.auth_json());
    let server = reach.hello.as_ref().and_then(|hello| hello.get("server"));
    rpc.insert(
        "server".into(),
        json!({
            "version": server.and_then(|server| server.get("version")),
            "connId": server.and_then(|server| server.get("connId")),
        }),
    );
    rpc.insert("url".into(), json!(facts.endpoint.url));
    let error = reach.error.clone().or_else(|| facts.require_rpc.then(|| first_error(reach)).flatten());
    rpc.extend(error.map(|error| ("error".into(), json!(error))));
    let probe_error = health.and_then(|health| health.as_ref().err()).or(reach.error.as_ref());
    let mut probe = json!({ "ok": health.is_some_and(Result::is_ok), "latencyMs": reach.latency_ms });
    if let Some(error) = probe_error {
        probe["error"] = json!(error);
    }
    rpc.insert("probe".into(), probe);
    Value::Object(rpc)
}

fn first_error(reach: &Reach) -> Option<String> {
    reach.reads.iter().find_map(|(_, result)| result.as_ref().err().cloned())
}

/// The text of the document. `show` shortens a path.
fn lines(document: &Value, show: &dyn Fn(&str) -> String, deep: bool) -> Vec<String> {
    let at = |pointer: &str| string(document, pointer).unwrap_or("unknown");
    let file = config_text(document, show);
    let mut lines = vec![
        format!("Service: {} ({})", at("/service/label"), at("/service/notLoadedText")),
        format!("File logs: {}", show(at("/logFile"))),
        String::new(),
        format!("Config (cli): {file}"),
        format!("Config (service): {file}"),
        String::new(),
        format!(
            "Gateway: bind={} ({}), port={} ({})",
            at("/gateway/bindMode"),
            at("/gateway/bindHost"),
            number(document, "/gateway/port").unwrap_or(0),
            at("/gateway/portSource")
        ),
        format!("Probe target: {}", at("/gateway/probeUrl")),
        format!("Dashboard: {}", dashboard(at("/gateway/probeUrl"))),
        format!("Probe note: {}", at("/gateway/probeNote")),
        String::new(),
        format!("CLI version: {} ({})", at("/cli/version"), show(at("/cli/entrypoint"))),
    ];
    lines.extend(string(document, "/rpc/server/version").map(|version| format!("Gateway version: {version}")));
    lines.extend([String::new(), format!("Runtime: {}", runtime(document))]);
    lines.extend(probe(document));
    lines.push(String::new());
    let addresses: Vec<&str> = list(document, "/port/addresses").iter().filter_map(Value::as_str).collect();
    if !addresses.is_empty() {
        lines.push(format!("Listening: {}", addresses.join(", ")));
    }
    if deep {
        lines.extend(warnings(document));
        lines.extend(["Other gateway-like services detected (best effort)".to_owned(), "  none".to_owned()]);
    }
    lines.extend(["Troubles: run openclaw status".to_owned(), "Troubleshooting: run openclaw doctor".to_owned()]);
    lines
}

/// The address of the control panel behind a WebSocket address.
pub fn dashboard(url: &str) -> String {
    let url = url.replacen("ws", "http", 1);
    if url.ends_with('/') { url } else { format!("{url}/") }
}

fn config_text(document: &Value, show: &dyn Fn(&str) -> String) -> String {
    let path = show(string(document, "/config/cli/path").unwrap_or("unknown"));
    let is = |pointer: &str| document.pointer(pointer) == Some(&json!(true));
    match (is("/config/cli/exists"), is("/config/cli/valid")) {
        (false, _) => format!("{path} (missing)"),
        (true, false) => format!("{path} (invalid)"),
        (true, true) => path,
    }
}

fn runtime(document: &Value) -> String {
    let detail = string(document, "/service/runtime/detail").unwrap_or("unknown");
    match string(document, "/service/runtime/status") {
        Some("running") => {
            format!("running (pid {}, {detail})", number(document, "/service/runtime/pid").unwrap_or(0))
        }
        Some("stopped") => "stopped".to_owned(),
        _ => format!("unknown ({detail})"),
    }
}

fn probe(document: &Value) -> Vec<String> {
    let Some(rpc) = document.get("rpc") else { return vec!["RPC probe: skipped".to_owned()] };
    let ok = |pointer: &str| rpc.pointer(pointer) == Some(&json!(true));
    let connected = rpc.pointer("/server/connId").is_some_and(Value::is_string);
    let reason = string(rpc, "/error").or_else(|| string(rpc, "/probe/error")).unwrap_or("no reason given");
    let mut lines = if connected {
        vec!["Connectivity probe: ok".to_owned()]
    } else {
        vec!["Connectivity probe: failed".to_owned(), format!("  {reason}")]
    };
    lines.push(match string(rpc, "/probe/error") {
        None if ok("/probe/ok") => "RPC probe: ok".to_owned(),
        error => format!("RPC probe: failed: {}", error.unwrap_or(reason)),
    });
    if string(rpc, "/kind") == Some("read") {
        lines.push(if ok("/ok") { "Read probe: ok".to_owned() } else { format!("Read probe: failed: {reason}") });
    }
    lines.push(format!("Capability: {}", string(rpc, "/capability").unwrap_or("unknown").replace('_', "-")));
    lines
}

fn warnings(document: &Value) -> Vec<String> {
    let line = |issue: &Value| {
        format!("  {}: {}", string(issue, "/path").unwrap_or("?"), string(issue, "/message").unwrap_or("?"))
    };
    let issues = list(document, "/config/cli/issues").iter().chain(list(document, "/config/cli/warnings"));
    let lines: Vec<String> = issues.map(line).collect();
    if lines.is_empty() { lines } else { [vec!["Config warnings".to_owned()], lines].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        json!({
            "cli": { "version": "1.2.3", "entrypoint": "/bin/openclaw" },
            "logFile": "/tmp/openclaw/openclaw-2026-03-01.log",
            "service": {
                "label": "none", "notLoadedText": "no service manager",
                "runtime": { "status": "running", "pid": 42, "detail": "unmanaged" }
            },
            "config": { "cli": { "path": "/s/openclaw.json", "exists": true, "valid": true } },
            "gateway": {
                "bindMode": "loopback", "bindHost": "127.0.0.1", "port": 18_789, "portSource": "env/config",
                "probeUrl": "ws://127.0.0.1:18789", "probeNote": "note"
            },
            "port": { "status": "busy", "addresses": ["127.0.0.1:18789"] },
            "rpc": {
                "ok": true, "kind": "connect", "capability": "admin_capable",
                "server": { "version": "1.2.4", "connId": "c" }, "probe": { "ok": true, "latencyMs": 3 }
            }
        })
    }

    fn text(document: &Value) -> Vec<String> {
        lines(document, &|path| path.to_owned(), false)
    }

    #[test]
    fn a_running_gateway_reads_line_by_line() {
        assert_eq!(
            text(&sample()),
            [
                "Service: none (no service manager)",
                "File logs: /tmp/openclaw/openclaw-2026-03-01.log",
                "",
                "Config (cli): /s/openclaw.json",
                "Config (service): /s/openclaw.json",
                "",
                "Gateway: bind=loopback (127.0.0.1), port=18789 (env/config)",
                "Probe target: ws://127.0.0.1:18789",
                "Dashboard: http://127.0.0.1:18789/",
                "Probe note: note",
                "",
                "CLI version: 1.2.3 (/bin/openclaw)",
                "Gateway version: 1.2.4",
                "",
                "Runtime: running (pid 42, unmanaged)",
                "Connectivity probe: ok",
                "RPC probe: ok",
                "Capability: admin-capable",
                "",
                "Listening: 127.0.0.1:18789",
                "Troubles: run openclaw status",
                "Troubleshooting: run openclaw doctor",
            ]
        );
    }

    #[test]
    fn a_gateway_that_is_down_says_why() {
        let mut document = sample();
        document["rpc"] = json!({
            "ok": false, "kind": "read", "capability": "unknown", "server": { "version": null, "connId": null },
            "error": "connect ECONNREFUSED 127.0.0.1:18789", "probe": { "ok": false }
        });
        document["service"]["runtime"] = json!({ "status": "stopped" });
        document["config"]["cli"] = json!({ "path": "/s/openclaw.json", "exists": true, "valid": false });
        let text = text(&document);
        for line in [
            "Config (cli): /s/openclaw.json (invalid)",
            "Runtime: stopped",
            "Connectivity probe: failed",
            "  connect ECONNREFUSED 127.0.0.1:18789",
            "RPC probe: failed: connect ECONNREFUSED 127.0.0.1:18789",
            "Read probe: failed: connect ECONNREFUSED 127.0.0.1:18789",
            "Capability: unknown",
        ] {
            assert!(text.iter().any(|found| found == line), "{line} in {text:#?}");
        }
        assert!(!text.iter().any(|line| line.starts_with("Gateway version")));
    }

    #[test]
    fn without_a_probe_nothing_is_claimed_about_the_connection() {
        let mut document = sample();
        document.as_object_mut().unwrap().remove("rpc");
        let text = text(&document);
        assert!(text.contains(&"RPC probe: skipped".to_owned()));
        assert!(!text.iter().any(|line| line.starts_with("Connectivity") || line.starts_with("Capability")));
    }

    #[test]
    fn the_panel_lies_on_the_same_port() {
        assert_eq!(dashboard("wss://host:1"), "https://host:1/");
    }
}
