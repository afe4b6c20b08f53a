//! The command line against a running gateway and against none: output, JSON, exit codes.
//!
//! Source: command line specification, rules for every command, looking at a gateway, agent.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::process::Ended;
use crate::harness::{Gateway, TOKEN};
use crate::{World, binary};

const ANSWER: &str = "Hello from the fake provider.";

/// A gateway's configuration with nobody behind it.
fn down() -> Gateway {
    Gateway::prepare(binary(), "http://127.0.0.1:9/v1", |config| config)
}

/// Standard output is exactly one JSON document.
fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error} in {:?}\n{}", ended.stdout, ended.stderr))
}

fn check_text(ended: &Ended, code: i32, texts: &[&str]) {
    for text in texts {
        assert!(ended.stdout.contains(text), "{text:?} is missing in: {}\n{}", ended.stdout, ended.stderr);
    }
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'), "colours in a pipe");
}

#[tokio::test]
async fn gateway_status_says_what_it_found() {
    let world = World::start();
    let port = world.gateway.port();
    let ended = world.gateway.cli(&["gateway", "status"]);
    let gateway = format!("port={port}");
    check_text(&ended, 0, &["Runtime: running", "Connectivity probe: ok", "RPC probe: ok", "Capability: ", &gateway]);
    let status = json_of(&world.gateway.cli(&["gateway", "status", "--json"]));
    assert_eq!((&status["rpc"]["ok"], &status["gateway"]["port"]), (&json!(true), &json!(port)));
    assert_eq!(status["config"]["cli"]["valid"], true);
    let required = world.gateway.cli(&["gateway", "status", "--require-rpc"]);
    check_text(&required, 0, &["Read probe: ok"]);
}

#[test]
fn gateway_status_of_nothing_is_an_answer_unless_rpc_is_required() {
    let gateway = down();
    check_text(&gateway.cli(&["gateway", "status"]), 0, &["Connectivity probe: failed"]);
    assert_eq!(json_of(&gateway.cli(&["gateway", "status", "--json"]))["rpc"]["ok"], false);
    assert_eq!(gateway.cli(&["gateway", "status", "--require-rpc"]).code, Some(1));
    assert!(!gateway.place().state().join("identity").exists(), "looking created a device identity");
}

#[tokio::test]
async fn probe_reaches_a_running_gateway_and_nothing_else() {
    let world = World::start();
    check_text(&world.gateway.cli(&["gateway", "probe"]), 0, &["Reachable: yes", "RPC: ok"]);
    let probe = json_of(&world.gateway.cli(&["gateway", "probe", "--json"]));
    assert_eq!((&probe["ok"], &probe["degraded"]), (&json!(true), &json!(false)), "{probe}");
    let gateway = down();
    check_text(&gateway.cli(&["gateway", "probe"]), 1, &["Reachable: no"]);
}

#[tokio::test]
async fn health_is_the_payload_of_the_method() {
    let world = World::start();
    check_text(&world.gateway.cli(&["health"]), 0, &["Agents: main (default)", "Heartbeat interval: disabled (main)"]);
    let health = json_of(&world.gateway.cli(&["health", "--json"]));
    assert_eq!((&health["ok"], &health["defaultAgentId"]), (&json!(true), &json!("main")));
}

#[tokio::test]
async fn status_answers_with_and_without_a_gateway() {
    let world = World::start();
    check_text(&world.gateway.cli(&["status"]), 0, &["OpenClaw status", "Overview", "reachable"]);
    assert_eq!(json_of(&world.gateway.cli(&["status", "--json"]))["gateway"]["reachable"], true);
    let gateway = down();
    check_text(&gateway.cli(&["status"]), 0, &["OpenClaw status", "unreachable"]);
    assert_eq!(json_of(&gateway.cli(&["status", "--json"]))["gateway"]["reachable"], false);
}

#[tokio::test]
async fn logs_come_from_the_gateway_or_from_the_file() {
    let mut world = World::start();
    let log = world.gateway.place().root().join("gateway.log");
    let ended = world.gateway.cli(&["logs", "--limit", "50"]);
    check_text(&ended, 0, &[&format!("Log file: {}", log.display()), "ready"]);
    let lines = world.gateway.cli(&["logs", "--json"]);
    let records: Vec<Value> = lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records[0]["type"], "meta");
    assert!(records.iter().any(|record| record["type"] == "log" && record["message"].is_string()));
    assert!(!lines.stdout.contains(TOKEN), "the secret is in the log");
    world.gateway.terminate();
    let ended = world.gateway.cli(&["logs"]);
    check_text(&ended, 0, &["ready"]);
    assert!(
        ended.stderr.contains("Local Gateway RPC unavailable; reading configured file log instead."),
        "{}",
        ended.stderr
    );
}

