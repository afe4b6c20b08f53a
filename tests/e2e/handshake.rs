//! The first frames of a socket: every refusal with its exact error and close, and what an accepted client gets.
//!
//! Source: WebSocket protocol, handshake, connect failures and device proof; codes decide whether clients retry forever.

use std::time::Duration;

use serde_json::{Value, json};

use crate::World;
use crate::harness::client::{ALL_SCOPES, Closed};
use crate::harness::device::Claim;
use crate::harness::{Client, Device, Hello, SOON, TOKEN, eventually, http};

/// Epoch milliseconds of the wall clock.
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The refusal and the close that follows it at once, its reason cut to 120 bytes.
async fn check_refused(client: &mut Client, params: Value, error: Value, close: u16) {
    let refused = client.refusal("connect", params.clone()).await;
    assert_eq!(refused, error, "for {params}");
    let message = error["message"].as_str().unwrap();
    let reason = message[..message.len().min(120)].to_owned();
    assert_eq!(client.closed(SOON).await, Closed { code: close, reason }, "for {params}");
}

/// Details of every refusal for its credential.
fn auth_details(code: &str, reason: &str, step: &str) -> Value {
    json!({ "code": code, "authReason": reason, "canRetryWithDeviceToken": false, "recommendedNextStep": step })
}

fn invalid(message: &str) -> Value {
    json!({ "code": "INVALID_REQUEST", "message": message })
}

fn invalid_with(message: &str, details: Value) -> Value {
    json!({ "code": "INVALID_REQUEST", "message": message, "details": details })
}

#[tokio::test]
async fn the_challenge_comes_first_with_a_fresh_nonce_and_the_true_time() {
    let world = World::start();
    let first = Client::open(&world.gateway.ws(), &[]).await;
    let second = Client::open(&world.gateway.ws(), &[("x-any", "1")]).await;
    assert_ne!(first.nonce, second.nonce);
    assert_eq!(uuid::Uuid::parse_str(&first.nonce).unwrap().get_version_num(), 4);
    assert!((now_ms() - first.challenged_at).abs() < 5_000, "{} is not now", first.challenged_at);
}

#[tokio::test]
async fn frames_that_are_no_connect_request_end_the_socket() {
    let world = World::start();
    let url = world.gateway.ws();
    let invalid_frame = Closed { code: 1008, reason: "invalid request frame".into() };
    let cases = [
        ("{not json".to_owned(), Closed { code: 1000, reason: String::new() }),
        ("[1,2]".to_owned(), invalid_frame.clone()),
        (json!({ "type": "event", "event": "x" }).to_string(), invalid_frame),
    ];
    for (text, closed) in cases {
        let mut client = Client::open(&url, &[]).await;
        client.send_text(&text).await;
        assert_eq!(client.closed(SOON).await, closed, "for {text}");
    }
    let mut client = Client::open(&url, &[]).await;
    let error = client.refusal("health", json!({})).await;
    assert_eq!(error, invalid("invalid handshake: first request must be connect"));
    let reason = "invalid handshake: first request must be connect".into();
    assert_eq!(client.closed(SOON).await, Closed { code: 1008, reason });
}

#[tokio::test]
async fn more_than_64_kib_before_connect_ends_the_socket_with_1009() {
    let world = World::start();
    let mut client = Client::open(&world.gateway.ws(), &[]).await;
    let pad = "x".repeat(70_000);
    let connect = json!({ "type": "req", "id": "1", "method": "connect", "params": { "pad": pad } });
    client.try_send_text(connect.to_string()).await;
    assert_eq!(client.closed(SOON).await.code, 1009);
}

#[tokio::test]
async fn wrong_connect_params_are_named() {
    let world = World::start();
    let cases = [
        (json!({ "minProtocol": 4, "maxProtocol": 4 }), "invalid connect params: must have required property 'client'"),
        (
            Hello::default().client("my-app", "backend").params,
            "invalid connect params: at /client/id: must be equal to one of the allowed values",
        ),
        (Hello::default().set("role", json!("admin")).params, "invalid role"),
    ];
    for (params, message) in cases {
        let mut client = Client::open(&world.gateway.ws(), &[]).await;
        check_refused(&mut client, params, invalid(message), 1008).await;
    }
}

