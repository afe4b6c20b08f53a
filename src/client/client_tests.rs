//! The client against a small gateway that speaks real WebSocket.

use std::future::Future;

use futures::{SinkExt, StreamExt};
use openclaw_actors::devices::{DeviceIdentity, PublicKey, SignedFields};
use openclaw_actors::protocol::hello::ConnectParams;
use openclaw_actors::protocol::validate_connect;
use openclaw_actors::supervision::task::{self, Task};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::super::endpoint::UrlSource;
use super::*;

const NONCE: &str = "n-1";
const TS: u64 = 1_737_264_000_000;

/// The server's end of one connection.
struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn challenge(&mut self) -> Value {
        self.send(json!({ "type": "event", "event": "connect.challenge", "payload": { "nonce": NONCE, "ts": TS } }))
            .await;
        let request = self.receive().await;
        assert_eq!((&request["type"], &request["method"]), (&json!("req"), &json!("connect")));
        request
    }

    /// Completes the handshake and returns what the client said of itself.
    async fn welcome(&mut self) -> ConnectParams {
        let request = self.challenge().await;
        let params = validate_connect(&request["params"]).unwrap();
        let hello = json!({ "type": "hello-ok", "protocol": 4, "policy": { "tickIntervalMs": 1000 } });
        self.answer(&request, hello).await;
        params
    }

    async fn answer(&mut self, request: &Value, payload: Value) {
        self.send(json!({ "type": "res", "id": request["id"], "ok": true, "payload": payload })).await;
    }

    async fn fail(&mut self, request: &Value, error: Value) {
        self.send(json!({ "type": "res", "id": request["id"], "ok": false, "error": error })).await;
    }

    async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
        self.0.close(Some(frame)).await.unwrap();
    }

    /// Keeps the connection until the client ends it.
    async fn idle(mut self) {
        while let Some(Ok(_)) = self.0.next().await {}
    }
}

/// A gateway that plays `script` with its first connection and then every further one.
async fn gateway<F, S>(script: S) -> (Endpoint, Task)
where
    S: Fn(Peer, usize) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let server = task::spawn("test gateway", async move {
        for turn in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            script(Peer(accept_async(stream).await.unwrap()), turn).await;
        }
    });
    (endpoint(url), server)
}

fn endpoint(url: String) -> Endpoint {
    Endpoint { url, source: UrlSource::Loopback, token: Some("tok-1".into()), password: None, device_token: None }
}

async fn connect(endpoint: &Endpoint) -> Result<Client, ClientError> {
    Client::connect(endpoint, ConnectOptions::default()).await
}

#[tokio::test]
async fn a_device_signs_the_challenge_with_its_time_and_the_token() {
    let identity = DeviceIdentity::from_seed([1; 32], 0);
    let (seen, params) = tokio::sync::oneshot::channel();
    let seen = std::sync::Mutex::new(Some(seen));
    let (endpoint, _server) = gateway(move |mut peer, _| {
        let seen = seen.lock().unwrap().take();
        async move {
            let params = peer.welcome().await;
            seen.unwrap().send(params).unwrap();
            peer.idle().await;
        }
    })
    .await;
    let options = ConnectOptions {
        scopes: vec!["operator.read".to_owned()],
        caps: vec!["tool-events".to_owned()],
        device: Some(&identity),
        ..ConnectOptions::default()
    };
    let client = Client::connect(&endpoint, options).await.unwrap();
    assert_eq!(client.hello()["type"], "hello-ok");
    let params = params.await.unwrap();
    assert_eq!((params.min_protocol, params.max_protocol), (4, 4));
    assert_eq!((params.client.id.as_str(), params.client.mode.as_str()), ("cli", "cli"));
    assert_eq!(params.caps, ["tool-events"]);
    let proof = params.device.unwrap();
    assert_eq!((proof.id.as_str(), proof.nonce.as_str(), proof.signed_at), (identity.device_id(), NONCE, TS));
    let fields = SignedFields {
        device_id: &proof.id,
        client_id: "cli",
        client_mode: "cli",
        role: "operator",
        scopes: &params.scopes,
        signed_at: TS,
        token: "tok-1",
        nonce: NONCE,
        platform: &params.client.platform,
        device_family: "",
    };
    assert!(PublicKey::parse(&proof.public_key).unwrap().verify(&fields.v3(), &proof.signature));
    client.close().await;
}

