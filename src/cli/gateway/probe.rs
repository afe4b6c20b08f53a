//! `openclaw gateway probe`: every gateway that this configuration could mean, asked at the same time.
//!
//! Invariant: like `status`, it connects without a device and creates nothing. Ends with 1 only if nobody answered.
//! Source: command line specification §3.2, operations specification §7.

use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::reach::{Capability, Reach};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::keys::GatewayKeys;
use crate::cli::rpc::{self, RpcArgs};
use crate::cli::text::string;
use crate::client::{Endpoint, UrlSource};

/// Milliseconds for each target.
const TIMEOUT_MS: u64 = 3_000;
const METHODS: [&str; 4] = ["health", "status", "system-presence", "config.get"];

/// Ask every gateway that could be meant, at the same time
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openclaw gateway probe
  openclaw gateway probe --url wss://gateway.example --token <token> --json")]
pub struct ProbeArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    /// Gateway behind an SSH host
    #[arg(long, value_name = "user@host[:port]")]
    pub ssh: Option<String>,
    /// Key for --ssh
    #[arg(long, value_name = "path")]
    pub ssh_identity: Option<String>,
    /// Use the SSH target of the configuration
    #[arg(long)]
    pub ssh_auto: bool,
}

pub fn run(args: &ProbeArgs, context: &Context) -> Outcome {
    if args.ssh.is_some() || args.ssh_auto || args.ssh_identity.is_some() {
        return Err(Failure::usage("This release does not have SSH tunnels; open one yourself and use --url."));
    }
    let keys = context.keys_or_salvage()?;
    let deadline = args.rpc.deadline(TIMEOUT_MS);
    let candidates = candidates(context, args, &keys)?;
    let start = Instant::now();
    let calls = METHODS.map(|method| (method, json!({})));
    let asked = candidates.iter().map(|candidate| rpc::probe(&candidate.endpoint, &keys, &calls, deadline));
    let found = context.block_on(async { join_all(asked).await })?;
    let probed: Vec<(Candidate, Reach)> = candidates.into_iter().zip(found).collect();
    let document = document(&probed, deadline, start.elapsed(), rpc::epoch_ms());
    if args.rpc.json {
        context.output.json(&document)?;
    } else {
        for line in lines(&document) {
            context.output.line(line)?;
        }
    }
    let reachable = probed.iter().any(|(_, reach)| reach.connected());
    Ok(if reachable { Exit::Done } else { Exit::Failed })
}

/// One gateway to ask.
#[derive(Debug)]
struct Candidate {
    id: &'static str,
    kind: &'static str,
    label: &'static str,
    /// Would an ordinary command talk to this one?
    active: bool,
    endpoint: Endpoint,
}

/// The explicit address, the configured remote one, and always this host.
fn candidates(context: &Context, args: &ProbeArgs, keys: &GatewayKeys) -> Result<Vec<Candidate>, Failure> {
    let named = args.rpc.url.is_some() || context.env.non_empty("OPENCLAW_GATEWAY_URL").is_some();
    let mut found = Vec::new();
    if named && args.rpc.port.is_none() {
        let endpoint = rpc::endpoint(context, &args.rpc, keys)?;
        found.push(Candidate { id: "explicit", kind: "explicit", label: "Explicit URL", active: true, endpoint });
    }
    if let Some(url) = &keys.remote_url {
        let endpoint = Endpoint {
            url: url.clone(),
            source: UrlSource::Remote,
            token: keys.remote_token.clone(),
            password: keys.remote_password.clone(),
            device_token: None,
        };
        let label = if keys.remote_mode { "Remote (configured)" } else { "Remote (configured, inactive)" };
        found.push(Candidate { id: "configRemote", kind: "configRemote", label, active: keys.remote_mode, endpoint });
    }
    let port = rpc::local_port(context, &args.rpc, keys)?;
    let own = match args.rpc.url {
        Some(_) => RpcArgs { port: Some(port), ..RpcArgs::default() }, // its credentials belong to that address
        None => RpcArgs { port: Some(port), ..args.rpc.clone() },
    };
    let endpoint = rpc::endpoint(context, &own, keys)?;
    let active = found.iter().all(|candidate| !candidate.active);
    found.push(Candidate { id: "localLoopback", kind: "localLoopback", label: "Local loopback", active, endpoint });
    Ok(found)
}

