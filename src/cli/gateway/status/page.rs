//! The text of `openclaw gateway status`, made from its document alone.

use serde_json::{Value, json};

use crate::cli::text::{list, number, string};

/// The text of the document. `show` shortens a path.
pub fn lines(document: &Value, show: &dyn Fn(&str) -> String, deep: bool) -> Vec<String> {
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
        lines.extend(others(document));
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

/// Heading and one line per gateway of another profile; nothing if there is none.
fn others(document: &Value) -> Vec<String> {
    let line = |other: &Value| {
        let at = |key: &str| number(other, &format!("/{key}")).unwrap_or(0);
        format!("  - {} (pid {}, port {})", string(other, "/label").unwrap_or("?"), at("pid"), at("port"))
    };
    let lines: Vec<String> = list(document, "/extraServices").iter().map(line).collect();
    let heading = || vec!["Other gateway-like services detected (best effort)".to_owned()];
    if lines.is_empty() { lines } else { [heading(), lines].concat() }
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