#[tokio::test]
async fn answers_are_matched_by_id_and_events_are_kept_in_order() {
    let (endpoint, _server) = gateway(|mut peer, _| async move {
        peer.welcome().await;
        let request = peer.receive().await;
        assert_eq!((&request["method"], &request["params"]), (&json!("status"), &json!({ "a": 1 })));
        peer.send(json!({ "type": "event", "event": "tick", "payload": { "ts": 1 }, "seq": 1 })).await;
        peer.send(json!({ "type": "res", "id": "other", "ok": true, "payload": "not yours" })).await;
        peer.send(json!({ "type": "novelty" })).await;
        peer.0.send(Message::Ping(Vec::new().into())).await.unwrap();
        peer.send(json!({ "type": "event", "event": "chat", "payload": 2 })).await;
        peer.answer(&request, json!({ "fine": true })).await;
        peer.idle().await;
    })
    .await;
    let mut client = connect(&endpoint).await.unwrap();
    assert_eq!(client.call("status", json!({ "a": 1 })).await.unwrap(), json!({ "fine": true }));
    let second = Duration::from_secs(1);
    let tick = client.next_event(second).await.unwrap().unwrap();
    assert_eq!((tick.event.as_str(), tick.seq), ("tick", Some(1)));
    let chat = client.next_event(second).await.unwrap().unwrap();
    assert_eq!((chat.event.as_str(), chat.seq, chat.payload), ("chat", None, json!(2)));
    assert_eq!(client.next_event(Duration::from_millis(20)).await.unwrap(), None);
    client.close().await;
}

#[tokio::test]
async fn a_failed_call_carries_code_details_and_payload() {
    let (endpoint, _server) = gateway(|mut peer, _| async move {
        peer.welcome().await;
        let request = peer.receive().await;
        let details = json!({ "code": "MISSING_SCOPE" });
        let error = json!({ "code": "FORBIDDEN", "message": "missing scope: operator.write", "details": details });
        peer.fail(&request, error).await;
        peer.idle().await;
    })
    .await;
    let error = connect(&endpoint).await.unwrap().call("agent", json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "missing scope: operator.write");
    let ClientError::Rpc { method, error, payload } = error else { panic!("{error:?}") };
    assert_eq!((method.as_str(), error.code.as_str(), payload), ("agent", "FORBIDDEN", None));
    assert_eq!(error.detail_code(), Some("MISSING_SCOPE"));
}

#[tokio::test]
async fn the_last_answer_of_a_run_is_awaited_with_its_events() {
    let (endpoint, _server) = gateway(|mut peer, _| async move {
        peer.welcome().await;
        let request = peer.receive().await;
        peer.answer(&request, json!({ "runId": "r", "status": "accepted" })).await;
        peer.send(json!({ "type": "event", "event": "agent", "payload": { "runId": "r" }, "seq": 1 })).await;
        peer.answer(&request, json!({ "runId": "r", "status": "ok" })).await;
        let request = peer.receive().await;
        peer.answer(&request, json!({ "runId": "r2", "status": "accepted" })).await;
        let error = json!({ "code": "UNAVAILABLE", "message": "model failed" });
        let payload = json!({ "runId": "r2", "status": "error" });
        peer.send(json!({ "type": "res", "id": request["id"], "ok": false, "payload": payload, "error": error })).await;
        peer.idle().await;
    })
    .await;
    let mut client = connect(&endpoint).await.unwrap();
    let mut events = Vec::new();
    let last = client.call_expect_final("agent", json!({}), |event| events.push(event.event.clone())).await.unwrap();
    assert_eq!((last["status"].as_str(), events), (Some("ok"), vec!["agent".to_owned()]));
    let error = client.call_expect_final("agent", json!({}), |_| {}).await.unwrap_err();
    let ClientError::Rpc { error, payload: Some(payload), .. } = error else { panic!("{error:?}") };
    assert_eq!((error.code.as_str(), &payload["status"]), ("UNAVAILABLE", &json!("error")));
    assert_eq!(client.next_event(Duration::from_millis(20)).await.unwrap(), None, "handed over, not kept");
}

#[tokio::test]
async fn a_method_that_answers_once_is_final_at_once() {
    let (endpoint, _server) = gateway(|mut peer, _| async move {
        peer.welcome().await;
        let request = peer.receive().await;
        peer.answer(&request, json!({ "ok": true })).await;
        peer.idle().await;
    })
    .await;
    let mut client = connect(&endpoint).await.unwrap();
    assert_eq!(client.call_expect_final("health", json!({}), |_| {}).await.unwrap(), json!({ "ok": true }));
}

#[tokio::test]
async fn a_refused_connect_reports_the_error_and_not_the_close() {
    let (endpoint, _server) = gateway(|mut peer, _| async move {
        let request = peer.challenge().await;
        let details = json!({ "code": "AUTH_TOKEN_MISMATCH" });
        peer.fail(&request, json!({ "code": "INVALID_REQUEST", "message": "unauthorized: no", "details": details }))
            .await;
        peer.close(1008, "unauthorized: no").await;
    })
    .await;
    let ClientError::Refused(error) = connect(&endpoint).await.unwrap_err() else { panic!("not refused") };
    assert_eq!((error.message.as_str(), error.detail_code()), ("unauthorized: no", Some("AUTH_TOKEN_MISMATCH")));
}