#[tokio::test]
async fn a_protocol_range_without_4_is_a_mismatch() {
    let world = World::start();
    for (min, max) in [(3, 3), (5, 6)] {
        let params = Hello::default().set("minProtocol", json!(min)).set("maxProtocol", json!(max)).params;
        let details = json!({
            "code": "PROTOCOL_MISMATCH",
            "clientMinProtocol": min,
            "clientMaxProtocol": max,
            "expectedProtocol": 4,
            "minimumProbeProtocol": 3,
        });
        let mut client = Client::open(&world.gateway.ws(), &[]).await;
        check_refused(&mut client, params, invalid_with("protocol mismatch", details), 1002).await;
    }
    for (min, max) in [(3, 4), (1, 9)] {
        let hello = Hello::default().set("minProtocol", json!(min)).set("maxProtocol", json!(max));
        let client = Client::connect_as(&world.gateway.ws(), &hello).await;
        assert_eq!(client.hello["protocol"], 4);
    }
}

#[tokio::test]
async fn a_missing_or_wrong_secret_is_refused_with_the_hint_for_that_client() {
    let world = World::start();
    let missing = auth_details("AUTH_TOKEN_MISSING", "token_missing", "update_auth_configuration");
    let wrong = auth_details("AUTH_TOKEN_MISMATCH", "token_mismatch", "update_auth_credentials");
    let cases = [
        (
            Hello::default().set("auth", json!({ "token": "wrong" })),
            "unauthorized: gateway token mismatch (provide gateway auth token)",
            &wrong,
        ),
        (
            Hello::default().set("auth", json!({ "password": TOKEN })),
            "unauthorized: gateway token missing (provide gateway auth token)",
            &missing,
        ),
        (
            Hello::default().client("cli", "cli").set("auth", json!({ "token": "wrong" })),
            "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)",
            &wrong,
        ),
    ];
    for (hello, message, details) in cases {
        let mut client = Client::open(&world.gateway.ws(), &[]).await;
        check_refused(&mut client, hello.params, invalid_with(message, details.clone()), 1008).await;
    }
}

#[tokio::test]
async fn without_secret_or_device_a_device_is_required() {
    let world = World::start();
    let message = "device identity required";
    let details = json!({ "code": "DEVICE_IDENTITY_REQUIRED" });
    let required = json!({ "code": "NOT_PAIRED", "message": message, "details": details });
    let node = Hello::default().client("node-host", "node").set("role", json!("node")).scopes(&[]);
    for hello in [Hello::default().unset("auth"), node] {
        let mut client = Client::open(&world.gateway.ws(), &[]).await;
        check_refused(&mut client, hello.params, required.clone(), 1008).await;
    }
    let origin = format!("http://127.0.0.1:{}", world.gateway.port());
    let mut browser = Client::open(&world.gateway.ws(), &[("origin", &origin)]).await;
    let message = "control ui requires device identity (use HTTPS or localhost secure context)";
    let error = invalid_with(message, json!({ "code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED" }));
    let params = Hello::default().client("openclaw-control-ui", "webchat").params;
    check_refused(&mut browser, params, error, 1008).await;
}

#[tokio::test]
async fn a_foreign_page_gets_no_socket_and_a_panel_without_origin_no_connection() {
    let world = World::start();
    let foreign = Client::try_open(&world.gateway.ws(), &[("origin", "https://evil.example")]).await;
    assert_eq!(foreign.err(), Some(403));
    let message = "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)";
    let details = json!({ "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": "origin missing or invalid" });
    let mut client = Client::open(&world.gateway.ws(), &[]).await;
    let params = Hello::default().client("openclaw-control-ui", "webchat").params;
    check_refused(&mut client, params, invalid_with(message, details), 1008).await;
}

/// The hello of a command line client with its device's proof.
fn device_hello(device: &Device, nonce: &str, signed_at: i64, scopes: &[&str]) -> Hello {
    let claim = Claim {
        client_id: "cli",
        mode: "cli",
        role: "operator",
        scopes,
        token: TOKEN,
        platform: "linux",
        nonce,
        signed_at,
    };
    Hello::default().client("cli", "cli").scopes(scopes).set("device", device.prove(&claim))
}

