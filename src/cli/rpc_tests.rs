//! Calls of the command line against a small gateway that speaks real WebSocket on a thread of its own.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use futures::{SinkExt, StreamExt};
use openclaw_actors::config::env::Env;
use openclaw_actors::files;
use openclaw_actors::supervision::task;
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::cli::GlobalArgs;
use crate::cli::output::Output;

/// The fake's port, and the `connect` parameters that it has seen.
struct Fake {
    port: u16,
    seen: Receiver<Value>,
}

/// Serves connections one after the other until the test ends.
fn fake() -> Fake {
    let (port_out, port_in) = channel();
    let (seen_out, seen) = channel();
    task::thread("fake gateway", move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            port_out.send(listener.local_addr().unwrap().port()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &seen_out).await;
            }
        });
    })
    .unwrap();
    Fake { port: port_in.recv().unwrap(), seen }
}

async fn serve(stream: tokio::net::TcpStream, seen: &Sender<Value>) {
    let mut socket = accept_async(stream).await.unwrap();
    let challenge = json!({ "type": "event", "event": "connect.challenge", "payload": { "nonce": "n", "ts": 1 } });
    socket.send(Message::text(challenge.to_string())).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let request: Value = serde_json::from_str(&text).unwrap();
        let (ok, key, body) = answer(&request, seen);
        let answer = json!({ "type": "res", "id": request["id"], "ok": ok, key: body });
        socket.send(Message::text(answer.to_string())).await.unwrap();
    }
}

fn answer(request: &Value, seen: &Sender<Value>) -> (bool, &'static str, Value) {
    match request["method"].as_str().unwrap() {
        "connect" => {
            let params = request["params"].clone();
            let scopes = params["scopes"].clone();
            let _ = seen.send(params); // the test may have ended
            let auth = json!({ "role": "operator", "scopes": scopes, "deviceToken": "device-token" });
            (true, "payload", json!({ "type": "hello-ok", "policy": { "tickIntervalMs": 30_000 }, "auth": auth }))
        }
        "health" => (true, "payload", json!({ "ok": true })),
        other => (false, "error", json!({ "code": "INVALID_REQUEST", "message": format!("unknown method: {other}") })),
    }
}

/// A command's surroundings: home in `dir`, its gateway on `port`.
fn context(dir: &Path, port: u16) -> Context {
    let vars = [("HOME", dir.display().to_string()), ("OPENCLAW_GATEWAY_PORT", port.to_string())];
    Context::new(GlobalArgs::default(), Env::from_iter(vars), Output::detect(true, &|_| None), false).unwrap()
}

/// A state directory whose configuration has a token.
fn configured(dir: &Path) {
    let state = dir.join(".openclaw");
    files::ensure_dir(&state).unwrap();
    files::replace(&state.join("openclaw.json"), b"{ gateway: { mode: 'local', auth: { token: 'shared' } } }").unwrap();
}

const LIMIT: Duration = Duration::from_secs(5);

fn call(context: &Context, method: &str) -> Result<Value, Failure> {
    let gateway = locate(context, &RpcArgs::default(), Invalid::Stops)?;
    context.block_on(gateway.call(method, json!({}), LIMIT))?
}

#[test]
fn a_call_signs_with_its_device_and_asks_for_the_least_scope() {
    let (dir, fake) = (tempfile::tempdir().unwrap(), fake());
    configured(dir.path());
    let context = context(dir.path(), fake.port);
    assert_eq!(call(&context, "health"), Ok(json!({ "ok": true })));
    let connect = fake.seen.recv().unwrap();
    assert_eq!((&connect["client"]["id"], &connect["client"]["mode"]), (&json!("cli"), &json!("cli")));
    assert_eq!(connect["scopes"], json!(["operator.read"]));
    assert_eq!(connect["auth"]["token"], "shared");
    assert_eq!(connect["device"]["nonce"], "n");
    let kept = std::fs::read_to_string(dir.path().join(".openclaw/identity/device-auth.json")).unwrap();
    assert!(kept.contains("device-token"));
    assert_eq!(call(&context, "health"), Ok(json!({ "ok": true })));
    assert_eq!(fake.seen.recv().unwrap()["device"]["id"], connect["device"]["id"], "the same device again");
}