#[tokio::test]
async fn a_gateway_that_is_starting_is_asked_again() {
    let (endpoint, _server) = gateway(|mut peer, turn| async move {
        match turn {
            0 => {
                let request = peer.challenge().await;
                let error = json!({ "code": "UNAVAILABLE", "message": "gateway starting; retry shortly",
                    "retryable": true, "retryAfterMs": 1 });
                peer.fail(&request, error).await;
                peer.close(1013, "gateway starting").await;
            }
            _ => {
                peer.welcome().await;
                peer.idle().await;
            }
        }
    })
    .await;
    let started = Instant::now();
    connect(&endpoint).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(100), "the pause has a least length");
}

#[tokio::test]
async fn a_close_carries_code_and_reason() {
    let (endpoint, _server) = gateway(|mut peer, _| async move {
        peer.welcome().await;
        peer.receive().await;
        peer.close(1012, "service restart").await;
        peer.idle().await;
    })
    .await;
    let error = connect(&endpoint).await.unwrap().call("status", json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "gateway closed the connection (1012 service restart)");
    assert!(matches!(error, ClientError::Closed { code: 1012, .. }));
}

#[tokio::test]
async fn a_silent_gateway_does_not_hold_a_call_beyond_its_deadline() {
    let (endpoint, _server) = gateway(|mut peer, _| async move {
        peer.welcome().await;
        peer.idle().await;
    })
    .await;
    let mut client = connect(&endpoint).await.unwrap();
    client.set_deadline(Instant::now() + Duration::from_millis(50));
    let error = client.call("status", json!({})).await.unwrap_err();
    assert!(matches!(&error, ClientError::Timeout { what, .. } if what == "status"), "{error:?}");
    let error = client.call_expect_final("agent", json!({}), |_| {}).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }));
}

#[tokio::test]
async fn a_gateway_without_a_challenge_is_left_in_time() {
    let (endpoint, _server) = gateway(|peer, _| peer.idle()).await;
    let options = ConnectOptions { timeout: Duration::from_millis(50), ..ConnectOptions::default() };
    let error = Client::connect(&endpoint, options).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_listening_is_unreachable_with_the_usual_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["ws", "wss"] {
        let url = format!("{scheme}://{address}");
        let ClientError::Unreachable { url: tried, reason, detail } =
            connect(&endpoint(url.clone())).await.unwrap_err()
        else {
            panic!("not unreachable")
        };
        let expected = (url, "ECONNREFUSED", format!("connect ECONNREFUSED {address}"));
        assert_eq!((tried, reason.as_str(), detail), expected);
    }
}

#[tokio::test]
async fn a_peer_that_is_no_gateway_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _server = task::spawn("web server", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
            let mut rest = [0; 1024];
            while tokio::io::AsyncReadExt::read(&mut stream, &mut rest).await.is_ok_and(|n| n > 0) {}
        }
    });
    let error = connect(&endpoint(format!("ws://{address}"))).await.unwrap_err();
    let ClientError::Unreachable { reason, detail, .. } = error else { panic!("{error:?}") };
    assert_eq!((reason.as_str(), detail.as_str()), ("HTTP 503", "HTTP 503 Service Unavailable busy"));
    let error = connect(&endpoint(format!("wss://{address}"))).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "TLS to a plain server: {error:?}");
}

#[tokio::test]
async fn a_frame_of_the_largest_size_passes_and_a_larger_one_does_not() {
    let (endpoint, _server) = gateway(|mut peer, _| async move {
        peer.welcome().await;
        for _ in 0..2 {
            let request = peer.receive().await;
            let size = request["params"]["size"].as_u64().unwrap() as usize;
            let id = request["id"].as_str().unwrap();
            let around = format!(r#"{{"type":"res","id":"{id}","ok":true,"payload":""}}"#).len();
            peer.answer(&request, json!("x".repeat(size - around))).await;
        }
        peer.idle().await;
    })
    .await;
    let mut client = connect(&endpoint).await.unwrap();
    let limit = 26_214_400;
    assert!(client.call("large", json!({ "size": limit })).await.is_ok());
    let error = client.call("large", json!({ "size": limit + 1 })).await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed(_)), "{error:?}");
}

#[tokio::test]
async fn events_that_nobody_fetches_are_bounded_and_counted() {
    let (endpoint, _server) = gateway(|mut peer, _| async move {
        peer.welcome().await;
        let request = peer.receive().await;
        for seq in 1..=EVENTS_MAX + 5 {
            peer.send(json!({ "type": "event", "event": "tick", "seq": seq })).await;
        }
        peer.answer(&request, Value::Null).await;
        peer.idle().await;
    })
    .await;
    let mut client = connect(&endpoint).await.unwrap();
    assert_eq!(client.call("status", json!({})).await.unwrap(), Value::Null);
    assert_eq!(client.events_dropped(), 5);
    assert_eq!(client.next_event(Duration::from_secs(1)).await.unwrap().unwrap().seq, Some(6));
}