#[tokio::test]
async fn a_bad_device_proof_is_refused_for_its_first_flaw() {
    let world = World::start();
    let device = Device::new(1);
    let stale = now_ms() - 121_000;
    let cases: [(&str, &str, &str, i64, &str, Value); 5] = [
        ("device-id-mismatch", "device identity mismatch", "DEVICE_ID_MISMATCH", 0, "id", json!("0".repeat(64))),
        ("device-signature-stale", "device signature expired", "SIGNATURE_EXPIRED", stale, "", Value::Null),
        ("device-nonce-missing", "device nonce required", "NONCE_REQUIRED", 0, "nonce", json!(" ")),
        ("device-nonce-mismatch", "device nonce mismatch", "NONCE_MISMATCH", 0, "nonce", json!("other")),
        ("device-signature", "device signature invalid", "SIGNATURE_INVALID", 0, "signature", json!("AAAA")),
    ];
    for (reason, message, code, signed_at, field, spoilt) in cases {
        let mut client = Client::open(&world.gateway.ws(), &[]).await;
        let signed_at = if signed_at == 0 { now_ms() } else { signed_at };
        let mut params = device_hello(&device, &client.nonce, signed_at, &["operator.read"]).params;
        if !field.is_empty() {
            params["device"][field] = spoilt;
        }
        let details = json!({ "code": format!("DEVICE_AUTH_{code}"), "reason": reason });
        check_refused(&mut client, params, invalid_with(message, details), 1008).await;
    }
}

#[tokio::test]
async fn a_local_device_is_paired_silently_and_its_token_is_enough_the_next_time() {
    let world = World::start();
    let device = Device::new(2);
    let mut first = Client::open(&world.gateway.ws(), &[]).await;
    let params = device_hello(&device, &first.nonce, now_ms() - 100_000, &["operator.read"]).params;
    let hello = first.ask("connect", params).await;
    let token = hello["auth"]["deviceToken"].as_str().expect("a device token").to_owned();
    assert_eq!(hello["auth"]["role"], "operator");

    let mut second = Client::open(&world.gateway.ws(), &[]).await;
    let claim = Claim {
        client_id: "cli",
        mode: "cli",
        role: "operator",
        scopes: &["operator.read"],
        token: &token,
        platform: "linux",
        nonce: &second.nonce,
        signed_at: now_ms(),
    };
    let proof = device.prove(&claim);
    let hello = Hello::default().client("cli", "cli").scopes(&["operator.read"]).set("device", proof);
    let hello = hello.set("auth", json!({ "deviceToken": token }));
    let again = second.ask("connect", hello.params).await;
    assert_eq!(again["auth"]["deviceToken"], token.as_str());
    second.ask("status", json!({})).await;
}

#[tokio::test]
async fn a_remote_device_waits_for_approval_and_a_remote_backend_keeps_no_scope() {
    let world = World::start();
    let headers = [("x-forwarded-for", "203.0.113.9")];
    let mut client = Client::open(&world.gateway.ws(), &headers).await;
    let device = Device::new(3);
    let params = device_hello(&device, &client.nonce, now_ms(), &["operator.read"]).params;
    let error = client.refusal("connect", params).await;
    assert_eq!(error["code"], "NOT_PAIRED");
    assert_eq!(error["message"], "pairing required: device is not approved yet");
    let details = &error["details"];
    assert_eq!((&details["code"], &details["reason"]), (&json!("PAIRING_REQUIRED"), &json!("not-paired")));
    assert_eq!(details["deviceId"], device.id());
    assert_eq!(details["requestedScopes"], json!(["operator.read"]));
    let request = details["requestId"].as_str().unwrap();
    let reason = format!("pairing required: device is not approved yet (requestId: {request})");
    assert_eq!(client.closed(SOON).await, Closed { code: 1008, reason });

    let mut client = Client::open(&world.gateway.ws(), &headers).await;
    let hello = client.ask("connect", Hello::default().params).await;
    assert_eq!(hello["auth"]["scopes"], json!([]));
}

