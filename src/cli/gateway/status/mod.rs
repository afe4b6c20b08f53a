//! `openclaw gateway status`: what this host knows about its gateway, and whether it answers.
//!
//! Invariant: works with a missing or broken configuration, creates nothing, and ends with 0 whatever it found, unless
//! `--require-rpc` asked for more. The text (`page.rs`) is made from the document, so that both always say the same.
//! Source: command line specification §3.1.

mod page;

use std::path::PathBuf;

use clap::Args;
use jiff::Zoned;
use openclaw_actors::config::paths::Paths;
use serde_json::{Map, Value, json};

use super::reach::Reach;
use crate::cli::VERSION;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::keys::GatewayKeys;
use crate::cli::listeners::{self, PortUse};
use crate::cli::rpc::{self, Call, RpcArgs};
use crate::client::{Endpoint, RunFile, UrlSource};

pub use page::dashboard;

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
        others: if args.deep { others(&context.paths) } else { Vec::new() },
    };
    let document = document(context, &facts);
    if args.rpc.json {
        context.output.json(&document)?;
    } else {
        for line in page::lines(&document, &|path| context.show(path.as_ref()), args.deep) {
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
    /// Gateways of other profiles of this user.
    others: Vec<Value>,
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
        "extraServices": facts.others,
    });
    if facts.reach.is_none() {
        document.as_object_mut().map(|object| object.remove("rpc"));
    }
    document
}

/// The gateways that run from the other state directories beside ours.
fn others(paths: &Paths) -> Vec<Value> {
    let Ok(entries) = std::fs::read_dir(&paths.home) else { return Vec::new() };
    let beside = entries.flatten().map(|entry| entry.path()).filter(|dir| {
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        *dir != paths.state_dir && (name == ".openclaw" || name.starts_with(".openclaw-"))
    });
    let note =
        |dir: PathBuf| RunFile::read(&dir).map(|note| json!({ "label": dir, "pid": note.pid, "port": note.port }));
    beside.filter_map(note).collect()
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

#[cfg(test)]
mod tests {
    use openclaw_actors::config::env::Env;
    use openclaw_actors::config::paths::{PathInputs, resolve};
    use openclaw_actors::files;

    use super::*;
    use crate::client::run_file::process_start_time;

    #[test]
    fn living_gateways_of_other_profiles_are_found() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::from_iter([("HOME", home.path().display().to_string())]);
        let paths = resolve(&PathInputs { cwd: home.path().to_owned(), ..PathInputs::default() }, &env).unwrap();
        let start = process_start_time(std::process::id()).unwrap();
        for (dir, start_time, port) in
            [(".openclaw", start, 1), (".openclaw-a", start, 2), (".openclaw-b", start + 1, 3)]
        {
            let note = RunFile { pid: std::process::id(), start_time, port, url: String::new(), token: None };
            let path = RunFile::path(&home.path().join(dir));
            files::ensure_dir(path.parent().unwrap()).unwrap();
            files::replace(&path, serde_json::to_string(&note).unwrap().as_bytes()).unwrap();
        }
        let ports: Vec<Value> = others(&paths).iter().map(|other| other["port"].clone()).collect();
        assert_eq!(ports, [json!(2)], "ours and one whose process has another start are left out");
    }
}
