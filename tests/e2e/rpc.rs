//! Requests after the handshake: what is refused, with which error, and what ends the socket.
//!
//! Source: WebSocket protocol, transport limits, frames, errors, roles and scopes, rate limits.

use serde_json::{Value, json};

use crate::World;
use crate::harness::client::Closed;
use crate::harness::device::Claim;
use crate::harness::{Client, Device, Hello, SOON, TOKEN};

#[tokio::test]
async fn an_unknown_method_is_named() {
    let world = World::start();
    let mut client = world.client().await;
    let error = client.refusal("no.such.method", json!({})).await;
    assert_eq!(error["code"], "INVALID_REQUEST");
    assert_eq!(error["message"], "unknown method: no.such.method");
}

#[tokio::test]
async fn the_33rd_unanswered_request_is_refused_and_told_when_to_come_back() {
    let world = World::start();
    let mut client = world.client().await;
    let mut waiting = Vec::new();
    for number in 0..32 {
        let params = json!({ "runId": format!("unknown-{number}"), "timeoutMs": 1500 });
        waiting.push(client.send("agent.wait", params).await);
    }
    let error = client.refusal("health", json!({})).await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("UNAVAILABLE"), &json!(true)), "{error}");
    assert!(error["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0), "{error}");
    for id in waiting {
        assert_eq!(client.response(&id, SOON).await["ok"], true);
    }
    client.ask("health", json!({})).await;
}

#[tokio::test]
async fn a_missing_scope_is_refused_and_named() {
    let world = World::start();
    let reader = Hello::default().scopes(&["operator.read"]);
    let mut client = Client::connect_as(&world.gateway.ws(), &reader).await;
    client.ask("status", json!({})).await;
    let cases = [
        ("chat.send", json!({ "sessionKey": "main", "message": "x", "idempotencyKey": "k" }), "operator.write"),
        ("config.set", json!({ "raw": "{}" }), "operator.admin"),
        ("device.pair.list", json!({}), "operator.pairing"),
    ];
    for (method, params, scope) in cases {
        let error = client.refusal(method, params).await;
        assert_eq!(error["message"], format!("missing scope: {scope}"), "{method}");
        assert_eq!(error["code"], "INVALID_REQUEST", "{method}");
        assert_eq!(error["details"]["code"], "MISSING_SCOPE", "{method}");
        assert_eq!(error["details"]["missingScope"], scope, "{method}");
    }
}

#[tokio::test]
async fn write_includes_read_and_health_needs_nothing() {
    let world = World::start();
    let writer = Hello::default().scopes(&["operator.write"]);
    let mut client = Client::connect_as(&world.gateway.ws(), &writer).await;
    client.ask("sessions.list", json!({})).await;
    let nobody = Hello::default().scopes(&[]);
    let mut client = Client::connect_as(&world.gateway.ws(), &nobody).await;
    let health = client.ask("health", json!({})).await;
    assert_eq!(health["ok"], true);
    assert_eq!(health["defaultAgentId"], "main");
}

#[tokio::test]
async fn a_bad_frame_is_answered_and_the_socket_lives_on() {
    let world = World::start();
    let mut client = world.client().await;
    client.send_text(&json!({ "type": "req", "method": "health" }).to_string()).await;
    let answer = client.response("invalid", SOON).await;
    assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
    assert_eq!(answer["error"]["message"], "invalid request frame: must have required property 'id'");
    client.send_text("nonsense").await;
    client.send_text(&json!({ "type": "req", "id": "bad-method", "method": 7 }).to_string()).await;
    let answer = client.response("bad-method", SOON).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("invalid request frame: "), "{message}");
    client.ask("health", json!({})).await;
}

#[tokio::test]
async fn absent_params_are_an_empty_object() {
    let world = World::start();
    let mut client = world.client().await;
    client.send_text(&json!({ "type": "req", "id": "p", "method": "sessions.list" }).to_string()).await;
    assert_eq!(client.response("p", SOON).await["ok"], true);
}

#[tokio::test]
async fn wrong_types_are_refused_and_unknown_keys_ignored() {
    let world = World::start();
    let mut client = world.client().await;
    let cases = [
        ("chat.history", json!({ "sessionKey": 7 })),
        ("chat.history", json!({})),
        ("agent", json!({ "message": "no key" })),
        ("sessions.list", json!({ "limit": "ten" })),
    ];
    for (method, params) in cases {
        let error = client.refusal(method, params.clone()).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("invalid {method} params: ")), "{params}: {message}");
    }
    client.ask("chat.history", json!({ "sessionKey": "main", "somethingNew": true })).await;
}

#[tokio::test]
async fn a_frame_over_25_mib_ends_the_socket_with_1009_and_only_that_socket() {
    let world = World::start();
    let mut bystander = world.client().await;
    let mut client = world.client().await;
    client.try_send_text("x".repeat(26_214_401)).await;
    assert_eq!(client.closed(SOON).await.code, 1009);
    bystander.ask("health", json!({})).await;
}

#[tokio::test]
async fn answers_find_their_question_when_many_are_asked_at_once() {
    let world = World::start();
    let mut client = world.client().await;
    let mut ids = Vec::new();
    for n in 0..30 {
        let method = if n % 2 == 0 { "health" } else { "sessions.list" };
        ids.push((client.send(method, json!({})).await, method));
    }
    for (id, method) in ids.iter().rev() {
        let payload = &client.response(id, SOON).await["payload"];
        let key = if *method == "health" { "defaultAgentId" } else { "sessions" };
        assert!(payload.get(key).is_some(), "{method} was answered with {payload}");
    }
}

#[tokio::test]
async fn the_fourth_control_plane_write_in_a_minute_has_to_wait() {
    let world = World::start();
    let mut client = world.client().await;
    for _ in 0..3 {
        let error = client.refusal("config.patch", json!({ "raw": "{}" })).await;
        assert_eq!(error["message"], "config base hash required; re-run config.get and retry");
    }
    let error = client.refusal("config.patch", json!({ "raw": "{}" })).await;
    assert_eq!(error["code"], "UNAVAILABLE");
    assert_eq!(error["retryable"], true);
    assert_eq!(error["details"], json!({ "method": "config.patch", "limit": "3 per 60s" }));
    assert!((1..=60_000).contains(&error["retryAfterMs"].as_u64().unwrap()), "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("rate limit exceeded for config.patch; retry after "), "{message}");
}

/// Params with which a paired node connects.
fn node_hello(device: &Device, nonce: &str) -> Value {
    let claim = Claim {
        client_id: "node-host",
        mode: "node",
        role: "node",
        scopes: &[],
        token: TOKEN,
        platform: "linux",
        nonce,
        signed_at: jiff::Timestamp::now().as_millisecond(),
    };
    let hello = Hello::default().client("node-host", "node").set("role", json!("node")).scopes(&[]);
    hello.set("device", device.prove(&claim)).params
}

#[tokio::test]
async fn a_node_that_keeps_calling_operator_methods_is_closed() {
    let world = World::start();
    let mut node = Client::open(&world.gateway.ws(), &[]).await;
    let params = node_hello(&Device::new(9), &node.nonce);
    node.ask("connect", params).await;
    for _ in 0..10 {
        assert_eq!(node.refusal("status", json!({})).await["message"], "unauthorized role: node");
    }
    node.send("status", json!({})).await;
    let reason = "repeated unauthorized calls".into();
    assert_eq!(node.closed(SOON).await, Closed { code: 1008, reason });
}