#[tokio::test]
async fn hello_ok_carries_what_a_client_starts_from() {
    let world = World::start();
    let client = world.client().await;
    let hello = &client.hello;
    assert_eq!(hello["protocol"], 4);
    assert!(uuid::Uuid::parse_str(hello["server"]["connId"].as_str().unwrap()).is_ok());
    assert!(!hello["server"]["version"].as_str().unwrap().is_empty());
    for method in ["health", "status", "chat.send", "chat.history", "agent", "sessions.list", "config.get"] {
        assert!(hello["features"]["methods"].as_array().unwrap().contains(&json!(method)), "no {method}");
    }
    assert!(hello["features"]["events"].as_array().unwrap().contains(&json!("chat")));
    let limits = json!({ "maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000 });
    for (name, value) in limits.as_object().unwrap() {
        assert_eq!(&hello["policy"][name], value, "{name}");
    }
    let snapshot = &hello["snapshot"];
    let defaults = json!({
        "defaultAgentId": "main",
        "mainKey": "main",
        "mainSessionKey": "agent:main:main",
        "scope": "per-sender",
    });
    assert_eq!(snapshot["sessionDefaults"], defaults);
    assert_eq!(snapshot["authMode"], "token");
    assert_eq!(snapshot["stateDir"], world.gateway.place().state().to_str().unwrap());
    assert!(snapshot["presence"].as_array().unwrap().iter().any(|entry| entry["mode"] == "gateway"));
    assert!(snapshot["uptimeMs"].is_u64() && snapshot["stateVersion"]["presence"].is_u64());
    assert_eq!(hello["auth"], json!({ "role": "operator", "scopes": ALL_SCOPES }));
    let mut client = client;
    client.event("health").await;
}

#[tokio::test]
async fn only_an_admin_is_told_the_paths_of_the_gateway() {
    let world = World::start();
    let hello = Hello::default().scopes(&["operator.read"]);
    let client = Client::connect_as(&world.gateway.ws(), &hello).await;
    for key in ["configPath", "stateDir", "authMode"] {
        assert!(client.hello["snapshot"].get(key).is_none(), "{key} is shown");
    }
}

#[tokio::test]
async fn keys_of_newer_clients_are_ignored() {
    let world = World::start();
    let mut hello = Hello::default().set("somethingNew", json!({ "a": 1 }));
    hello.params["client"]["buildId"] = json!("b1");
    Client::connect_as(&world.gateway.ws(), &hello).await;
}

#[tokio::test]
async fn a_local_command_line_without_device_keeps_its_scopes_and_others_lose_them() {
    let world = World::start();
    let cli = Hello::default().client("cli", "cli");
    let mut cli = Client::connect_as(&world.gateway.ws(), &cli).await;
    cli.ask("status", json!({})).await;
    let mut other = Client::connect_as(&world.gateway.ws(), &Hello::default().client("test", "test")).await;
    assert_eq!(other.hello["auth"]["scopes"], json!([]));
    other.ask("health", json!({})).await;
    assert_eq!(other.refusal("status", json!({})).await["message"], "missing scope: operator.read");
}

#[tokio::test]
async fn who_does_not_connect_in_time_is_closed() {
    let world = World::start_with(|config| config.set("gateway.handshakeTimeoutMs", json!(400)));
    let mut client = Client::open(&world.gateway.ws(), &[]).await;
    let closed = client.closed(Duration::from_secs(5)).await;
    assert_eq!(closed, Closed { code: 1000, reason: String::new() });
}

#[tokio::test]
async fn more_clients_than_configured_are_refused_until_one_leaves() {
    let world = World::start_with(|config| config.set("gateway.maxConnections", json!(2)));
    let mut first = world.client().await;
    let second = world.client().await;
    assert_eq!(Client::try_open(&world.gateway.ws(), &[]).await.err(), Some(503));
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
    let request = upgrade.iter().fold(http::client().get(world.gateway.http("/")), |r, (k, v)| r.header(*k, *v));
    let refused = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1", "and it is told when to come back");
    first.ask("health", json!({})).await;
    drop(second);
    eventually("a place is free", SOON, async || Client::try_open(&world.gateway.ws(), &[]).await.ok()).await;
}

#[tokio::test]
async fn the_33rd_socket_that_says_nothing_is_refused() {
    let world = World::start();
    let mut silent = Vec::new();
    for _ in 0..32 {
        silent.push(Client::open(&world.gateway.ws(), &[]).await);
    }
    assert_eq!(Client::try_open(&world.gateway.ws(), &[]).await.err(), Some(503));
    silent.pop().unwrap().ask("connect", Hello::default().params).await;
    assert!(Client::try_open(&world.gateway.ws(), &[]).await.is_ok());
}

#[tokio::test]
async fn a_password_gateway_takes_the_password_and_nothing_else() {
    let password = json!({ "mode": "password", "password": "a-long-test-password" });
    let world = World::start_with(|config| config.set("gateway.auth", password));
    let right = Hello::default().set("auth", json!({ "password": "a-long-test-password", "token": "ignored" }));
    Client::connect_as(&world.gateway.ws(), &right).await;
    let cases = [
        (json!({ "password": "wrong" }), "mismatch", "AUTH_PASSWORD_MISMATCH", "update_auth_credentials"),
        (json!({ "token": TOKEN }), "missing", "AUTH_PASSWORD_MISSING", "update_auth_configuration"),
    ];
    for (auth, what, code, step) in cases {
        let mut client = Client::open(&world.gateway.ws(), &[]).await;
        let message = format!("unauthorized: gateway password {what} (provide gateway auth password)");
        let details = auth_details(code, &format!("password_{what}"), step);
        let params = Hello::default().set("auth", auth).params;
        check_refused(&mut client, params, invalid_with(&message, details), 1008).await;
    }
}