fn document(probed: &[(Candidate, Reach)], timeout: Duration, took: Duration, now_ms: u64) -> Value {
    let reachable = || probed.iter().filter(|(_, reach)| reach.connected());
    let primary = reachable().find(|(candidate, _)| candidate.active).or_else(|| reachable().next());
    let capability = primary.map_or(Capability::Unknown, |(_, reach)| reach.capability());
    let warnings = warnings(probed);
    let local = probed.iter().find(|(candidate, _)| candidate.id == "localLoopback");
    json!({
        "ok": primary.is_some(),
        "degraded": warnings.iter().any(|warning| warning["code"] != "multiple_gateways"),
        "capability": capability.json(),
        "ts": now_ms,
        "durationMs": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "timeoutMs": u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        "primaryTargetId": primary.map(|(candidate, _)| candidate.id),
        "warnings": warnings,
        "network": {
            "localLoopbackUrl": local.map(|(candidate, _)| candidate.endpoint.url.as_str()),
            "localTailnetUrl": null,
            "tailnetIPv4": null,
        },
        "discovery": { "timeoutMs": 0, "count": 0, "beacons": [] },
        "targets": probed.iter().map(|(candidate, reach)| target(candidate, reach)).collect::<Vec<_>>(),
    })
}

fn target(candidate: &Candidate, reach: &Reach) -> Value {
    let summary = |method: &str| reach.answer(method).cloned().unwrap_or(Value::Null);
    json!({
        "id": candidate.id,
        "kind": candidate.kind,
        "label": candidate.label,
        "url": candidate.endpoint.url,
        "active": candidate.active,
        "tunnel": null,
        "connect": {
            "ok": reach.connected(),
            "rpcOk": reach.connected() && reach.rpc_text() == "ok",
            "scopeLimited": reach.missing_scope().is_some(),
            "latencyMs": reach.latency_ms,
            "error": reach.error,
            "close": null,
        },
        "auth": reach.auth_json(),
        "rpc": reach.rpc_text(),
        "self": reach.gateway_itself(),
        "config": reach.answer("config.get").map(config),
        "health": summary("health"),
        "summary": summary("status"),
        "presence": summary("system-presence"),
    })
}

/// What a probe shows of the other side's configuration: no value that could be a secret.
fn config(answer: &Value) -> Value {
    let running = answer.get("runtimeConfig").filter(|config| config.is_object()).unwrap_or(&answer["config"]);
    let at = |pointer: &str| running.pointer(pointer).cloned().unwrap_or(Value::Null);
    let is_set = |pointer: &str| running.pointer(pointer).is_some_and(|value| !value.is_null());
    json!({
        "path": answer["path"],
        "exists": answer["exists"],
        "valid": answer["valid"],
        "issues": answer["issues"],
        "legacyIssues": answer["legacyIssues"],
        "gateway": {
            "mode": at("/gateway/mode"),
            "bind": at("/gateway/bind"),
            "port": at("/gateway/port"),
            "controlUiEnabled": at("/gateway/controlUi/enabled"),
            "controlUiBasePath": at("/gateway/controlUi/basePath"),
            "authMode": at("/gateway/auth/mode"),
            "authTokenConfigured": is_set("/gateway/auth/token"),
            "authPasswordConfigured": is_set("/gateway/auth/password"),
            "remoteUrl": at("/gateway/remote/url"),
            "remoteTokenConfigured": is_set("/gateway/remote/token"),
            "remotePasswordConfigured": is_set("/gateway/remote/password"),
            "tailscaleMode": at("/gateway/tailscale/mode"),
        },
        "discovery": { "wideAreaEnabled": at("/discovery/wideArea/enabled") },
    })
}

fn warnings(probed: &[(Candidate, Reach)]) -> Vec<Value> {
    let ids = |wanted: &dyn Fn(&Reach) -> bool| -> Vec<&str> {
        probed.iter().filter(|(_, reach)| wanted(reach)).map(|(candidate, _)| candidate.id).collect()
    };
    let cases = [
        (
            "probe_scope_limited",
            ids(&|reach| reach.missing_scope().is_some()),
            "Connected, but without operator.read: read calls are incomplete. Use credentials that grant it.",
        ),
        (
            "probe_detail_failed",
            ids(&|reach| reach.connected() && reach.failed_read().is_some()),
            "Connected, but some read calls failed.",
        ),
    ];
    let mut found: Vec<Value> = cases
        .into_iter()
        .filter(|(_, ids, _)| !ids.is_empty())
        .map(|(code, ids, message)| json!({ "code": code, "message": message, "targetIds": ids }))
        .collect();
    let reachable = ids(&Reach::connected);
    if reachable.len() > 1 {
        let message = "multiple reachable gateways: commands use the active target only";
        found.push(json!({ "code": "multiple_gateways", "message": message, "targetIds": reachable }));
    }
    if reachable.is_empty() {
        let message = "No gateway answered. Run `openclaw gateway status --deep` for files, process and port.";
        found.push(json!({ "code": "no_gateway", "message": message, "targetIds": [] }));
    }
    found
}

