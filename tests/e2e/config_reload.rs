//! Editing the configuration of a running gateway: it applies at once or not at all, and nobody is dropped.
//!
//! Source: configuration, reload and last-known-good; operations, promise "no restart, zero dropped WS".

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::World;
use crate::harness::client::Closed;
use crate::harness::gateway::free_port;
use crate::harness::turn::{end_of, say, send, text_of};
use crate::harness::{Client, Config, Hello, SOON, TOKEN, eventually};

/// Adds the agent `ops`: an edit of a hot class whose effect every client can see.
fn with_ops(config: Config) -> Config {
    config.set("agents.list", json!([{ "id": "main", "default": true }, { "id": "ops" }]))
}

async fn agents(client: &mut Client) -> Vec<String> {
    let list = client.ask("agents.list", json!({})).await;
    list["agents"].as_array().unwrap().iter().map(|agent| agent["id"].as_str().unwrap().to_owned()).collect()
}

async fn wait_for_ops(client: &mut Client, limit: Duration) {
    eventually("the agent ops is there", limit, async || (agents(client).await == ["main", "ops"]).then_some(())).await;
}

#[tokio::test]
async fn an_edit_applies_within_a_second_while_50_clients_stay_connected() {
    let mut world = World::start();
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(world.client().await);
    }
    let edited = Instant::now();
    world.gateway.edit_config(with_ops);
    wait_for_ops(&mut clients[0], SOON).await;
    assert!(edited.elapsed() <= Duration::from_secs(1), "applied after {:?}", edited.elapsed());
    for client in &mut clients {
        assert_eq!(agents(client).await, ["main", "ops"], "and none was dropped");
    }
}

#[tokio::test]
async fn a_run_in_progress_survives_an_edit() {
    let mut world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:slow]] count").await;
    world.gateway.edit_config(with_ops);
    wait_for_ops(&mut client, SOON).await;
    let end = end_of(&mut client, &run, SOON).await;
    assert!(text_of(&end["message"]).ends_with("word20"), "{end}");
}

#[tokio::test]
async fn a_broken_edit_changes_nothing_and_is_reported_until_it_is_mended() {
    let mut world = World::start_with(with_ops);
    let mut client = world.client().await;
    let broken: [(&str, &str); 3] = [
        ("{ gateway: { mode: \"local\", ", "JSON5 parse failed"),
        (
            "{ gateway: { mode: \"local\", port: \"many\" } }",
            "gateway.port: Invalid input: expected number, received string",
        ),
        ("{ gateway: { mode: \"local\" }, agnts: {} }", "Unrecognized key: \"agnts\""),
    ];
    for (text, issue) in broken {
        world.gateway.place().write_config(text);
        let logged = || world.gateway.logs();
        eventually("the skipped reload is logged", SOON, async || {
            let log = logged();
            (log.contains("config reload skipped (invalid config)") && log.contains(issue)).then_some(())
        })
        .await;
        assert_eq!(agents(&mut client).await, ["main", "ops"], "after {text}");
        let config = client.ask("config.get", json!({})).await;
        assert_eq!(config["valid"], false, "after {text}");
        assert!(!config["issues"].as_array().unwrap().is_empty(), "after {text}");
        let on_disk = std::fs::read_to_string(world.gateway.place().config_path()).unwrap();
        assert_eq!(on_disk, text, "the gateway never touches a file it cannot read");
    }
    world.gateway.edit_config(|config| config.set("agents.list", json!([{ "id": "main", "default": true }])));
    eventually("the mended file applies", SOON, async || (agents(&mut client).await == ["main"]).then_some(())).await;
    assert_eq!(client.ask("config.get", json!({})).await["valid"], true);
}

#[tokio::test]
async fn a_file_that_vanishes_leaves_the_configuration_in_force() {
    let mut world = World::start_with(with_ops);
    let mut client = world.client().await;
    std::fs::remove_file(world.gateway.place().config_path()).unwrap();
    let skipped = "config reload skipped (config file not found)";
    eventually(skipped, SOON, async || world.gateway.logs().contains(skipped).then_some(())).await;
    assert_eq!(agents(&mut client).await, ["main", "ops"]);
    world.gateway.edit_config(|config| config.set("agents.list", json!([{ "id": "main", "default": true }])));
    eventually("the new file applies", SOON, async || (agents(&mut client).await == ["main"]).then_some(())).await;
}