#[test]
fn config_get_shows_values_but_no_secrets() {
    let gateway = down();
    let get = |path: &str| gateway.cli(&["config", "get", path]);
    assert_eq!(get("gateway.mode").stdout, "local\n");
    assert_eq!(get("gateway.port").stdout, format!("{}\n", gateway.port()));
    let auth = get("gateway.auth");
    assert!(auth.stdout.contains("__OPENCLAW_REDACTED__") && !auth.stdout.contains(TOKEN), "{}", auth.stdout);
    let missing = get("gateway.nope");
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("Config path not found: gateway.nope."), "{}", missing.stderr);
    let unset = get("gateway.reload.debounceMs");
    assert_eq!(unset.code, Some(1));
    assert!(unset.stderr.contains("is not set; its default is 300."), "{}", unset.stderr);
}

#[tokio::test]
async fn config_set_writes_and_says_who_applies_it() {
    let world = World::start();
    let set = world.gateway.cli(&["config", "set", "agents.defaults.heartbeat.every", "2h"]);
    check_text(&set, 0, &["Updated agents.defaults.heartbeat.every.", "Applied by the running gateway."]);
    assert_eq!(world.gateway.cli(&["config", "get", "agents.defaults.heartbeat.every"]).stdout, "2h\n");
    let bad = world.gateway.cli(&["config", "set", "gateway.port", "many"]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.stderr.contains("Config validation failed: gateway.port: "), "{}", bad.stderr);
    check_text(&world.gateway.cli(&["config", "validate"]), 0, &["Config valid: "]);
    let down = down();
    let set = down.cli(&["config", "set", "agents.defaults.heartbeat.every", "2h"]);
    check_text(&set, 0, &["Gateway not running; applies at next start."]);
}

#[tokio::test]
async fn an_agent_turn_prints_the_answer() {
    let world = World::start();
    let text = world.gateway.cli(&["agent", "--message", "hello"]);
    assert_eq!((text.code, text.stdout.as_str()), (Some(0), format!("{ANSWER}\n").as_str()), "{}", text.stderr);
    let done = json_of(&world.gateway.cli(&["agent", "--agent", "main", "--message", "hello", "--json"]));
    assert_eq!((&done["status"], &done["summary"]), (&json!("ok"), &json!("completed")));
    assert_eq!(done["result"]["payloads"][0]["text"], ANSWER);
    assert_eq!(world.fake.requests().len(), 2);
}

#[tokio::test]
async fn an_agent_turn_that_fails_exits_with_1() {
    let world = World::start();
    let failed = world.gateway.cli(&["agent", "--message", "[[script:error-401]]"]);
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""));
    assert!(!failed.stderr.is_empty());
    let failed = world.gateway.cli(&["agent", "--message", "[[script:error-401]]", "--json"]);
    assert_eq!(failed.code, Some(1));
    assert_eq!(json_of(&failed)["ok"], false);
    let nameless = world.gateway.cli(&["agent"]);
    assert_eq!(nameless.code, Some(1));
    assert!(nameless.stderr.contains("Missing required option \"-m, --message <text>\"."), "{}", nameless.stderr);
}

#[tokio::test]
async fn any_method_can_be_called() {
    let world = World::start();
    let call = world.gateway.cli(&["gateway", "call", "sessions.list", "--json"]);
    assert_eq!(json_of(&call)["count"], 0);
    let unknown = world.gateway.cli(&["gateway", "call", "no.such.method"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("unknown method: no.such.method"), "{}", unknown.stderr);
}

#[tokio::test]
async fn an_explicit_address_uses_no_secret_of_ours() {
    let world = World::start();
    let url = world.gateway.ws();
    let bare = world.gateway.cli(&["health", "--url", &url]);
    assert_eq!(bare.code, Some(1));
    assert!(bare.stderr.contains("gateway url override requires explicit credentials"), "{}", bare.stderr);
    assert_eq!(world.gateway.cli(&["health", "--url", &url, "--token", TOKEN]).code, Some(0));
}

#[test]
fn without_a_gateway_commands_fail_fast_and_say_where_they_looked() {
    let gateway = down();
    for args in [["health"].as_slice(), &["agent", "-m", "x"], &["gateway", "call", "status"], &["gateway", "health"]] {
        let started = Instant::now();
        let ended = gateway.cli(args);
        assert_eq!(ended.code, Some(1), "{args:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{args:?} took {:?}", started.elapsed());
        let place = format!("Gateway not reachable at ws://127.0.0.1:{}", gateway.port());
        assert!(ended.stderr.contains(&place), "{args:?}: {}", ended.stderr);
        let failure = gateway.cli(&[args, &["--json"]].concat());
        assert_eq!(json_of(&failure)["ok"], false, "{args:?}");
    }
}

#[test]
fn every_command_explains_itself() {
    let gateway = down();
    for args in [["--help"].as_slice(), &["gateway", "--help"], &["agent", "--help"], &["config", "set", "--help"]] {
        let ended = gateway.cli(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        assert!(ended.stdout.contains("Examples:"), "{args:?}: {}", ended.stdout);
    }
    let version = gateway.cli(&["--version"]);
    assert!(version.stdout.starts_with("OpenClaw "), "{}", version.stdout);
    let unknown = gateway.cli(&["agent", "--frobnicate"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("OpenClaw does not recognize option \"--frobnicate\"."), "{}", unknown.stderr);
}