/// The text of the document.
fn lines(document: &Value) -> Vec<String> {
    let targets = document["targets"].as_array().map_or(&[][..], Vec::as_slice);
    let primary = targets.iter().find(|target| target["id"] == document["primaryTargetId"]);
    let reached = document["ok"] == json!(true);
    let fallback = targets.iter().find(|target| target["active"] == json!(true));
    let summary = primary.or(fallback).and_then(|target| string(target, "/rpc")).unwrap_or("failed");
    let mut lines = vec![
        "Gateway Status".to_owned(),
        format!("Reachable: {}", if reached { "yes" } else { "no" }),
        format!("Capability: {}", words(document, "/capability")),
        format!("RPC: {summary}"),
        format!("Probe budget: {}ms", document["timeoutMs"]),
    ];
    let warnings = document["warnings"].as_array().map_or(&[][..], Vec::as_slice);
    if !warnings.is_empty() {
        lines.extend([String::new(), "Warning:".to_owned()]);
        lines.extend(warnings.iter().filter_map(|warning| string(warning, "/message")).map(|text| format!("- {text}")));
    }
    lines.extend(["", "Discovery (this machine)", "Not available in this release.", "", "Targets"].map(str::to_owned));
    for target in targets {
        lines.push(format!("{} {}", string(target, "/label").unwrap_or("?"), string(target, "/url").unwrap_or("?")));
        lines.push(format!("  Connect: {}", connect(target)));
    }
    lines
}

fn words(value: &Value, pointer: &str) -> String {
    string(value, pointer).unwrap_or("unknown").replace('_', "-")
}

fn connect(target: &Value) -> String {
    let capability = words(target, "/auth/capability");
    match string(target, "/connect/error") {
        Some(error) => format!("failed - {error} · Capability: {capability}"),
        None => format!(
            "ok ({}ms) · Capability: {capability} · Read probe: {}",
            target.pointer("/connect/latencyMs").unwrap_or(&Value::Null),
            string(target, "/rpc").unwrap_or("failed")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &'static str) -> Candidate {
        let url = "ws://127.0.0.1:18789".to_owned();
        let endpoint = Endpoint { url, source: UrlSource::Loopback, token: None, password: None, device_token: None };
        Candidate { id, kind: id, label: "Local loopback", active: true, endpoint }
    }

    fn up(scopes: Value) -> Reach {
        let hello = json!({ "auth": { "role": "operator", "scopes": scopes } });
        Reach { hello: Some(hello), latency_ms: Some(4), ..Reach::default() }
    }

    fn made(probed: &[(Candidate, Reach)]) -> Value {
        document(probed, Duration::from_secs(3), Duration::from_millis(9), 1)
    }

    #[test]
    fn an_idle_gateway_is_not_degraded() {
        let document = made(&[(candidate("localLoopback"), up(json!(["operator.admin"])))]);
        assert_eq!(document["degraded"], json!(false));
        assert_eq!(document["primaryTargetId"], "localLoopback");
        let text = lines(&document);
        assert_eq!(
            text[..5],
            ["Gateway Status", "Reachable: yes", "Capability: admin-capable", "RPC: ok", "Probe budget: 3000ms"]
        );
        assert_eq!(text.last().unwrap(), "  Connect: ok (4ms) · Capability: admin-capable · Read probe: ok");
    }

    #[test]
    fn missing_scopes_are_a_limit_and_no_failure() {
        let reads = vec![("health", Ok(json!({}))), ("status", Err("missing scope: operator.read".to_owned()))];
        let document = made(&[(candidate("localLoopback"), Reach { reads, ..up(json!([])) })]);
        assert_eq!((&document["ok"], &document["degraded"]), (&json!(true), &json!(true)));
        assert_eq!(document["warnings"][0]["code"], "probe_scope_limited");
        assert!(lines(&document).contains(&"RPC: limited - missing scope: operator.read".to_owned()));
    }

    #[test]
    fn two_answers_are_both_shown_with_a_warning() {
        let document = made(&[(candidate("explicit"), up(json!([]))), (candidate("localLoopback"), up(json!([])))]);
        assert_eq!(document["warnings"][0]["code"], "multiple_gateways");
        assert_eq!(document["degraded"], json!(false));
    }

    #[test]
    fn silence_is_said_plainly() {
        let down = Reach { error: Some("connect ECONNREFUSED 127.0.0.1:18789".into()), ..Reach::default() };
        let text = lines(&made(&[(candidate("localLoopback"), down)]));
        assert_eq!(text[1], "Reachable: no");
        assert_eq!(text[3], "RPC: failed - connect ECONNREFUSED 127.0.0.1:18789");
    }
}