#[test]
fn a_probe_has_no_device_and_leaves_nothing_behind() {
    let (dir, fake) = (tempfile::tempdir().unwrap(), fake());
    configured(dir.path());
    let context = context(dir.path(), fake.port);
    let keys = context.keys().unwrap();
    let endpoint = endpoint(&context, &RpcArgs::default(), &keys).unwrap();
    let calls = [("health", json!({})), ("status", json!({}))];
    let reach = context.block_on(probe(&endpoint, &keys, &calls, LIMIT)).unwrap();
    let connect = fake.seen.recv().unwrap();
    assert_eq!((&connect["client"]["mode"], &connect["minProtocol"]), (&json!("probe"), &json!(3)));
    assert_eq!(connect.get("device"), None);
    assert!(!dir.path().join(".openclaw/identity").exists());
    assert!(reach.connected() && reach.answer("health").is_some());
    assert_eq!(reach.rpc_text(), "failed - unknown method: status");
}

#[test]
fn a_refusal_and_silence_are_different_failures() {
    let (dir, fake) = (tempfile::tempdir().unwrap(), fake());
    configured(dir.path());
    let refused = call(&context(dir.path(), fake.port), "nope").unwrap_err();
    assert_eq!((refused.kind, refused.message()), (REQUEST, "unknown method: nope"));
    assert_eq!(refused.document()["error"]["code"], "INVALID_REQUEST");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let down = call(&context(dir.path(), free), "health").unwrap_err();
    let url = format!("ws://127.0.0.1:{free}");
    assert_eq!(down.kind, TRANSPORT);
    assert_eq!(down.message(), format!("Gateway not reachable at {url} (ECONNREFUSED)."));
    assert_eq!(
        down.lines[2..],
        [
            format!("Gateway target: {url}"),
            "Source: local loopback".to_owned(),
            "Config: ~/.openclaw/openclaw.json".to_owned(),
            "Bind: loopback".to_owned(),
        ]
    );
    assert_eq!(down.document()["gateway"]["urlSource"], "local loopback");
}

#[test]
fn asking_creates_no_state_directory() {
    let (dir, fake) = (tempfile::tempdir().unwrap(), fake());
    let context = context(dir.path(), fake.port);
    assert!(call(&context, "health").is_ok());
    assert_eq!(fake.seen.recv().unwrap().get("device"), None);
    assert!(!dir.path().join(".openclaw").exists());
}

#[test]
fn a_named_address_gets_no_stored_credential() {
    let dir = tempfile::tempdir().unwrap();
    configured(dir.path());
    let context = context(dir.path(), 1);
    let keys = context.keys().unwrap();
    let args = RpcArgs { url: Some("ws://127.0.0.1:1".into()), ..RpcArgs::default() };
    let refused = endpoint(&context, &args, &keys).unwrap_err();
    assert_eq!(refused.message(), "gateway url override requires explicit credentials");
    assert!(refused.lines[1].contains("--token") && refused.lines[1].contains("--password"));
    let with_port = RpcArgs { port: Some(7), ..RpcArgs::default() };
    let local = endpoint(&context, &with_port, &keys).unwrap();
    assert_eq!((local.url.as_str(), local.token.as_deref()), ("ws://127.0.0.1:7", Some("shared")));
}

#[test]
fn a_gateway_without_authentication_needs_no_credential_at_a_named_address() {
    let inputs = EndpointInputs { flag_url: Some("ws://127.0.0.1:1"), ..EndpointInputs::default() };
    let open = GatewayKeys { auth_mode: Some("none".into()), ..GatewayKeys::default() };
    let endpoint = resolve(&inputs, &open).unwrap();
    assert_eq!((endpoint.token, endpoint.password), (None, None));
    assert_eq!(resolve(&inputs, &GatewayKeys::default()), Err(EndpointError::NoCredentials));
}

#[test]
fn an_open_local_gateway_is_asked_as_its_own_helper() {
    let who = |open| {
        let options = identity(open, client_mode::CLI, &[Scope::Read]);
        (options.client_id, options.mode, options.scopes)
    };
    assert_eq!(who(false), ("cli", "cli", vec!["operator.read".to_owned()]));
    assert_eq!(who(true), ("gateway-client", "backend", vec!["operator.read".to_owned()]));
}

#[test]
fn a_pairing_refusal_is_told_apart_from_silence() {
    let refusal = |code: &str| {
        let error = json!({ "code": "NOT_PAIRED", "message": "pairing required", "details": { "code": code } });
        unreached(&ClientError::Refused(serde_json::from_value(error).unwrap()))
    };
    assert!(refusal("PAIRING_REQUIRED").pairing_pending);
    assert!(!refusal("OTHER").pairing_pending);
}