#[tokio::test]
async fn the_next_turn_uses_the_new_model_settings() {
    let mut world = World::start();
    let mut client = world.client().await;
    say(&mut client, "main", "before").await;
    world.gateway.edit_config(|config| config.set("models.providers.fake.apiKey", json!("another-key")));
    eventually("the new key is used", SOON, async || {
        say(&mut client, "main", "after").await;
        let last = world.fake.requests().pop().unwrap();
        (last.headers["authorization"] == "Bearer another-key").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_rotated_token_closes_those_who_used_the_old_one() {
    let mut world = World::start();
    let mut client = world.client().await;
    let fresh = "e2e-a-second-token-9d1c7b";
    world.gateway.edit_config(|config| config.set("gateway.auth.token", json!(fresh)));
    let closed = client.closed(SOON).await;
    assert_eq!(closed, Closed { code: 4001, reason: "gateway auth changed".into() });
    let mut old = Client::open(&world.gateway.ws(), &[]).await;
    assert_eq!(old.refusal("connect", Hello::default().params).await["details"]["code"], "AUTH_TOKEN_MISMATCH");
    Client::connect_as(&world.gateway.ws(), &Hello::default().set("auth", json!({ "token": fresh }))).await;
}

#[tokio::test]
async fn what_needs_a_restart_waits_and_holds_nothing_else_back() {
    let mut world = World::start_with(|config| config.set("gateway.reload.mode", json!("hot")));
    let mut client = world.client().await;
    let set = |config: Config| with_ops(config).set("gateway.handshakeTimeoutMs", json!(20_000));
    world.gateway.edit_config(set);
    wait_for_ops(&mut client, SOON).await;
    let reload = client.ask("status", json!({})).await["configReload"].clone();
    assert_eq!(reload["status"], "restart-pending", "{reload}");
    assert_eq!(reload["pending"], json!(["gateway.handshakeTimeoutMs"]));
    assert_eq!(reload["held"], "gateway.reload.mode is hot");
    assert!(world.gateway.logs().contains("requires gateway restart; hot mode ignoring (gateway.handshakeTimeoutMs)"));
    assert!(world.gateway.logs().contains("config hot reload applied (agents.list)"));
    let fresh = "e2e-a-second-token-9d1c7b";
    world.gateway.edit_config(|config| config.set("gateway.auth.token", json!(fresh)));
    assert_eq!(client.closed(SOON).await, Closed { code: 4001, reason: "gateway auth changed".into() });
    let hello = Hello::default().set("auth", json!({ "token": fresh }));
    let mut client = Client::connect_as(&world.gateway.ws(), &hello).await;
    world.gateway.edit_config(|config| config.unset("gateway.handshakeTimeoutMs"));
    eventually("nothing waits any more", SOON, async || {
        let status = client.ask("status", json!({})).await;
        (status["configReload"]["status"] == "ok").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_edits_with_the_hash_of_what_it_read() {
    let world = World::start();
    let mut client = world.client().await;
    let read = client.ask("config.get", json!({})).await;
    assert_eq!((&read["exists"], &read["valid"]), (&json!(true), &json!(true)));
    assert_eq!(read["path"], world.gateway.place().config_path().to_str().unwrap());
    assert!(!read.to_string().contains(TOKEN), "the secret is shown");
    let hash = read["hash"].as_str().unwrap().to_owned();
    assert_eq!(hash.len(), 64);

    let raw = json!({ "agents": { "list": [{ "id": "main", "default": true }, { "id": "ops" }] } }).to_string();
    let refused = client.refusal("config.patch", json!({ "raw": raw })).await;
    assert_eq!(refused["message"], "config base hash required; re-run config.get and retry");
    let done = client.ask("config.patch", json!({ "raw": raw, "baseHash": hash })).await;
    assert_eq!(done["ok"], true);
    wait_for_ops(&mut client, SOON).await;
    let stale = client.refusal("config.patch", json!({ "raw": raw, "baseHash": hash })).await;
    assert_eq!(stale["message"], "config changed since last load; re-run config.get and retry");
    let on_disk = std::fs::read_to_string(world.gateway.place().config_path()).unwrap();
    assert!(on_disk.contains(TOKEN) && on_disk.contains("ops"), "{on_disk}");
}

#[tokio::test]
async fn a_write_keeps_comments_and_refuses_what_is_invalid() {
    let world = World::start();
    let mut client = world.client().await;
    let text = world.gateway.config().text();
    let commented = text.replacen('{', "{\n  // who may come in\n", 1);
    world.gateway.place().write_config(&commented);
    let hash = eventually("the commented file is read", SOON, async || {
        let read: Value = client.ask("config.get", json!({})).await;
        let on_disk = std::fs::read_to_string(world.gateway.place().config_path()).unwrap();
        let hash = {
            use sha2::Digest;
            hex::encode(sha2::Sha256::digest(on_disk.as_bytes()))
        };
        (read["hash"] == hash.as_str()).then_some(hash)
    })
    .await;
    let bad = json!({ "raw": "{ gateway: { port: \"many\" } }", "baseHash": hash });
    let error = client.refusal("config.patch", bad).await;
    let issue = json!({ "path": "gateway.port", "message": "Invalid input: expected number, received string" });
    assert_eq!(error["details"]["issues"], json!([issue]));
    assert!(error["message"].as_str().unwrap().starts_with("invalid config: gateway.port: "), "{error}");
    let good = json!({ "raw": "{ messages: { queue: { mode: \"collect\" } } }", "baseHash": hash });
    client.ask("config.patch", good).await;
    let on_disk = std::fs::read_to_string(world.gateway.place().config_path()).unwrap();
    assert!(on_disk.contains("// who may come in") && on_disk.contains("collect"), "{on_disk}");
}

/// Connects again until the gateway is back.
async fn back(url: &str) -> Client {
    eventually("it is back", SOON, async || {
        let url = url.to_owned();
        tokio::spawn(async move { Client::connect(&url).await }).await.ok()
    })
    .await
}

#[tokio::test]
async fn what_needs_a_restart_gets_one_when_running_turns_are_over() {
    let mut world = World::start();
    let mut client = world.client().await;
    let pid = world.gateway.pid();
    let run = send(&mut client, "main", "[[script:slow]] count").await;
    let port = free_port();
    world.gateway.edit_config(|config| with_ops(config).set("gateway.port", json!(port)));
    let shutdown = client.event("shutdown").await["payload"].clone();
    assert_eq!(shutdown["reason"], "gateway restarting", "{shutdown}");
    let end = end_of(&mut client, &run, SOON).await;
    assert!(text_of(&end["message"]).ends_with("word20"), "the turn came to its end: {end}");
    assert_eq!(client.closed(SOON).await.code, 1012);

    let mut client = back(&format!("ws://127.0.0.1:{port}/")).await;
    assert_eq!(world.gateway.pid(), pid, "the same process, begun again");
    assert_eq!(agents(&mut client).await, ["main", "ops"]);
    let reload = client.ask("status", json!({})).await["configReload"].clone();
    assert_eq!((&reload["status"], &reload["pending"]), (&json!("ok"), &json!([])), "{reload}");
    let logs = world.gateway.logs();
    assert!(logs.contains("restarting: config change (gateway.port)"), "{logs}");
    assert!(!world.gateway.is_healthy(), "the old port is free");
}

#[tokio::test]
async fn no_restart_into_what_would_not_start() {
    let mut world = World::start();
    let mut client = world.client().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let cases = [
        ("gateway.port", json!(taken.local_addr().unwrap().port()), "cannot listen on 127.0.0.1:"),
        ("gateway.mode", json!("remote"), "Gateway start blocked: set gateway.mode=local"),
    ];
    for (key, value, why) in cases {
        let before = world.gateway.config().clone();
        world.gateway.edit_config(|config| config.set(key, value));
        let held = eventually(why, SOON, async || {
            let reload = client.ask("status", json!({})).await["configReload"].clone();
            (reload["pending"] == json!([key])).then(|| reload["held"].as_str().unwrap_or_default().to_owned())
        })
        .await;
        assert!(held.starts_with(why), "{key}: {held}");
        let refused = client.refusal("gateway.restart.request", json!({})).await;
        assert!(refused["message"].as_str().unwrap().contains(why), "nor when somebody asks: {refused}");
        let asked = world.gateway.cli(&["gateway", "restart"]);
        assert!(asked.code == Some(1) && asked.stderr.contains("would not start again"), "{}", asked.stderr);
        world.gateway.edit_config(|_| before);
        eventually("nothing waits", SOON, async || {
            let status = client.ask("status", json!({})).await;
            (status["configReload"]["status"] == "ok").then_some(())
        })
        .await;
    }
    assert!(!world.gateway.logs().contains("restarting: "), "it never went down");
}

#[tokio::test]
async fn an_edit_that_breaks_the_file_during_the_drain_is_waited_out() {
    let mut world = World::start();
    let mut client = world.client().await;
    let run = send(&mut client, "main", "[[script:slow]] count").await;
    world.gateway.edit_config(|config| config.set("gateway.handshakeTimeoutMs", json!(20_000)));
    client.event("shutdown").await;
    let good = world.gateway.config().text();
    world.gateway.place().write_config("{ gateway: { mode: ");
    end_of(&mut client, &run, SOON).await;
    let waits = "the restart waits for the configuration to be mended";
    eventually(waits, SOON, async || world.gateway.logs().contains(waits).then_some(())).await;
    let status = client.ask("status", json!({})).await;
    assert!(status["runtimeVersion"].is_string(), "clients are still served");
    world.gateway.place().write_config(&good);
    assert_eq!(client.closed(SOON).await.code, 1012);
    back(&world.gateway.ws()).await;
}
